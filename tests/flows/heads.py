"""Volumes with each kind of head."""

from collections.abc import Iterable

from sqlalchemy import update

from moorage.volumes import layers
from moorage.volumes.backend import Cache, Format, Layer
from moorage.volumes.records import volumes
from tests.flows import promises
from tests.flows.drift import Drift

BELOW = 7  #: the number of the blocks of what an overlay lies on


def volume(
    drift: Drift, kind: str, cache: Cache = Cache.BACK, blocks: Iterable[int] = (), *, shared: bool = False
) -> str:
    """
    A volume with a head of that kind: raw, qcow2, or an overlay on a volume that has something in each of the `blocks`.
    """
    make = drift.shared if shared else drift.volume
    if kind == "overlay":
        source = drift.volume()
        holder = drift.attach(source)
        disk = promises.Device(drift.device(holder))
        for offset in blocks:
            disk.write(offset, promises.content(BELOW))
        disk.close()
        drift.detach(holder)
        made = make(source_volid=source)
    else:
        made = make()
    with drift.rooms.database.write() as tx:
        if kind == "qcow2":  # no flow makes such a head; it is in the contract of backends
            head = Layer(f"volumes/{made}/qcow2-1", Format.QCOW2, 1 << 30)
            drift.backend.create(head)
            layers.enter(tx, head, "files")
            tx.run(update(volumes).where(volumes.c.id == made).values(head=head.name))
        tx.run(update(volumes).where(volumes.c.id == made).values(cache=str(cache)))
    return made
