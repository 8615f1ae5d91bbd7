"""Unpacks what is imported compressed, where a store that is to get it asks for that."""

from collections.abc import Collection, Sequence

from moorage.drivers.transformations.unpacking.packing import packing_of
from moorage.drivers.transformations.unpacking.process import Unpacker
from moorage.images.imports.transformation import Form, Given, Transformation
from moorage.images.store import Writer

_PACKED = "compressed"  #: the container format of an image that is to stay compressed


class Decompression(Transformation):
    """The image is what was in the archive; its formats are those of that, and were declared so from the beginning."""

    name = "decompression"

    def __init__(self, asking: Collection[str], unpacker: Unpacker | None = None) -> None:
        self._asking, self._unpacker = frozenset(asking), unpacker or Unpacker()

    def becomes(self, form: Form, head: bytes, stores: Sequence[str]) -> Form | None:
        wanted = not self._asking.isdisjoint(stores) and form.container_format != _PACKED
        return form if wanted and packing_of(head) else None

    def carry_out(self, given: Given, writer: Writer) -> None:
        packing = packing_of(next(given.chunks(), b""))
        assert packing is not None
        for piece in self._unpacker.unpack(packing, given.chunks(), given.size_limit):
            given.check()
            writer.write(piece)
