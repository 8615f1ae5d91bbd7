"""Which kinds of resources the definitions of a namespace are for, and how their names begin there."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.database.among import among
from moorage.images.access.rules import permit
from moorage.images.metadefs import namespaces, rules
from moorage.images.metadefs.errors import AssociationNotFound, AssociationTaken
from moorage.images.metadefs.records import associations, resource_types

a = associations.c

Row = Mapping[str, Any]


def types(tx: Transaction, caller: Caller) -> Sequence[Row]:
    """All kinds of resources that anybody has named."""
    permit(caller, rules.GET_NAMESPACE)
    return tx.all(select(resource_types).order_by(resource_types.c.created_at, resource_types.c.id))


def of(tx: Transaction, namespace_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The associations of these namespaces."""
    found: dict[str, list[Row]] = {id: [] for id in namespace_ids}
    if found:
        for row in tx.all(select(associations).where(among(a.namespace_id, namespace_ids)).order_by(a.name)):
            found[row["namespace_id"]].append(row)
    return found


def index(tx: Transaction, caller: Caller, namespace: str) -> Sequence[Row]:
    """What the namespace's definitions are for."""
    id = namespaces.find(tx, caller, namespace)["id"]
    return of(tx, [id])[id]


def add(tx: Transaction, caller: Caller, namespace: str, asked: Mapping[str, Any]) -> Row:
    """The namespace's definitions are for the resource type as well, which is known from now on."""
    row = namespaces.find_locked(tx, caller, namespace, rules.ASSOCIATE)
    made = enter(tx, row, asked)
    namespaces.touched(tx, caller, row)
    return made


def enter(tx: Transaction, row: Row, asked: Mapping[str, Any]) -> Row:
    """The association, in a namespace that is locked."""
    name = asked["name"]
    namespaces.check_name(name)
    if tx.value(select(a.name).where(a.namespace_id == row["id"], a.name == name)) is not None:
        raise AssociationTaken(name=name, namespace=row["namespace"])
    _know(tx, name)
    columns = {key: asked.get(key) for key in ("prefix", "properties_target")}
    made = {"namespace_id": row["id"], "name": name, **columns, "created_at": tx.now, "updated_at": tx.now}
    tx.run(insert(associations).values(**made))
    return made


def _know(tx: Transaction, name: str) -> None:
    tx.enter_unless_there(resource_types, {"id": name, "created_at": tx.now})


def remove(tx: Transaction, caller: Caller, namespace: str, name: str) -> None:
    """The namespace's definitions are not for the resource type any more."""
    row = namespaces.find_locked(tx, caller, namespace, rules.DISSOCIATE)
    if not tx.run(delete(associations).where(a.namespace_id == row["id"], a.name == name)):
        raise AssociationNotFound(name=name[:80], namespace=namespace)
    namespaces.touched(tx, caller, row)


def prefix_of(tx: Transaction, row: Row, resource_type: str) -> str:
    """How names of properties begin on resources of this type."""
    found = tx.one(select(associations).where(a.namespace_id == row["id"], a.name == resource_type))
    return (found["prefix"] or "") if found else ""
