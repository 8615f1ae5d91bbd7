"""
Namespaces: what metadata definitions are gathered in.

Its row stands for all that is in it: whoever changes something there locks it first.  A private one is there for its
owner alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Executable, delete, exists, insert, or_, select, true, update
from sqlalchemy.exc import IntegrityError

from moorage.core.caller import Caller, Rule
from moorage.core.ids import new_uuid
from moorage.core.paging import Page
from moorage.database import Transaction
from moorage.database.paging import paged
from moorage.images.access.rules import permit
from moorage.images.errors import MarkerUnknown
from moorage.images.metadefs import rules
from moorage.images.metadefs.errors import NamespaceNotFound, NamespaceProtected, NamespaceTaken, NameUnfit
from moorage.images.metadefs.records import NAME, associations, definitions, namespaces
from moorage.operations import events

n = namespaces.c


class Visibility(StrEnum):
    PUBLIC = "public"  #: everybody
    PRIVATE = "private"  #: its owner, and administrators


@dataclass(frozen=True)
class Wanted:
    """Which namespaces a list is asked for."""

    page: Page
    visibility: str | None = None
    resource_types: Sequence[str] = ()


def find(tx: Transaction, caller: Caller, name: str) -> Mapping[str, Any]:
    """The namespace, for a caller who sees it."""
    permit(caller, rules.GET_NAMESPACE)
    row = tx.one(select(namespaces).where(n.namespace == name)) if len(name) <= 255 else None
    if row is None or not _sees(caller, row):
        raise NamespaceNotFound(namespace=name[:80])
    return row


def find_locked(tx: Transaction, caller: Caller, name: str, rule: Rule) -> Mapping[str, Any]:
    """The namespace, for a caller who may do what `rule` says; nobody else changes what is in it."""
    id = find(tx, caller, name)["id"]
    permit(caller, rule)
    rows = tx.lock(namespaces, [id])
    if not rows or rows[0]["namespace"] != name:
        raise NamespaceNotFound(namespace=name[:80])
    return rows[0]


def page_of(tx: Transaction, caller: Caller, wanted: Wanted) -> Sequence[Mapping[str, Any]]:
    """The page of namespaces that is wanted, as far as the caller sees them."""
    permit(caller, rules.GET_NAMESPACE)
    marker = _marker(tx, caller, wanted.page.marker)
    if wanted.page.limit == 0:
        return []
    query = select(namespaces).where(_seen_by(caller))
    if wanted.visibility is not None:
        query = query.where(n.visibility == wanted.visibility)
    if wanted.resource_types:
        a = associations.c
        query = query.where(exists().where(a.namespace_id == n.id, a.name.in_(wanted.resource_types)))
    return tx.all(paged(query, namespaces, wanted.page, marker))


def _marker(tx: Transaction, caller: Caller, name: str | None) -> Mapping[str, Any] | None:
    if name is None:
        return None
    try:
        return find(tx, caller, name)
    except NamespaceNotFound:
        raise MarkerUnknown(marker=name[:80]) from None


def create(tx: Transaction, caller: Caller, columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """A namespace with nothing in it, of the caller's project unless it is said whose."""
    permit(caller, rules.ADD_NAMESPACE)
    check_name(columns["namespace"])
    defaults = {"visibility": Visibility.PRIVATE, "protected": False, "owner": caller.project_id}
    row = {**dict.fromkeys(("display_name", "description")), **defaults, **columns}
    row |= {"id": new_uuid(), "created_at": tx.now, "updated_at": tx.now}
    _write(tx, insert(namespaces).values(**row), columns["namespace"])
    _tell(tx, caller, "made", row)
    return row


def change(tx: Transaction, caller: Caller, name: str, columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """The namespace has these attributes; what is in it stays."""
    row = find_locked(tx, caller, name, rules.SET_NAMESPACE)
    check_name(columns["namespace"])
    changed = update(namespaces).where(n.id == row["id"]).values(**columns, updated_at=tx.now)
    _write(tx, changed, columns["namespace"])
    _tell(tx, caller, "changed", row)
    return {**row, **columns, "updated_at": tx.now}


def _write(tx: Transaction, statement: Executable, name: str) -> None:
    try:
        tx.run(statement)
    except IntegrityError:
        raise NamespaceTaken(namespace=name) from None


def remove(tx: Transaction, caller: Caller, name: str) -> None:
    """There is no such namespace, nor anything that was in it."""
    row = find_locked(tx, caller, name, rules.DROP_NAMESPACE)
    if row["protected"]:
        raise NamespaceProtected(namespace=name)
    for table in (definitions, associations):
        tx.run(delete(table).where(table.c.namespace_id == row["id"]))
    tx.run(delete(namespaces).where(n.id == row["id"]))
    _tell(tx, caller, "deleted", row)


def touched(tx: Transaction, caller: Caller, row: Mapping[str, Any]) -> None:
    """Tell that something in the namespace has changed."""
    _tell(tx, caller, "changed", row)


def check_name(name: str) -> None:
    """Refuse a name that no path can have, or no row."""
    if "/" in name or name in (".", "..") or not 0 < len(name) <= NAME:
        raise NameUnfit(name=name[:80])


def _tell(tx: Transaction, caller: Caller, what: str, row: Mapping[str, Any]) -> None:
    project = None if row["visibility"] == Visibility.PRIVATE and not row["owner"] else row["owner"]
    events.record(tx, f"namespace.{what}", "namespace", row["id"], project, caller.request_id, name=row["namespace"])


def _sees(caller: Caller, row: Mapping[str, Any]) -> bool:
    return row["visibility"] == Visibility.PUBLIC or caller.sees(row["owner"])


def _seen_by(caller: Caller) -> ColumnElement[bool]:
    if caller.is_admin:
        return true()
    return or_(n.visibility == Visibility.PUBLIC, n.owner == (caller.project_id or ""))
