"""Looking rows up, and changing them, for all nouns of Identity alike."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, delete, insert, select, update

from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity.errors import Immutable, Missing, Taken

#: What each table's rows are called in refusals.
KINDS = {
    "identity_domains": "domain",
    "identity_projects": "project",
    "identity_users": "user",
    "identity_groups": "group",
    "identity_roles": "role",
    "identity_regions": "region",
    "identity_services": "service",
    "identity_endpoints": "endpoint",
    "identity_application_credentials": "Application Credential",
}

MOST = 10_000  #: rows of one list; a longer one says that it was cut


def find(tx: Transaction, table: Table, id: str) -> Row | None:
    """The row with this id, if there is one."""
    return tx.one(select(table).where(table.c.id == id))


def get(tx: Transaction, table: Table, id: str) -> Row:
    """The row with this id, or `Missing`."""
    row = find(tx, table, id)
    if row is None:
        raise Missing(kind=KINDS[table.name], id=id[:64])
    return row


def named(tx: Transaction, table: Table, name: str, domain_id: str | None = None) -> Row | None:
    """The row with this name (in this domain), if there is one."""
    query = select(table).where(table.c.name == name)
    return tx.one(query if domain_id is None else query.where(table.c.domain_id == domain_id))


def listed(tx: Transaction, table: Table, **equal: Any) -> list[Row]:
    """The rows whose columns equal what is given (None: whatever it is), in the order of their names."""
    query = select(table)
    for column, value in equal.items():
        if value is not None:
            query = query.where(table.c[column] == value)
    order = [table.c[c] for c in ("name", "id") if c in table.c]
    return list(tx.all(query.order_by(*order).limit(MOST + 1)))


def must_be_free(
    tx: Transaction, table: Table, name: str, domain_id: str | None = None, but: str | None = None
) -> None:
    """Raise `Taken` if another row than `but` has this name (in this domain)."""
    row = named(tx, table, name, domain_id)
    if row is not None and row["id"] != but:
        where = f" at domain ID {domain_id}" if domain_id else ""
        raise Taken(kind=KINDS[table.name], reason=f"Duplicate entry found with name {name}{where}")


def add(tx: Transaction, table: Table, **values: Any) -> Row:
    """The row that was made of these values."""
    tx.run(insert(table).values(**values))
    return get(tx, table, values["id"])


def change(tx: Transaction, table: Table, id: str, values: Mapping[str, Any]) -> Row:
    """The row after these values were set."""
    if values:
        tx.run(update(table).where(table.c.id == id).values(**values))
    return get(tx, table, id)


def merged(row: Row, asked: Mapping[str, Any], kind: str, names: tuple[str, ...]) -> dict[str, Any]:
    """What to set of `row`: the columns `names` as asked; options and extra keys are added to those that it has."""
    values = {name: asked[name] for name in names if name in asked}
    for column in ("options", "extra"):
        if column in row and asked.get(column):
            values[column] = {k: v for k, v in {**row[column], **asked[column]}.items() if v is not None}
    options = dict(row).get("options") or {}
    if options.get("immutable") and values.get("options", options).get("immutable"):
        raise Immutable(kind=kind, id=row["id"])
    return values


def drop(tx: Transaction, table: Table, **equal: Any) -> int:
    """How many rows, whose columns equal what is given, are gone."""
    statement = delete(table)
    for column, value in equal.items():
        statement = statement.where(table.c[column] == value)
    return tx.run(statement)
