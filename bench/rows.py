"""
Whether anything grows with the number of rows: python -m bench.rows [--most 1000000]

Fills a SQLite database of its own, straight by SQL, and times what a page of 100 volumes and the statements of an
attachment's life take in it, at one size after the other.  Prints a table and, with --explain, how each query is found.
"""

import argparse
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from moorage.core.caller import Caller
from moorage.core.paging import Order, Page
from moorage.database import Database, Transaction
from moorage.database.migrate import upgrade
from moorage.database.paging import page_of, paged
from moorage.operations import claims, journal
from moorage.operations.records import State, operations
from moorage.volumes import bootstrap, status, volume
from moorage.volumes.attachments import attachment, reservation
from moorage.volumes.backend import Door
from moorage.volumes.records import attachments, volume_types, volumes
from moorage.volumes.settings import VolumeSettings

CALLER = Caller(user_id="u", project_id="p0", roles=frozenset({"admin", "member"}))
BATCH = 5000
NEWEST, OLDEST = (Order("created_at", True),), (Order("created_at"),)
Measure = tuple[str, Callable[[Transaction], Any]]


def main() -> None:
    """Grow the database, measuring at each size."""
    parser = argparse.ArgumentParser(prog="bench.rows", description=__doc__)
    parser.add_argument("--most", type=int, default=1_000_000, help="how many volumes at the end")
    parser.add_argument("--rounds", type=int, default=60, help="how often each query is asked")
    parser.add_argument("--explain", action="store_true", help="print how the database finds each query's rows")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-rows-") as folder:
        database = Database(f"sqlite:///{Path(folder) / 'rows.db'}")
        upgrade(database)
        database.transact(lambda tx: bootstrap.bootstrap(tx, VolumeSettings()))
        print("| volumes | attachments, ended | what | p50 ms | p99 ms |\n|---|---|---|---|---|")
        sizes, there = [1000, 10_000, 100_000, 1_000_000], 0
        for size in [size for size in sizes if size <= asked.most]:
            fill(database, there, size)
            there = size
            for name, p50, p99 in measured(database, asked.rounds):
                print(f"| {size} | {size // 10}, {size // 10} | {name} | {p50:.2f} | {p99:.2f} |", flush=True)
        if asked.explain:
            explain(database)
        database.close()


def fill(database: Database, there: int, size: int) -> None:
    """Bring the volumes to `size`; every tenth has an attachment, as many have ended, every volume has a history."""
    with database.read() as tx:
        kind = tx.value(select(volume_types.c.id))
    for first in range(there, size, BATCH):
        numbers = range(first, min(first + BATCH, size))
        with database.write() as tx:
            tx.run(insert(volumes), [_volume(n, kind) for n in numbers])
            tx.run(insert(attachments), [_claim(n, state) for n in numbers if n % 10 == 0 for state in STATES])
            tx.run(insert(operations), [_operation(n) for n in numbers])
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


STATES = (attachment.State.ATTACHED, attachment.State.DETACHED)


def _project(n: int) -> str:
    return f"p{n % 50}" if n % 10 == 5 else "p0"  # one project has nearly all: the worst case of its lists


def _id(kind: str, n: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}{n}"))


# fmt: off
def _volume(n: int, kind: str) -> dict[str, Any]:
    return {
        "id": _id("v", n), "project_id": _project(n), "user_id": "u", "name": f"name-{n % 1000}",
        "size_gib": n % 64 + 1, "status": "in-use" if n % 10 == 0 else "error" if n % 100 == 1 else "available",
        "type_id": kind, "backend": "files", "host": "h", "availability_zone": "nova", "head": f"volumes/{n}/h",
        "cache": "back", "multiattach": False, "bootable": n % 2 == 0, "metadata": {"n": str(n)}, "created_at": n + 1,
        "made": {"path": "blank", "bytes": 0, "ms": 3, "why": None},
    }


def _claim(n: int, state: str) -> dict[str, Any]:
    return {
        "id": _id(f"a{state}", n), "volume_id": _id("v", n), "project_id": _project(n), "user_id": "u",
        "instance_uuid": _id("i", n), "state": str(state), "mode": "rw", "host": f"host-{n % 100}", "generation": 1,
        "connector": {"host": "x"}, "door": "tls", "created_at": n + 1, "attached_at": n + 2,
    }


def _operation(n: int) -> dict[str, Any]:
    return {
        "id": _id("o", n), "kind": "create-volume", "queue": "host:h", "state": State.DONE, "back": False,
        "input": {}, "results": {}, "step": 1, "resource_kind": "volume", "resource_id": _id("v", n),
        "project_id": _project(n), "user_id": "u", "epoch": 1, "not_before": 0, "attempts": 0, "cancel": False,
        "created_at": n + 1, "updated_at": n + 2, "ended_at": n + 2,
    }


