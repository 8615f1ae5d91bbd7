"""Definitions: properties, objects (properties that belong together) and tags, each with its name in its namespace."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.images.metadefs import namespaces, rules
from moorage.images.metadefs.errors import DefinitionNotFound, DefinitionTaken, TooManyDefinitions
from moorage.images.metadefs.records import definitions

d = definitions.c

Row = Mapping[str, Any]

LIMIT = 1000  #: of one kind in one namespace


class Kind(StrEnum):
    PROPERTY = "property"
    OBJECT = "object"
    TAG = "tag"


def within(tx: Transaction, namespace_id: str, kind: Kind) -> Sequence[Row]:
    """All of one kind in a namespace, the newest first."""
    query = select(definitions).where(d.namespace_id == namespace_id, d.kind == kind)
    return tx.all(query.order_by(d.position.desc()))


def index(tx: Transaction, caller: Caller, namespace: str, kind: Kind) -> Sequence[Row]:
    """All of one kind, for a caller who sees the namespace."""
    return within(tx, namespaces.find(tx, caller, namespace)["id"], kind)


def show(tx: Transaction, caller: Caller, namespace: str, kind: Kind, name: str) -> Row:
    """One definition."""
    return _get(tx, namespaces.find(tx, caller, namespace), kind, name)


def add(tx: Transaction, caller: Caller, namespace: str, kind: Kind, body: Mapping[str, Any]) -> Row:
    """The namespace has the definition `body`, whose name nothing else of its kind has there."""
    row = namespaces.find_locked(tx, caller, namespace, rules.add(kind))
    enter(tx, row, kind, [body])
    namespaces.touched(tx, caller, row)
    return _get(tx, row, kind, body["name"])


def enter(tx: Transaction, row: Row, kind: Kind, bodies: Sequence[Mapping[str, Any]]) -> None:
    """The definitions are in a namespace that is locked, the last one being the newest."""
    of_kind = (d.namespace_id == row["id"]) & (d.kind == kind)
    there = tx.all(select(d.name, d.position).where(of_kind))
    if len(there) + len(bodies) > LIMIT:
        raise TooManyDefinitions(limit=LIMIT)
    names, last = {one["name"] for one in there}, max((one["position"] for one in there), default=0)
    for position, body in enumerate(bodies, last + 1):
        name = body["name"]
        namespaces.check_name(name)
        if name in names:
            raise DefinitionTaken(kind=kind, name=name, namespace=row["namespace"])
        names.add(name)
        own = {"namespace_id": row["id"], "kind": kind, "name": name, "position": position}
        times = {"created_at": tx.now, "updated_at": tx.now}
        tx.run(insert(definitions).values(**own, body=_kept(body), **times))


def replace_tags(tx: Transaction, caller: Caller, namespace: str, names: Sequence[str], *, keep: bool) -> None:
    """The namespace has these tags, and with `keep` also those that it had."""
    row = namespaces.find_locked(tx, caller, namespace, rules.add(Kind.TAG))
    if keep:
        there = {one["name"] for one in within(tx, row["id"], Kind.TAG)}
        names = [name for name in names if name not in there]
    else:
        tx.run(delete(definitions).where(d.namespace_id == row["id"], d.kind == Kind.TAG))
    enter(tx, row, Kind.TAG, [{"name": name} for name in names])
    namespaces.touched(tx, caller, row)


def change(tx: Transaction, caller: Caller, namespace: str, kind: Kind, name: str, body: Mapping[str, Any]) -> Row:
    """The definition is `body`, under its name there."""
    row = namespaces.find_locked(tx, caller, namespace, rules.modify(kind))
    _get(tx, row, kind, name)
    new = body["name"]
    namespaces.check_name(new)
    one = (d.namespace_id == row["id"]) & (d.kind == kind)
    if new != name and tx.value(select(func.count()).where(one, d.name == new)):
        raise DefinitionTaken(kind=kind, name=new, namespace=namespace)
    values = {"name": new, "body": _kept(body), "updated_at": tx.now}
    tx.run(update(definitions).where(one, d.name == name).values(**values))
    namespaces.touched(tx, caller, row)
    return _get(tx, row, kind, new)


def remove(tx: Transaction, caller: Caller, namespace: str, kind: Kind, name: str) -> None:
    """The definition is gone."""
    row = namespaces.find_locked(tx, caller, namespace, rules.remove(kind))
    one = (d.namespace_id == row["id"]) & (d.kind == kind) & (d.name == name)
    if not tx.run(delete(definitions).where(one)):
        raise DefinitionNotFound(kind=kind, name=name[:80])
    namespaces.touched(tx, caller, row)


def clear(tx: Transaction, caller: Caller, namespace: str, kind: Kind) -> None:
    """The namespace has none of this kind."""
    row = namespaces.find_locked(tx, caller, namespace, rules.remove(kind))
    tx.run(delete(definitions).where(d.namespace_id == row["id"], d.kind == kind))
    namespaces.touched(tx, caller, row)


def _get(tx: Transaction, row: Row, kind: Kind, name: str) -> Row:
    one = (d.namespace_id == row["id"]) & (d.kind == kind) & (d.name == name)
    found = tx.one(select(definitions).where(one))
    if found is None:
        raise DefinitionNotFound(kind=kind, name=name[:80])
    return found


def _kept(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "name"}
