"""What there is at rest, wherever it is written or runs: rows, exports, gates, devices, layers, quota."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from moorage.drivers.backends.files import qmp
from moorage.operations.records import operations
from moorage.volumes import quota
from moorage.volumes.records import attachments, quotas, volumes
from tests.drivers.plane import arguments, running
from tests.properties.world import World

Row = Mapping[str, Any]


@dataclass
class Sight:
    """One look at everything, made by asking the thing itself."""

    volumes: dict[str, Row] = field(default_factory=dict)
    claims: dict[str, Row] = field(default_factory=dict)  #: attachments, those that are over, too
    under_way: list[Row] = field(default_factory=list)  #: operations that are not over
    exports: dict[str, frozenset[str]] = field(default_factory=dict)  #: by volume that has a daemon, what that says
    gates: dict[str, bool] = field(default_factory=dict)  #: by export name, whether the gate refuses writes
    devices: dict[str, bool] = field(default_factory=dict)  #: by attachment, whether the device is read-only
    layers: frozenset[str] = frozenset()
    usage: dict[str, dict[str, int]] = field(default_factory=dict)
    counted: dict[str, dict[str, int]] = field(default_factory=dict)
    ever: frozenset[str] = frozenset()  #: every volume that there ever was

    def held(self, volume: str) -> list[Row]:
        """The attachments of the volume that are not over."""
        return [
            claim for claim in self.claims.values() if claim["volume_id"] == volume and claim["state"] != "detached"
        ]

    def served(self, volume: str) -> list[Row]:
        """Those whose door has to stand open."""
        open_ones = ("attaching", "attached")
        return [claim for claim in self.held(volume) if claim["connection"] and claim["state"] in open_ones]


def look(world: World) -> Sight:
    """All of it, now."""
    rooms = world.cloud.app.rooms
    sight = Sight(ever=frozenset(world.histories), gates=_gates())
    with rooms.database.read() as tx:
        sight.volumes = {row["id"]: row for row in tx.all(select(volumes))}
        sight.claims = {row["id"]: row for row in tx.all(select(attachments))}
        over = ("done", "undone")
        sight.under_way = list(tx.all(select(operations).where(operations.c.state.not_in(over))))
        for row in tx.all(select(quotas)):
            sight.usage[row["id"]] = quota.usage(tx, row["id"])
            sight.counted[row["id"]] = quota.recount(tx, row["id"])
    backend: Any = rooms.backends["files"]
    for id in backend._records.volumes():
        server = backend._records.load(id)
        if server is not None and backend._records.alive(server):
            with qmp.Monitor(backend._doors._exports._sockets.monitor(id)) as monitor:
                sight.exports[id] = frozenset(one["id"] for one in monitor.ask("query-block-exports"))
    sight.layers = backend.layers()
    if rooms.devices is not None:
        sight.devices = {id: device.read_only for id, device in rooms.devices.present().items()}
    return sight


def _gates() -> dict[str, bool]:
    """The gates of this machine: those of other clouds have names that no row of ours has."""
    found = {}
    for words in (arguments(pid).split() for pid in running()):
        if words and words[0].endswith("nbdkit"):
            names = [word.removeprefix("exportname=") for word in words if word.startswith("exportname=")]
            found |= dict.fromkeys(names, "-r" in words)
    return found