def lists() -> Iterator[Measure]:
    """Pages as the API asks for them."""
    v = volumes.c
    middle = _id("v", 500)

    def own(order: tuple[Order, ...], marker: bool = False) -> Callable[[Transaction], Any]:
        page = Page(100, order=order)
        return lambda tx: page_of(tx, volumes, page, tx.get(volumes, middle) if marker else None, project_id="p0")

    def filtered(*where: Any, order: tuple[Order, ...] = NEWEST) -> Callable[[Transaction], Any]:
        query = paged(select(volumes).where(*where), volumes, Page(100, order=order))
        return lambda tx: tx.all(query)

    yield "a project's newest", own(NEWEST)
    yield "a project's oldest", own(OLDEST)
    yield "a project's, after a marker", own(NEWEST, marker=True)
    yield "a project's, by name", own((Order("name"),))
    yield "a project's, by size", own((Order("size_gib", True),))
    yield "a project's, of a status that many have", filtered(v.project_id == "p0", v.status == "available")
    yield "a project's, of a status that few have", filtered(v.project_id == "p0", v.status == "error")
    yield "a project's, of a name", filtered(v.project_id == "p0", v.name == "name-50")
    yield "everybody's newest", lambda tx: page_of(tx, volumes, Page(100, order=NEWEST), None)
    yield "everybody's, by name", lambda tx: page_of(tx, volumes, Page(100, order=(Order("name"),)), None)
    yield "everybody's, of a name", filtered(v.name == "name-50")
    yield "everybody's, of a status that few have", filtered(v.status == "error")
    yield "everybody's, of a status that none has", filtered(v.status == "maintenance")
    a = attachments.c
    held = a.state != str(attachment.State.DETACHED)
    for name, where in (
        ("a project's attachments", (a.project_id == "p0", held)),
        ("a volume's attachments", (a.volume_id == _id("v", 0), held)),
        ("a server's attachments", (a.instance_uuid == _id("i", 0), held)),
        ("a host's attachments", (a.host == "host-10", held)),
    ):
        query = paged(select(attachments).where(*where), attachments, Page(100))
        yield name, lambda tx, query=query: tx.all(query)
# fmt: on


def cycle(tx: Transaction) -> None:
    """The statements of an attachment's life, its two operations included, without a backend."""
    row = volume.locked(tx, CALLER, _id("v", 3))
    claim, _ = reservation.reserve(tx, CALLER, row, None, "rw")
    for connector in ({"host": "h"},):
        reservation.publish(tx, CALLER, row, claim, connector, Door.SOCKET)
    _carry_out(tx)
    claim = reservation.find(tx, CALLER, claim["id"])
    reservation.record(tx, claim, {"uri": "nbd+unix:///x"})
    reservation.complete(tx, CALLER, row, {**claim, "connection": {"uri": "x"}})
    claim = reservation.find(tx, CALLER, claim["id"])
    reservation.withdraw(tx, CALLER, row, [claim])
    _carry_out(tx)
    reservation.release(tx, claim)
    status.evaluate(tx, row["id"])


def _carry_out(tx: Transaction) -> None:
    for operation in claims.claim(tx, "me", ["host:h"], 10.0, 1):
        journal.end(tx, operation["id"], operation["epoch"], State.DONE)


def measured(database: Database, rounds: int) -> Iterator[tuple[str, float, float]]:
    """What each measure takes, in CPU time of this thread: other work on the machine must not count."""
    for name, query in lists():
        times = []
        for _ in range(rounds):
            with database.read() as tx:
                began = time.thread_time()
                query(tx)
                times.append(time.thread_time() - began)
        yield (name, *_quantiles(times))
    times = []
    for _ in range(rounds):
        with database.write() as tx:
            began = time.thread_time()
            cycle(tx)
            times.append(time.thread_time() - began)
    yield ("an attachment's whole life", *_quantiles(times))


def _quantiles(times: list[float]) -> tuple[float, float]:
    ordered = sorted(times[1:])  # the first one prepares the statement
    return tuple(ordered[min(len(ordered) - 1, int(len(ordered) * q))] * 1000 for q in (0.5, 0.99))  # type: ignore[return-value]


def explain(database: Database) -> None:
    """How the database finds the rows of each list."""
    for name, query in lists():
        said: list[str] = []
        with database.engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            raw.set_trace_callback(said.append)
            query(Transaction(connection, 0, locks_rows=False, writes=False))
            raw.set_trace_callback(None)
            plan = raw.execute("EXPLAIN QUERY PLAN " + said[-1]).fetchall()
        print(f"{name}: " + "; ".join(str(row[3]) for row in plan))


if __name__ == "__main__":
    main()
