"""Volume types: what a new volume is like. A volume keeps what its type said when it was made."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from moorage.core.caller import Caller
from moorage.core.errors import Blocker
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.operations import events
from moorage.volumes.backend import Cache
from moorage.volumes.errors import (
    AccessExists,
    AccessNotFound,
    DefaultTypeNotFound,
    InvalidInput,
    InvalidType,
    TypeExists,
    TypeNameNotFound,
    TypeNotFound,
)
from moorage.volumes.records import default_types, type_access, volume_types, volumes

MULTIATTACH = "multiattach"
WRITE_CACHE = "moorage:write_cache"  #: "back" or "through": what an acknowledged write of the type's volumes survives
MOST_NAMED = 100  #: volumes that a refusal names


def is_true(spec: str | None) -> bool:
    """Whether an extra spec's value asks for a capability."""
    return spec is not None and spec.strip().lower() in ("<is> true", "true")


def write_cache(specs: Mapping[str, str]) -> str | None:
    """The write cache that a type asks for; None where it says nothing."""
    asked = specs.get(WRITE_CACHE)
    if asked is not None and asked not in list(Cache):
        raise InvalidInput(reason=f"{WRITE_CACHE} is {' or '.join(Cache)}, not {asked[:64]!r}.")
    return asked


def visible(tx: Transaction, caller: Caller, id: str) -> Mapping[str, Any]:
    """The type `id`, if the caller may see it."""
    row = tx.one(select(volume_types).where(volume_types.c.id == id))
    if row is None or not _sees(tx, caller, row):
        raise TypeNotFound(id=id)
    return row


def by_id(tx: Transaction, id: str) -> Mapping[str, Any]:
    """The type of an existing volume, whoever may see it."""
    row = tx.one(select(volume_types).where(volume_types.c.id == id))
    if row is None:
        raise TypeNotFound(id=id)
    return row


def named(tx: Transaction, caller: Caller, name_or_id: str) -> Mapping[str, Any]:
    """The type of that id, else of that name, if the caller may see it."""
    c = volume_types.c
    for column in (c.id, c.name):
        row = tx.one(select(volume_types).where(column == name_or_id))
        if row is not None and _sees(tx, caller, row):
            return row
    raise TypeNameNotFound(name=name_or_id[:255])


def _sees(tx: Transaction, caller: Caller, row: Mapping[str, Any]) -> bool:
    return bool(row["is_public"]) or caller.is_admin or caller.project_id in projects_of(tx, row["id"])


def projects_of(tx: Transaction, id: str) -> list[str]:
    """The projects that were given access to the type."""
    query = select(type_access.c.project_id).where(type_access.c.type_id == id)
    return [row["project_id"] for row in tx.all(query.order_by(type_access.c.project_id))]


def default(tx: Transaction, project_id: str | None, configured: str) -> Mapping[str, Any]:
    """The type of volumes that name none: the project's own choice, else the configured one."""
    t, d = volume_types, default_types
    if project_id is not None:
        row = tx.one(select(t).join(d, d.c.type_id == t.c.id).where(d.c.project_id == project_id))
        if row is not None:
            return row
    row = tx.one(select(t).where(t.c.name == configured))
    if row is None:
        raise TypeNameNotFound(name=configured)
    return row


def locked(tx: Transaction, id: str) -> Mapping[str, Any]:
    """The type's row, nobody else changing it."""
    found = tx.lock(volume_types, [id])
    if not found:
        raise TypeNotFound(id=id)
    return found[0]


def create(
    tx: Transaction, name: str, description: str | None, is_public: bool, extra_specs: Mapping[str, str]
) -> Mapping[str, Any]:
    """Make a type."""
    write_cache(extra_specs)
    _name_is_free(tx, name, None)
    id = new_uuid()
    values = {"name": name, "description": description, "is_public": is_public, "extra_specs": dict(extra_specs)}
    try:
        tx.run(insert(volume_types).values(id=id, created_at=tx.now, **values))
    except IntegrityError:
        raise TypeExists(name=name) from None
    events.record(tx, "volume-type.created", "volume-type", id, None, name=name)
    return tx.one(select(volume_types).where(volume_types.c.id == id)) or {}


