"""
The readers of a layer: the daemons that run and have it below their head.

A copy's readers read it by its server, until it is whole and they are brought near to it.
"""

from collections.abc import Iterator

from moorage.drivers.backends.files.daemon import Daemons
from moorage.drivers.backends.files.problems import LayerInUse
from moorage.drivers.backends.files.records import Records, Server
from moorage.drivers.backends.files.turns import Turns


class Readers:
    """Who reads what, by the records."""

    def __init__(self, records: Records, turns: Turns, daemons: Daemons) -> None:
        self._records, self._turns, self._daemons = records, turns, daemons

    def of(self, layer: str) -> Iterator[Server]:
        """The daemons that have `layer` open, or are about to."""
        for volume in self._records.volumes():
            server = self._reader(volume, layer)
            if server is not None:
                yield server

    def _reader(self, volume: str, layer: str) -> Server | None:
        server = self._records.load(volume)
        reads = server is not None and layer in server.layers and self._records.alive(server)
        return server if reads else None

    def refuse(self, layer: str) -> None:
        """Raise while anybody reads `layer`."""
        for server in self.of(layer):
            raise LayerInUse(layer=layer, volume=server.volume)

    def bring_near(self, copy: str) -> bool:
        """Have all of them read `copy`, which is whole, as a file; whether none needs its server any more."""
        near = [self._bring_near(volume, copy) for volume in list(self._records.volumes())]
        return all(near)

    def _bring_near(self, volume: str, copy: str) -> bool:
        with self._turns.of(volume):
            server = self._reader(volume, copy)
            return server is None or self._daemons.bring_near(server, copy)
