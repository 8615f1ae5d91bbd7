"""
Bytes: the layers and image objects that there are, against those that rows name.

What is there is listed before the rows are read: bytes that an operation makes in between are its own or have a row by
then.  Bytes without a row are deleted only when somebody says so, and not where a row has their name in another place;
rows without bytes are never touched.
"""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Table, select

from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.flows.images.clear import KIND as CLEAR
from moorage.flows.images.clear import STAGING
from moorage.flows.reconciliation.finding import Finding, found
from moorage.flows.rooms import Rooms
from moorage.images.records import locations, staged
from moorage.operations import journal
from moorage.operations.records import operations
from moorage.volumes.copies import State
from moorage.volumes.records import copies, layers, volumes

SEGMENTS = ".part/"  #: what the names of a large object's parts have behind its own, in a store of Swift
STAGED = "staging/"  #: how the names of staged bytes begin; a store in the same directory sees them too

#: Bytes are named for the run of the operation that makes them.
_MAKER = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-\d+")


def layer_drift(rooms: Rooms) -> Iterator[Finding]:
    """What is wrong with the layers of each backend."""
    for name, backend in rooms.backends.items():
        try:
            there = backend.layers()
        except (Problem, OSError) as problem:
            yield found("unreadable", what=f"Backend {name}", error=str(problem))
            continue
        with rooms.database.read() as tx:
            rows = _named(tx, layers, "id", layers.c.backend == name, layers.c.image_id.is_(None))
            others = _places(tx, layers.c.id, layers.c.backend, layers.c.backend != name)
            working = _working(tx)
            to_come = set(_named(tx, copies, "layer", copies.c.state != State.WHOLE))
            users = {id: _users(tx, id) for id in sorted(set(rows) - there - to_come)}
        for id in sorted(there - set(rows)):
            if id in others:
                yield found("layer-elsewhere", layer=id, backend=name, other=others[id])
            elif _maker(id) not in working:
                yield found("layer-orphan", layer=id, backend=name)
        for id, volumes_ in users.items():
            if _maker(id) not in working:
                yield found("layer-missing", layer=id, backend=name, volumes=", ".join(volumes_) or "none")


def object_drift(rooms: Rooms) -> Iterator[Finding]:
    """What is wrong with the objects of each store."""
    for id, store in rooms.stores.items():
        if store.traits.read_only:
            continue
        try:
            there = store.names()
        except (Problem, OSError) as problem:
            yield found("unreadable", what=f"Store {id}", error=str(problem))
            continue
        with rooms.database.read() as tx:
            query = select(locations).where(locations.c.store == id)
            rows: dict[str, Any] = {row["object"]: row["image_id"] for row in tx.all(query)}
            lain_on = set(_named(tx, layers, "id", layers.c.store == id)) | _leaving(tx, id)
            others = _places(tx, locations.c.object, locations.c.store, locations.c.store != id)
            others |= _places(tx, layers.c.id, layers.c.store, layers.c.store != id)
            working = _working(tx)
        there -= {name for name in there if name.startswith(STAGED)}
        for name in sorted(there - set(rows) - lain_on):
            if (whole := name.partition(SEGMENTS)[0]) in others:
                yield found("object-elsewhere", object=name, store=id, other=others[whole])
            elif _maker(name) not in working:
                yield found("object-orphan", object=name, store=id)
        for name in sorted(set(rows) - there):
            if _maker(name) not in working:
                yield found("object-missing", object=name, store=id, image=rows[name])


def staged_drift(rooms: Rooms) -> Iterator[Finding]:
    """Staged bytes that no row names; those that rows name and that are gone, an import says."""
    if rooms.staging is None:
        return
    try:
        there = {name for name in rooms.staging.names() if name.startswith(STAGED)}
    except (Problem, OSError) as problem:
        yield found("unreadable", what="The staging area", error=str(problem))
        return
    with rooms.database.read() as tx:
        named = set(_named(tx, staged, "object"))
        working = _working(tx)
    for name in sorted(there - named):
        if _maker(name) not in working:
            yield found("object-orphan", object=name, store=STAGING)


def _leaving(tx: Transaction, store: str) -> set[str]:
    """What open operations are about to clear away in the store."""
    query = select(operations.c.input).where(operations.c.kind == CLEAR, journal.is_open())
    return {row["input"]["object"] for row in tx.all(query) if row["input"]["store"] == store}


def _named(tx: Transaction, table: Table, column: str, *where: Any) -> list[str]:
    return [row[column] for row in tx.all(select(table.c[column]).where(*where))]


def _places(tx: Transaction, name: Any, place: Any, *where: Any) -> dict[str, str]:
    """Where else there are bytes of a name, by that name."""
    return {row["name"]: row["place"] for row in tx.all(select(name.label("name"), place.label("place")).where(*where))}


def _working(tx: Transaction) -> frozenset[str]:
    return frozenset(row["id"] for row in tx.all(select(operations.c.id).where(journal.is_open())))


def _maker(name: str) -> str | None:
    match = _MAKER.search(name.rpartition("/")[2])
    return match[1] if match else None


def _users(tx: Transaction, layer: str) -> list[str]:
    """The volumes whose chains hold the layer."""
    names, found_ = [layer], []
    for name in names:
        found_ += _named(tx, volumes, "id", (volumes.c.head == name) | (volumes.c.base == name))
        names += _named(tx, layers, "id", layers.c.parent == name)
    return sorted(set(found_))
