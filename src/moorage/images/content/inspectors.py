"""
oslo.utils' format inspectors, fed in fixed steps and kept from doing harm.

What they say must not depend on how the network cut the bytes, so the beginning of the image is collected first and
then given to each in one piece or in small ones, as each needs.  One that fails says nothing more, and whoever asks it
learns that it could not follow.  They log what they see, tenant's bytes included, so their log is off.
"""

import logging
from typing import Any

PIECE_BYTES = 64 << 10  #: VHDX metadata are found only when their places are learnt before they pass
_WHOLE = frozenset({"vmdk"})  #: looks for a descriptor in the first piece alone

_REASONS = {
    # check               what it found
    "backing_file":      "it names a backing file",
    "data_file":         "it names an external data file",
    "unknown_features":  "it uses features that nobody here knows",
    "descriptor":        "its descriptor is not one of a single sparse file",
    "footer":            "its footer contradicts its header",
    "mbr":               "its partition table is not a plain one",
    "version":           "its version is not supported",
    "banned":            "this format is never accepted",
}  # fmt: skip


class Panel:
    """All inspectors at one image: which recognise it, and what they object to."""

    def __init__(self, head: bytes) -> None:
        from oslo_utils.imageutils import format_inspector as oslo

        logging.getLogger(oslo.__name__).setLevel(logging.CRITICAL + 1)
        self._inspectors: dict[str, Any] = {name: kind() for name, kind in oslo.ALL_FORMATS.items() if name != "raw"}
        self._broken: set[str] = set()
        for name in self._inspectors:
            for piece in [head] if name in _WHOLE else _pieces(head):
                self._eat(name, piece)
        self._following = [name for name in self._inspectors if self._needs_more(name)]

    def feed(self, chunk: bytes) -> None:
        """Show what comes after the head to those who recognised it and need more."""
        if self._following:
            for piece in _pieces(chunk):
                for name in self._following:
                    self._eat(name, piece)

    def finish(self) -> None:
        for inspector in self._inspectors.values():
            inspector.finish()

    def recognised(self) -> frozenset[str]:
        return frozenset(name for name in self._inspectors if self._matches(name))

    def objection(self, name: str) -> str | None:
        """Why the content is no good `name`, if it is none; asked after `finish`."""
        inspector = self._inspectors.get(name)
        if inspector is None:
            return None
        try:
            inspector.safety_check()
        except Exception as error:
            found = [_REASONS.get(check, "it is malformed") for check in getattr(error, "failures", ())]
            return " and ".join(found) or "it is malformed or cut short"
        return "it is malformed" if name in self._broken else None

    def virtual_size(self, name: str) -> int:
        """Bytes of the disk inside, 0 when it cannot be told."""
        try:
            return int(self._inspectors[name].virtual_size)
        except Exception:
            return 0

    def region(self, name: str, region: str) -> bytes:
        """What an inspector kept of a part of the image, empty when it did not get there."""
        inspector = self._inspectors[name]
        return bytes(inspector.region(region).data) if inspector.has_region(region) else b""

    def _eat(self, name: str, piece: bytes) -> None:
        if name not in self._broken:
            try:
                self._inspectors[name].eat_chunk(piece)
            except Exception:
                self._broken.add(name)

    def _matches(self, name: str) -> bool:
        try:
            return bool(self._inspectors[name].format_match)
        except Exception:
            return False

    def _needs_more(self, name: str) -> bool:
        return self._matches(name) and name not in self._broken and not self._inspectors[name].complete


def _pieces(chunk: bytes) -> list[bytes]:
    return [bytes(chunk[start : start + PIECE_BYTES]) for start in range(0, len(chunk), PIECE_BYTES)]
