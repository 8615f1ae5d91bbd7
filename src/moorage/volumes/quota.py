"""
Quotas: how much a project may have, and how much it has.

A project's row is locked before its usage is decided on, so the last unit goes to one caller only.  Usage changes in
the transaction that makes or forgets what is counted; `recount` says what it must be.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update

from moorage.database import Transaction
from moorage.operations import events
from moorage.volumes.errors import OverQuota
from moorage.volumes.records import quotas, volume_types, volumes

CLASS = "class:default"  #: the row of limits of projects that set none

#: What is limited of everything, in the order in which the API shows it before and after the limits by type.
NAMES = ("volumes", "per_volume_gigabytes", "snapshots", "gigabytes", "backups", "backup_gigabytes", "groups")
BY_TYPE = ("volumes", "gigabytes", "snapshots")


def lock(tx: Transaction, project_id: str) -> Mapping[str, Any]:
    """The project's row, nobody else changing it; made where there is none."""
    found = tx.lock(quotas, [project_id])
    if not found:
        tx.enter_unless_there(quotas, {"id": project_id, "limits": {}, "usage": {}})
        found = tx.lock(quotas, [project_id])
    return found[0]


def limits(tx: Transaction, project_id: str | None, defaults: Mapping[str, int]) -> dict[str, int]:
    """The limits of a project, or (None) of projects that set none; those of a type under `volumes:<type id>`."""
    rows = {
        row["id"]: row["limits"] for row in tx.all(select(quotas).where(quotas.c.id.in_([CLASS, project_id or CLASS])))
    }
    return {**defaults, **rows.get(CLASS, {}), **(rows.get(project_id, {}) if project_id else {})}


def usage(tx: Transaction, project_id: str) -> dict[str, int]:
    """How much the project has."""
    return dict(tx.value(select(quotas.c.usage).where(quotas.c.id == project_id)) or {})


def charge(
    tx: Transaction,
    project_id: str,
    type_id: str,
    *,
    count: int,
    gigabytes: int,
    size_gib: int,
    defaults: Mapping[str, int],
) -> None:
    """
    Count `count` volumes and `gigabytes` more, of which one volume has `size_gib`; refuse what goes beyond a limit.
    """
    row, limit = lock(tx, project_id), limits(tx, project_id, defaults)
    used = row["usage"]
    largest = limit.get("per_volume_gigabytes", -1)
    if 0 <= largest < size_gib:
        raise OverQuota(
            sentence=f"VolumeSizeExceedsLimit: Requested volume size {size_gib}G is larger than maximum allowed limit "
            f"{largest}G."
        )
    for key in ("gigabytes", f"gigabytes:{type_id}"):
        have, may = used.get(key, 0), limit.get(key, -1)
        if gigabytes and 0 <= may < have + gigabytes:
            raise OverQuota(
                sentence="VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes "
                f"quota. Requested {gigabytes}G, quota is {may}G and {have}G has been consumed."
            )
    for key in ("volumes", f"volumes:{type_id}"):
        have, may = used.get(key, 0), limit.get(key, -1)
        if count and 0 <= may < have + count:
            raise OverQuota(
                sentence=f"VolumeLimitExceeded: Maximum number of volumes allowed ({may}) exceeded for quota 'volumes'."
            )
    _add(tx, row, type_id, count, gigabytes)


def move(tx: Transaction, project_id: str, was: str, to: str, *, gigabytes: int, defaults: Mapping[str, int]) -> None:
    """Count one volume of `gigabytes` as one of type `to`, and of `was` no more; refuse what `to` has no room for."""
    row, limit = lock(tx, project_id), limits(tx, project_id, defaults)
    for key, more in ((f"volumes:{to}", 1), (f"gigabytes:{to}", gigabytes)):
        have, may = row["usage"].get(key, 0), limit.get(key, -1)
        if 0 <= may < have + more:
            raise OverQuota(
                sentence=f"Quota exceeded for {key.partition(':')[0]} of the type: {may} allowed, {have} used."
            )
    _add(tx, row, was, -1, -gigabytes)
    _add(tx, lock(tx, project_id), to, 1, gigabytes)


def release(tx: Transaction, project_id: str, type_id: str, *, count: int, gigabytes: int) -> None:
    """Count `count` volumes and `gigabytes` less."""
    _add(tx, lock(tx, project_id), type_id, -count, -gigabytes)


def _add(tx: Transaction, row: Mapping[str, Any], type_id: str, count: int, gigabytes: int) -> None:
    used = dict(row["usage"])
    for key, more in (("volumes", count), ("gigabytes", gigabytes)):
        for name in (key, f"{key}:{type_id}"):
            used[name] = used.get(name, 0) + more
    kept = {name: n for name, n in used.items() if n}
    tx.run(update(quotas).where(quotas.c.id == row["id"]).values(usage=kept))


def recount(tx: Transaction, project_id: str) -> dict[str, int]:
    """What `usage` must be: counted from the volumes."""
    c, found = volumes.c, dict[str, int]()
    query = select(c.type_id, func.count().label("n"), func.sum(c.size_gib).label("gib"))
    for row in tx.all(query.where(c.project_id == project_id, c.consumes_quota).group_by(c.type_id)):
        for name, count in (("volumes", int(row["n"])), ("gigabytes", int(row["gib"]))):
            found[name] = found.get(name, 0) + count
            found[f"{name}:{row['type_id']}"] = count
    return found


def set_limits(tx: Transaction, id: str, changes: Mapping[str, int]) -> None:
    """Change limits of a project, or of `CLASS`."""
    row = lock(tx, id)
    tx.run(update(quotas).where(quotas.c.id == id).values(limits={**row["limits"], **changes}))
    events.record(tx, "quota.changed", "quota", id, None if id == CLASS else id, limits=dict(changes))


def reset_limits(tx: Transaction, project_id: str) -> None:
    """Let the project have the default limits again."""
    lock(tx, project_id)
    tx.run(update(quotas).where(quotas.c.id == project_id).values(limits={}))
    events.record(tx, "quota.reset", "quota", project_id, project_id)


def named(tx: Transaction) -> dict[str, str]:
    """What the API calls the limits by type: their own names by its names (`volumes_files` -> `volumes:<type id>`)."""
    rows = tx.all(select(volume_types.c.id, volume_types.c.name).order_by(volume_types.c.created_at, volume_types.c.id))
    return {f"{key}_{row['name']}": f"{key}:{row['id']}" for row in rows for key in BY_TYPE}
