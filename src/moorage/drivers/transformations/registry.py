"""The transformations that the stores of a configuration ask for, in the order in which they are carried out."""

from collections.abc import Iterable
from typing import Protocol

from moorage.drivers.backends.files.rights import Rights
from moorage.drivers.programs import Helpers
from moorage.images.imports.transformation import Transformation


class Wishes(Protocol):
    """What a store asks for."""

    @property
    def id(self) -> str: ...
    @property
    def decompress(self) -> bool: ...
    @property
    def convert(self) -> str: ...


def build(stores: Iterable[Wishes], rights: Rights) -> tuple[Transformation, ...]:
    """Those that any store asks for; none where no store does."""
    unpacking = frozenset(store.id for store in stores if store.decompress)
    targets = {store.id: store.convert for store in stores if store.convert}
    found: list[Transformation] = []
    if unpacking:
        from moorage.drivers.transformations.decompression import Decompression

        found.append(Decompression(unpacking))
    if targets:
        from moorage.drivers.transformations.conversion import Conversion

        found.append(Conversion(targets, rights, Helpers()))
    return tuple(found)
