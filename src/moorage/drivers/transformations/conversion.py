"""
Converts what is imported into the format that a store wants, with `qemu-img` in a pen.

The bytes are inspected first, whole: only what is what it was declared to be reaches a parser, which is named the
format. The parser runs without network and rights, under limits of time, memory and the length of files, as a user
that can open the image and the one file that it writes; what it has made is inspected again on its way into the stores.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from moorage.core.errors import Malformed, Problem
from moorage.drivers.backends.files.rights import Rights, check_reach, give
from moorage.drivers.programs import Helpers, Pen, ProgramFailed, ProgramSlow
from moorage.images.content.formats import INSPECTED_CONTAINERS, Inspection
from moorage.images.imports.transformation import Form, Given, Transformation
from moorage.images.store import StoreFull, Writer

TIME_LIMIT_S = 6 * 3600
MEMORY_LIMIT_BYTES = 2 << 30  #: mostly address space, for the stacks of its threads
_CONVERTIBLE = frozenset({"raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx"})  #: the rest stays what it is, such as an iso
_DRIVERS = {"vhd": "vpc"}  #: where QEMU has another name
_PIECE_BYTES = 1 << 20
_SLACK_BYTES = 16 << 20  #: what the tables of a qcow2 may take beside a hundredth of its disk


class StoresContradict(Malformed):
    """Images become {formats} in these stores; import into those that agree, and copy from there."""

    code = "image.stores-contradict"


class ConversionFailed(Problem):
    """The image cannot be converted from {source} to {target}: {reason}."""

    status, code = 415, "image.conversion-failed"


class Conversion(Transformation):
    """`targets` is what each store wants, by its id; stores that want nothing take what the others get."""

    name = "conversion"

    def __init__(self, targets: Mapping[str, str], rights: Rights, helpers: Helpers) -> None:
        self._targets, self._rights, self._helpers = dict(targets), rights, helpers

    def permit(self, stores: Sequence[str]) -> None:
        self._target(stores)

    def becomes(self, form: Form, head: bytes, stores: Sequence[str]) -> Form | None:
        target = self._target(stores)
        if target is None or form.disk_format == target or form.disk_format not in _CONVERTIBLE:
            return None
        return Form(target, "bare") if form.container_format in INSPECTED_CONTAINERS else None

    def _target(self, stores: Sequence[str]) -> str | None:
        wanted = {self._targets[store] for store in stores if store in self._targets}
        if len(wanted) > 1:
            raise StoresContradict(formats=" and ".join(sorted(wanted)))
        return next(iter(wanted), None)

    def carry_out(self, given: Given, writer: Writer) -> None:
        target = self._target(given.stores)
        assert target is not None
        inspection = Inspection(given.form.disk_format, given.form.container_format, given.largest_disk_bytes)
        for chunk in given.chunks():
            given.check()
            inspection.feed(chunk)
        found = inspection.finish()
        made = given.scratch / "converted"
        self._convert(given, found.format, found.virtual_size or 0, target, made)
        descriptor = os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            while piece := file.read(_PIECE_BYTES):
                given.check()
                writer.write(piece)

    def _convert(self, given: Given, source: str, disk_bytes: int, target: str, made: Path) -> None:
        most = disk_bytes if target == "raw" else disk_bytes + disk_bytes // 100 + _SLACK_BYTES
        self._prepare(given, made)
        words = ("-W", "-f", _DRIVERS.get(source, source), "-O", target, str(given.path), str(made))
        try:
            self._helpers.run(
                ["qemu-img", "convert", "-q", *words],
                time_limit_s=TIME_LIMIT_S,
                memory_limit_bytes=MEMORY_LIMIT_BYTES,
                account=self._rights.sandbox,
                pen=Pen(-(-most // 512) * 512, given.check),
            )
        except ProgramSlow as problem:
            raise ConversionFailed(source=source, target=target, reason="it takes too long") from problem
        except ProgramFailed as problem:
            if os.strerror(errno.ENOSPC) in problem.sentence or os.strerror(errno.EDQUOT) in problem.sentence:
                raise StoreFull(store="staging") from problem
            raise ConversionFailed(source=source, target=target, reason="its content is damaged") from problem

    def _prepare(self, given: Given, made: Path) -> None:
        """The sandbox's user can read the image, and write the new file, which is its own; nothing else is."""
        for folder in (given.scratch.parent, given.scratch):
            folder.chmod(0o711)
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            give(descriptor, self._rights.sandbox)
        finally:
            os.close(descriptor)
        if self._rights.separate:
            check_reach(given.path, self._rights.sandbox, write=False)
