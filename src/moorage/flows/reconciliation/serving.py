"""
Serving: who can reach a volume now, against who should.

`drift` only compares.  `mend` makes one volume agree, alone with it: no step of another operation runs on the volume
meanwhile.  What an open operation is seeing to is left to that operation.

Nobody is silently resumed where acknowledged writes may be gone: rows come first then, all attachments of the volume in
one transaction, so that a death on the way never leaves one that could be taken for whole.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence

from moorage.core.errors import Problem
from moorage.flows.reconciliation.finding import Finding, found
from moorage.flows.reconciliation.wanted import Wanted
from moorage.flows.rooms import Rooms
from moorage.hosts.devices import Device
from moorage.volumes import layers
from moorage.volumes.attachments import exports, loss
from moorage.volumes.backend import Backend, Cache, Served

log = logging.getLogger(__name__)

CUT_OFF = "The block device of this attachment is gone."


def drift(want: Wanted, served: Served | None, devices: Mapping[str, Device] | None) -> Iterator[Finding]:
    """What is wrong with one volume; `devices` are those of its attachments, None where nobody can look."""
    ids = {"volume": want.volume}
    if served is not None and not served.alive:
        yield found("server-dead", **ids)
    elif served is not None:
        for attachment in sorted(served.exports - set(want.claims) - want.owned):
            yield found("export-orphan", **ids, attachment=attachment)
        if not served.exports and not want.claims and not want.under_way:
            yield found("server-orphan", **ids)
    if served is None or served.alive:
        for attachment in sorted(set(want.claims) - (served.exports if served else frozenset())):
            yield found("export-missing", **ids, attachment=attachment)
    for attachment in sorted(want.devices) if devices is not None else ():
        device = (devices or {}).get(attachment)
        if device is None:
            yield found("device-missing", **ids, attachment=attachment)
        elif not device.alive:
            yield found("device-dead", **ids, attachment=attachment, device=_named(device))
    for attachment, device in (devices or {}).items():
        if attachment not in want.devices and attachment not in want.owned:
            yield found("device-orphan", **ids, attachment=attachment, device=_named(device))


def _named(device: Device) -> str:
    return device.path or "A half-made device"


def mend(rooms: Rooms, want: Wanted, served: Served | None, devices: Mapping[str, Device], backend: Backend) -> None:
    """Make the volume agree with its rows."""
    whole = want.survives if served is None else served.alive or served.lossless
    lost = _lost(want, served, devices if rooms.devices is not None else None) if whole else sorted(want.claims)
    if lost:
        why = CUT_OFF if whole else loss.DIED
        rooms.database.transact(lambda tx: loss.lose(tx, want.volume, lost, why))
    for attachment, device in devices.items():
        if attachment in lost or (attachment not in want.devices and attachment not in want.owned):
            remove_device(rooms, attachment, flush=device.alive and attachment not in lost)
    kept = [id for id in want.claims if id not in lost]
    if served is not None and not served.alive:
        if not served.lossless:
            rooms.database.transact(lambda tx: loss.admit(tx, want.volume, loss.DIED))
        backend.clear(want.volume)
    elif served is not None:
        _advance(rooms, want, served, backend)
        for attachment in sorted(served.exports - set(kept) - want.owned):
            backend.withdraw(want.volume, attachment)
        if not kept and not want.owned and not want.under_way:
            backend.clear(want.volume)
    there = served.exports if served is not None and served.alive else frozenset()
    _reopen(rooms, want, [id for id in kept if id not in there], backend)


def _lost(want: Wanted, served: Served | None, devices: Mapping[str, Device] | None) -> list[str]:
    """Whose holders must not simply go on, though no write is missing."""
    if devices is None:
        return []
    if served is None or not served.alive:  # what the devices lay on; they do not find their way back
        return sorted(want.devices)
    return sorted(id for id in want.devices if id not in served.exports or id not in devices or not devices[id].alive)


def remove_device(rooms: Rooms, attachment: str, *, flush: bool = True) -> None:
    """Leave nothing of the device; what was written to it is durable, where that can still be."""
    if rooms.devices is None:
        return
    if flush:
        try:
            rooms.devices.flush(attachment)
        except Problem as problem:
            log.warning("%s", problem.sentence)
    rooms.devices.disconnect(attachment)


def _advance(rooms: Rooms, want: Wanted, served: Served, backend: Backend) -> None:
    """Complete what a freeze has begun: the server writes to the head that the rows name, if only it has to go over."""
    if want.row is None or want.row["head"] is None:
        return
    with rooms.database.read() as tx:
        head = layers.chain(tx, want.row["head"])
    if served.head == head.name or (head.parent is not None and served.head == head.parent.name):
        backend.advance(want.volume, head)


def _reopen(rooms: Rooms, want: Wanted, ids: Sequence[str], backend: Backend) -> None:
    """Give attachments their doors back, at their old addresses."""
    if not ids or want.row is None:
        return
    with rooms.database.read() as tx:
        head = layers.chain(tx, want.row["head"])
    for id in ids:
        backend.publish(exports.of(want.claims[id]), head, Cache(want.row["cache"]))
