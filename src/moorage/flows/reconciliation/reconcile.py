"""
Reconciliation: rows, doors, daemons, devices, bytes and operations compared, and made to agree.

At start the one process that looks after the host compares everything and mends what it must, before it does any other
work.  Later it looks once a minute.  A volume is mended by an operation on it: nobody else works on it meanwhile.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from moorage import __version__
from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.flows.images.clear import area_of
from moorage.flows.reconciliation import bytes as stored
from moorage.flows.reconciliation import journal, rows, serving
from moorage.flows.reconciliation.finding import Finding, found
from moorage.flows.reconciliation.wanted import Wanted, wanted
from moorage.flows.rooms import Rooms
from moorage.flows.volumes import mend_volume
from moorage.hosts import service as hosts
from moorage.hosts.devices import Device
from moorage.operations.periodic import Job
from moorage.operations.process import boot_id
from moorage.volumes.backend import Served
from moorage.volumes.records import attachments

log = logging.getLogger(__name__)

EVERY_S = 60.0

#: Kinds that are mended together, volume by volume, where the volume is known.
OF_VOLUMES = frozenset(
    {
        "server-dead",
        "server-orphan",
        "export-orphan",
        "export-missing",
        "device-dead",
        "device-missing",
        "device-orphan",
    }
)


def at_start(rooms: Rooms) -> None:
    """Make the host agree with the rows. Nobody else works on it yet; nothing that fails keeps it from starting."""
    findings = [*rows.row_drift(rooms), *serving_drift(rooms)]
    for finding in findings:
        log.warning("found at start: %s", finding.sentence)
    for finding, why in repair_alone(rooms, findings):
        log.error("%s could not be repaired: %s", finding.kind, why)
    look_in(rooms)
    if rooms.runner is not None:
        rooms.runner.periodic.add(Job(f"reconcile-{rooms.host}"[:64], EVERY_S, lambda: every_minute(rooms)))


def every_minute(rooms: Rooms) -> None:
    """Have repaired what has gone wrong meanwhile. Bytes are left alone: only a person says that they may go."""
    for finding in [*rows.row_drift(rooms), *serving_drift(rooms)]:
        log.warning("found: %s", finding.sentence)
        try:
            repair(rooms, finding)
        except Exception:  # the others are repaired all the same
            log.exception("%s could not be repaired", finding.kind)
    look_in(rooms)


def survey(rooms: Rooms) -> list[Finding]:
    """All that is wrong. Only for the process that looks after the host."""
    return [
        *rows.row_drift(rooms),
        *rows.status_drift(rooms),
        *serving_drift(rooms),
        *stored.layer_drift(rooms),
        *stored.object_drift(rooms),
        *stored.staged_drift(rooms),
        *journal.operation_drift(rooms, rooms.flows),
    ]


def serving_drift(rooms: Rooms) -> list[Finding]:
    """What is wrong with daemons, doors and devices. A volume that changes while it is looked at is left out."""
    with rooms.database.read() as tx:
        before = wanted(tx, rooms.host)
    findings: list[Finding] = []
    served = _served(rooms, findings)
    devices = rooms.devices.present() if rooms.devices is not None else None
    with rooms.database.read() as tx:
        after = wanted(tx, rooms.host)
        owners = _owners(tx, devices or {})
    for volume in sorted({*before, *after, *served, *owners.values()}):
        want = after.get(volume, Wanted(volume))
        if _signature(before.get(volume, Wanted(volume))) == _signature(want):
            own = {id: device for id, device in (devices or {}).items() if owners.get(id) == volume}
            findings += serving.drift(want, served.get(volume), own if devices is not None else None)
    for id, device in (devices or {}).items():
        if id not in owners:
            findings.append(found("device-orphan", attachment=id, device=device.path or "A half-made device"))
    return findings


def _served(rooms: Rooms, findings: list[Finding]) -> dict[str, Served]:
    served: dict[str, Served] = {}
    for name, backend in rooms.backends.items():
        try:
            served |= backend.survey()
        except (Problem, OSError) as problem:
            findings.append(found("unreadable", what=f"Backend {name}", error=str(problem)))
    return served


def _owners(tx: Transaction, devices: Mapping[str, Device]) -> dict[str, str]:
    """The volumes of the devices' attachments."""
    rows = tx.all(select(attachments.c.id, attachments.c.volume_id).where(attachments.c.id.in_(sorted(devices))))
    return {row["id"]: row["volume_id"] for row in rows}


def _signature(want: Wanted) -> Any:
    claims = {id: (claim["state"], claim["generation"]) for id, claim in want.claims.items()}
    return claims, want.owned, want.under_way


def repair(rooms: Rooms, finding: Finding) -> str | None:
    """Have the finding repaired; the operation that does it, where it takes one."""
    volume = finding.facts.get("volume")
    if finding.kind in OF_VOLUMES and volume is not None:
        return rooms.database.transact(lambda tx: mend_volume.begin(tx, rooms, volume))
    if finding.kind in rows.KINDS:
        return rows.repair(rooms, finding)
    _repair(rooms, finding)
    return None


def repair_alone(rooms: Rooms, findings: Sequence[Finding]) -> list[tuple[Finding, str]]:
    """Repair all of it here and now, for whoever is alone on the host; what could not be repaired, and why."""
    failed: list[tuple[Finding, str]] = []
    seen: mend_volume.Seen | None = None
    mended: set[str] = set()
    for finding in findings:
        volume = finding.facts.get("volume") if finding.kind in OF_VOLUMES else None
        try:
            if finding.kind in rows.KINDS:
                rows.repair(rooms, finding)
            elif volume is None:
                _repair(rooms, finding)
            elif volume not in mended:
                mended.add(volume)
                seen = seen or mend_volume.look(rooms)
                mend_volume.mend_now(rooms, volume, seen)
        except Exception as problem:
            log.exception("%s", finding.sentence)
            failed.append((finding, str(problem) or type(problem).__name__))
    return failed


def _repair(rooms: Rooms, finding: Finding) -> None:
    """Repair what is nobody's, or stands still."""
    facts = finding.facts
    if finding.kind == "device-orphan":
        serving.remove_device(rooms, facts["attachment"])
    elif finding.kind == "layer-orphan":
        rooms.backends[facts["backend"]].delete(facts["layer"])
    elif finding.kind == "object-orphan":
        area_of(rooms, facts["store"]).delete(facts["object"])
    elif finding.kind == "operation-stuck":
        journal.hasten(rooms, facts["operation"])


def look_in(rooms: Rooms) -> None:
    """Keep what this host is like now, for those who ask elsewhere."""
    seen = hosts.Sighting(
        process=rooms.process,
        boot=boot_id(),
        agent=str(rooms.run / "agent"),
        version=__version__,
        obstacles=rooms.devices.obstacles() if rooms.devices is not None else ["its process makes none"],
        devices=rooms.devices.present() if rooms.devices is not None else {},
    )
    rooms.database.transact(lambda tx: hosts.hear(tx, rooms.host, seen))
