"""Mend a volume: make who can reach it agree with the rows. It waits its turn, like any operation on the volume."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from moorage.database import Transaction
from moorage.flows.reconciliation import serving
from moorage.flows.reconciliation.wanted import MENDING, Wanted, wanted
from moorage.flows.rooms import Rooms
from moorage.hosts.devices import Device
from moorage.operations import journal
from moorage.operations.flow import Flow, Step, Work
from moorage.volumes import status
from moorage.volumes.backend import Served
from moorage.volumes.records import attachments, volumes

log = logging.getLogger(__name__)


def mend(work: Work) -> None:
    """The volume is served to whom the rows say, and to nobody else."""
    mend_now(work.rooms, work.resource_id)


@dataclass(frozen=True)
class Seen:
    """What there was on the machine when somebody looked."""

    served: Mapping[str, Mapping[str, Served]]  #: by backend and volume
    devices: Mapping[str, Device]  #: by attachment


def look(rooms: Rooms, volume: str | None = None) -> Seen:
    """What there is on the machine now; of `volume` alone, if it is named."""
    served = {name: backend.survey(volume) for name, backend in rooms.backends.items()}
    return Seen(served, rooms.devices.present() if rooms.devices is not None else {})


def mend_now(rooms: Rooms, volume: str, seen: Seen | None = None) -> None:
    """The same, for whoever is alone with the volume, and has been since he has `seen` what there is."""
    seen = seen or look(rooms, volume)
    with rooms.database.read() as tx:
        want = wanted(tx, rooms.host, volume)[volume]
        c = attachments.c
        own = tx.all(select(c.id).where(c.volume_id == volume, c.id.in_(sorted(seen.devices))))
    devices = {row["id"]: seen.devices[row["id"]] for row in own}
    for name, backend in rooms.backends.items():
        served = seen.served[name].get(volume)
        mine = want.row["backend"] == name if want.row is not None else served is not None
        if mine:
            serving.mend(rooms, want, served, devices, backend)
        elif served is not None:
            serving.mend(rooms, Wanted(volume), served, {}, backend)


def begin(tx: Transaction, rooms: Rooms, volume: str) -> str:
    """The operation that mends the volume: the one that is open already, or a new one."""
    row: Mapping[str, Any] | None = tx.one(select(volumes).where(volumes.c.id == volume))
    for operation in journal.open_on(tx, "volume", [volume]):
        if operation["kind"] == MENDING and operation["state"] == "queued":
            return str(operation["id"])
    project = row["project_id"] if row else None
    return journal.begin(tx, MENDING, "volume", volume, queue=rooms.host_queue, project_id=project)


def watch(rooms: Rooms) -> None:
    """From now on, a volume whose daemon or gate dies is mended at once; what is already dead, too."""

    def died(volume: str) -> None:
        log.warning("a storage daemon or a gate of volume %s has died", volume)
        rooms.database.transact(lambda tx: begin(tx, rooms, volume))

    for backend in rooms.backends.values():
        backend.watch(died)


MEND_VOLUME = Flow(MENDING, (Step("mend", mend, forward_only=True),), settle=status.settle)
