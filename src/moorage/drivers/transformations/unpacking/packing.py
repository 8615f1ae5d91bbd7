"""Compressed data: how they are recognised, and what is said of those that cannot be unpacked."""

from moorage.core.errors import Problem

HEAD_BYTES = 8  #: enough to tell
_MARKS = (
    # packing  begins with
    ("gzip",   b"\x1f\x8b\x08"),
    ("xz",     b"\xfd7zXZ\0"),
    ("zstd",   b"\x28\xb5\x2f\xfd"),
    ("zip",    b"PK\x03\x04"),
)  # fmt: skip
PACKINGS = tuple(packing for packing, _ in _MARKS)


class PackingRefused(Problem):
    """The image is compressed with {packing} and cannot be unpacked: {reason}."""

    status, code = 415, "image.packing-refused"


def packing_of(head: bytes) -> str | None:
    """How data that begin like this are compressed; None where they are not."""
    return next((packing for packing, mark in _MARKS if head.startswith(mark)), None)
