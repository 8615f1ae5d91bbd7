"""What a layer shows, for those who have no attachment: as bytes, or as a file of another format."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from moorage.core.errors import Refused
from moorage.drivers import chains
from moorage.drivers.backends.files.layers import Layers, missing
from moorage.drivers.backends.files.rights import Rights, private_directory
from moorage.drivers.programs import Helpers, Pen, ProgramFailed, ProgramMissing
from moorage.volumes.backend import BackendFull, Layer

TIME_LIMIT_S = 86400
MEMORY_LIMIT_BYTES = 2 << 30  #: mostly address space, for the stacks of its threads

# fmt: off
WRITERS = {
    # format   what QEMU calls it, and what it is told
    "qcow2":  ("qcow2",),
    "vmdk":   ("vmdk", "-o", "subformat=streamOptimized"),
    "vdi":    ("vdi",),
    "vhd":    ("vpc", "-o", "subformat=dynamic,force_size=on"),
    "vhdx":   ("vhdx", "-o", "subformat=dynamic"),
    "ploop":  ("parallels",),
}
# fmt: on


def read(layers: Layers, layer: Layer, rights: Rights) -> Iterator[bytes]:
    """The bytes that `layer` shows."""
    layers.check(layer)
    return chains.Reader(layers.chain(layer, read_only=True), 0, layer.size, rights.daemon if rights.separate else None)


def pour(
    layers: Layers, layer: Layer, format: str, to: str, check: Callable[[], None], helpers: Helpers, rights: Rights
) -> Path:
    """A new file of `format` with the disk that `layer` shows; the writer has no network and opens what it is told."""
    if format not in WRITERS:
        raise Refused(reason=f"Volumes are not written as {format}.")
    layers.check(layer)
    path = layers.path(to)
    private_directory(path.parent, 0o711)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        if rights.separate:
            os.fchown(descriptor, rights.daemon_uid, rights.daemon_gid)
    finally:
        os.close(descriptor)
    source = "json:" + json.dumps(layers.chain(layer, read_only=True))
    words = ["qemu-img", "convert", "-q", "-O", *WRITERS[format], source, str(path)]
    pen = Pen(layer.size + layer.size // 4 + (64 << 20), check)
    try:
        helpers.run(
            words,
            time_limit_s=TIME_LIMIT_S,
            memory_limit_bytes=MEMORY_LIMIT_BYTES,
            account=rights.daemon,
            pen=pen,
        )
    except ProgramMissing as problem:
        raise missing(problem, layers.backend) from problem
    except ProgramFailed as problem:
        if os.strerror(errno.ENOSPC) in problem.sentence or os.strerror(errno.EDQUOT) in problem.sentence:
            raise BackendFull(backend=layers.backend, needed=layer.size) from problem
        raise
    return path
