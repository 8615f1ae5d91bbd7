"""
A volume's verbs: make, change, extend, forget.

Each takes a transaction, checks, changes rows and quota, and begins the operation that does the work, all or nothing.
What a verb decides on it locks first: quota, then image, then volume.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moorage.core.caller import MOORAGE, Caller
from moorage.core.errors import Blocker
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.operations import events, journal
from moorage.operations.records import operations
from moorage.volumes import custody, layers, quota, status, volume_type
from moorage.volumes.attachments import attachment
from moorage.volumes.backend import Traits
from moorage.volumes.errors import InvalidInput, InvalidVolume, NotDeletable, VolumeNotFound
from moorage.volumes.records import volumes

DELETABLE = frozenset({"available", "error", "error_restoring", "error_extending", "error_managing"})
LARGEST_GIB = 2**31 - 1


@dataclass(frozen=True)
class New:
    """What is asked of a new volume, its type, place and size decided."""

    size_gib: int
    type: Mapping[str, Any]
    backend: str
    host: str
    availability_zone: str
    name: str | None = None
    description: str | None = None
    cache: str = "back"
    metadata: Mapping[str, str] = field(default_factory=dict)
    image_id: str | None = None
    source_volid: str | None = None
    image_metadata: Mapping[str, str] | None = None
    bootable: bool = False
    base: str | None = None  #: the layer that its head is going to lie on


@dataclass(frozen=True)
class Rules:
    """What configuration says of new volumes."""

    defaults: Mapping[str, int]  #: quotas
    traits: Traits | None = None  #: of the backend; None where this process does not hold it


def find(tx: Transaction, caller: Caller, id: str) -> Mapping[str, Any]:
    """The volume's row, if the caller may know of it."""
    row = tx.get(volumes, id)
    if row is None or not caller.sees(row["project_id"]):
        raise VolumeNotFound(id=id[:255])
    return row


def locked(tx: Transaction, caller: Caller, id: str, *, with_quota: bool = False) -> Mapping[str, Any]:
    """The volume's row, nobody else changing it; with its project's quota locked before it."""
    row = find(tx, caller, id)
    if with_quota:
        quota.lock(tx, row["project_id"])
    found = tx.lock(volumes, [id])
    if not found:
        raise VolumeNotFound(id=id[:255])
    return found[0]


def made_how(tx: Transaction, caller: Caller, id: str) -> Mapping[str, Any] | None:
    """
    How the volume's bytes came to be: `path` (blank, overlay, overlay-on-volume), `bytes` that were moved, `ms` from
    the request on, and `why` not faster. None: there are none yet.
    """
    found: Mapping[str, Any] | None = find(tx, caller, id)["made"]
    return found


def enter(tx: Transaction, caller: Caller, new: New, rules: Rules) -> Mapping[str, Any]:
    """Enter a new volume, without bytes as yet, and charge its project for it."""
    project, specs = caller.project_id or "", new.type["extra_specs"]
    size_fits_type(new.size_gib, specs)
    shared = volume_type.is_true(specs.get(volume_type.MULTIATTACH))
    if shared and rules.traits is not None and not rules.traits.multiattach:
        raise InvalidVolume(reason=f"The backend {new.backend} cannot attach a volume more than once.")
    counts = caller.user_id != MOORAGE  # what we keep for ourselves is nobody's to limit
    if counts:
        quota.charge(
            tx, project, new.type["id"], count=1, gigabytes=new.size_gib, size_gib=new.size_gib, defaults=rules.defaults
        )
    id = new_uuid()
    values = {
        "id": id,
        "project_id": project,
        "user_id": caller.user_id,
        "type_id": new.type["id"],
        "status": "creating",
        "multiattach": shared,
        "consumes_quota": counts,
        "metadata": dict(new.metadata),
        "image_metadata": dict(new.image_metadata) if new.image_metadata else None,
        "created_at": tx.now,
    }
    same = "size_gib backend host availability_zone name description cache image_id source_volid bootable base".split()
    tx.enter(volumes, {**values, **{name: getattr(new, name) for name in same}})
    events.record(
        tx, "volume.created", "volume", id, project, caller.request_id, size_gib=new.size_gib, type=new.type["name"]
    )
    return tx.get(volumes, id) or {}


def size_fits_type(size_gib: int, specs: Mapping[str, str]) -> None:
    """Refuse a size that a type with these extra specs does not allow."""
    least, most = (specs.get(f"provisioning:{name}_vol_size", "") for name in ("min", "max"))
    if (least.isdecimal() and size_gib < int(least)) or (most.isdecimal() and size_gib > int(most)):
        raise InvalidInput(reason=f"The volume type allows {least or 1} to {most} GiB, not {size_gib}.")