def change(tx: Transaction, row: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change columns of the locked type `row`. Volumes that there are stay what they are."""
    write_cache(values.get("extra_specs", {}))
    if "name" in values and values["name"] != row["name"]:
        _name_is_free(tx, values["name"], row["id"])
    try:
        tx.run(update(volume_types).where(volume_types.c.id == row["id"]).values(updated_at=tx.now, **values))
    except IntegrityError:
        raise TypeExists(name=values["name"]) from None
    events.record(tx, "volume-type.changed", "volume-type", row["id"], None, changed=sorted(values))
    return tx.one(select(volume_types).where(volume_types.c.id == row["id"])) or {}


def remove(tx: Transaction, row: Mapping[str, Any], configured_default: str) -> None:
    """Remove the locked type `row`, which must not be in use or be a default."""
    if row["name"] == configured_default or tx.one(select(default_types).where(default_types.c.type_id == row["id"])):
        raise InvalidType(reason=f"Volume Type {row['id']} deletion is not allowed with the default volume type.")
    reason = f"Volume Type {row['id']} deletion is not allowed with volumes present with the type."
    if users := _users(tx, row["id"]):
        raise InvalidType(reason=reason, blockers=users)
    try:
        tx.run(delete(type_access).where(type_access.c.type_id == row["id"]))
        tx.run(delete(volume_types).where(volume_types.c.id == row["id"]))
    except IntegrityError:  # a volume of the type was made meanwhile
        raise InvalidType(reason=reason) from None
    events.record(tx, "volume-type.deleted", "volume-type", row["id"], None)


def _users(tx: Transaction, id: str) -> tuple[Blocker, ...]:
    c = volumes.c
    query = select(c.id, c.project_id).where(c.type_id == id).order_by(c.created_at, c.id).limit(MOST_NAMED)
    return tuple(Blocker("volume", row["id"], row["project_id"]) for row in tx.all(query))


def _name_is_free(tx: Transaction, name: str, but: str | None) -> None:
    other = tx.value(select(volume_types.c.id).where(volume_types.c.name == name))
    if other is not None and other != but:
        raise TypeExists(name=name, blockers=(Blocker("volume-type", other),))


def grant(tx: Transaction, row: Mapping[str, Any], project_id: str) -> None:
    """Let a project see the locked private type `row`."""
    if row["is_public"]:
        raise InvalidType(reason="Type access modification is not applicable to public volume type.")
    if project_id in projects_of(tx, row["id"]):
        raise AccessExists(type=row["id"], project=project_id)
    tx.run(insert(type_access).values(type_id=row["id"], project_id=project_id))
    events.record(tx, "volume-type.access-granted", "volume-type", row["id"], None, project=project_id)


def deny(tx: Transaction, row: Mapping[str, Any], project_id: str) -> None:
    """Let a project see the locked private type `row` no more."""
    if row["is_public"]:
        raise InvalidType(reason="Type access modification is not applicable to public volume type.")
    c = type_access.c
    if not tx.run(delete(type_access).where(c.type_id == row["id"], c.project_id == project_id)):
        raise AccessNotFound(type=row["id"], project=project_id)
    events.record(tx, "volume-type.access-denied", "volume-type", row["id"], None, project=project_id)


def choose_default(tx: Transaction, project_id: str, row: Mapping[str, Any]) -> None:
    """Make the locked type `row` the type of the project's volumes that name none."""
    tx.run(delete(default_types).where(default_types.c.project_id == project_id))
    tx.run(insert(default_types).values(project_id=project_id, type_id=row["id"]))
    events.record(tx, "volume-type.default-chosen", "volume-type", row["id"], project_id)


def forget_default(tx: Transaction, project_id: str) -> None:
    """Let the project's volumes that name no type have the configured one again."""
    gone = delete(default_types).where(default_types.c.project_id == project_id).returning(default_types.c.type_id)
    id = tx.value(gone)
    if id is None:
        raise DefaultTypeNotFound(project=project_id)
    events.record(tx, "volume-type.default-forgotten", "volume-type", id, project_id)


def defaults(tx: Transaction, project_id: str | None = None) -> Sequence[Mapping[str, Any]]:
    """Which projects have chosen which type."""
    query = select(default_types).order_by(default_types.c.project_id)
    return tx.all(query if project_id is None else query.where(default_types.c.project_id == project_id))