def begin(
    tx: Transaction,
    kind: str,
    row: Mapping[str, Any],
    caller: Caller,
    input: Mapping[str, Any] | None = None,
    **more: Any,
) -> str:
    """Begin an operation on the volume, in its host's queue, and evaluate its status; the operation's id."""
    id = journal.begin(
        tx,
        kind,
        "volume",
        row["id"],
        queue=f"host:{row['host']}",
        project_id=row["project_id"],
        input={"backend": row["backend"], **(input or {})},
        caller=caller,
        **more,
    )
    status.evaluate(tx, row["id"])
    return id


def create(tx: Transaction, caller: Caller, new: New, rules: Rules, key: str | None = None) -> Mapping[str, Any]:
    """Make a blank volume."""
    row = enter(tx, caller, new, rules)
    begin(tx, "create-volume", row, caller, {"size_gib": new.size_gib}, key=key)
    return row


def change(tx: Transaction, row: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change columns of the locked volume `row` that nothing is derived from."""
    if values:
        tx.change(volumes, row["id"], {"updated_at": tx.now, **values})
        events.record(tx, "volume.changed", "volume", row["id"], row["project_id"], changed=sorted(values))
    return {**row, **values, "updated_at": tx.now}


def extend(tx: Transaction, caller: Caller, row: Mapping[str, Any], size_gib: int, defaults: Mapping[str, int]) -> str:
    """Make the locked volume `row`, its project's quota locked too, `size_gib` large; the operation's id."""
    if row["status"] != "available":
        raise InvalidVolume(
            reason=f"Volume {row['id']} status must be '{{'status': 'available'}}' to extend, "
            f"currently {row['status']}.",
            blockers=blockers(tx, row),
        )
    if size_gib <= row["size_gib"]:
        raise InvalidInput(
            reason="New size for extend must be greater than current size. "
            f"(current: {row['size_gib']}, extended: {size_gib})."
        )
    more = size_gib - row["size_gib"] if row["consumes_quota"] else 0
    if more:
        project, type = row["project_id"], row["type_id"]
        quota.charge(tx, project, type, count=0, gigabytes=more, size_gib=size_gib, defaults=defaults)
    return begin(tx, "extend-volume", row, caller, {"size_gib": size_gib, "more_gib": more})


def delete(tx: Transaction, caller: Caller, row: Mapping[str, Any], *, force: bool = False) -> str | None:
    """Begin to delete the locked volume `row`; nothing where that has begun already. With `force`, in any status."""
    if row["status"] == "deleting":
        return None
    if not force:
        custody.permit(caller, row)
    held, waiting = attachment.held(tx, row["id"]), layers.waiting(tx, row)
    if held or waiting or row["migration_status"] or not (force or row["status"] in DELETABLE):
        made = tuple(Blocker("volume", one["id"], one["project_id"]) for one in waiting)
        raise NotDeletable(blockers=(*blockers(tx, row), *made))
    return begin(tx, "delete-volume", row, caller, deadline_s=30 * 86400.0)


def cancel_all(tx: Transaction, id: str) -> None:
    """Turn back what is under way on the volume, where that is possible. Called before its row is locked."""
    open_ones = [row["id"] for row in journal.open_on(tx, "volume", [id]) if row["kind"] != "delete-volume"]
    for row in tx.lock(operations, open_ones):
        journal.cancel(tx, row["id"])


def blockers(tx: Transaction, row: Mapping[str, Any]) -> tuple[Blocker, ...]:
    """Who keeps the volume from being changed: its attachments and what is under way on it."""
    held = [Blocker("attachment", a["id"], a["project_id"]) for a in attachment.held(tx, row["id"])]
    return (*held, *under_way(tx, row["id"]))


def under_way(tx: Transaction, id: str) -> tuple[Blocker, ...]:
    """What is being done to the volume."""
    return tuple(Blocker("operation", o["id"], o["project_id"]) for o in journal.open_on(tx, "volume", [id]))


def gone(tx: Transaction, id: str) -> None:
    """Forget the volume, whose bytes are gone, and give its project back what it had."""
    row = tx.get(volumes, id)
    if row is None:
        return
    quota.lock(tx, row["project_id"])
    if row["consumes_quota"]:
        quota.release(tx, row["project_id"], row["type_id"], count=1, gigabytes=row["size_gib"])
    tx.run(volumes.delete().where(volumes.c.id == id))
    events.record(tx, "volume.deleted", "volume", id, row["project_id"])
