"""Events are numbered in the order of the commits, so that whoever reads on misses none."""

import threading

from sqlalchemy import select, text

from moorage.database import Database
from moorage.operations import events, records
from tests.operations.test_journal import both

WRITERS, EACH = 6, 25


def test_a_reader_who_goes_on_from_the_last_one_misses_none(database: Database) -> None:
    writing = threading.Event()
    writing.set()
    seen: list[int] = []

    def write(writer: int) -> None:
        for n in range(EACH):
            with database.write() as tx:
                events.record(tx, "thing.changed", "thing", f"{writer}-{n}", "p")
                if n % 3 == 0 and tx.dialect == "postgresql":  # the numbers must follow commits, not first statements
                    tx.value(text("SELECT pg_sleep(0.002)"))

    def read() -> None:
        while True:
            last_look = not writing.is_set()
            with database.read() as tx:
                found = events.since(tx, seen[-1] if seen else 0, limit=7)
            seen.extend(event["id"] for event in found)
            if last_look and not found:
                return

    reader = threading.Thread(target=read)
    reader.start()
    assert both(*(lambda w=w: write(w) for w in range(WRITERS))) == [None] * WRITERS
    writing.clear()
    reader.join(30)
    with database.read() as tx:
        everything = [row["id"] for row in tx.all(select(records.events.c.id).order_by(records.events.c.id))]
    assert len(everything) == WRITERS * EACH and seen == everything


def test_an_event_is_written_after_all_hooks_of_its_transaction(database: Database) -> None:
    order: list[str] = []
    with database.write() as tx:
        events.record(tx, "a.b", "thing", "1", None)
        tx.before_commit(lambda tx: order.append(f"hook, with {len(events.since(tx, 0))} events"))
    with database.read() as tx:
        assert order == ["hook, with 0 events"] and len(events.since(tx, 0)) == 1


def test_what_is_rolled_back_happened_to_nobody(database: Database) -> None:
    try:
        with database.write() as tx:
            events.record(tx, "a.b", "thing", "1", None)
            raise RuntimeError
    except RuntimeError:
        pass
    with database.read() as tx:
        assert events.since(tx, 0) == []


def test_old_events_are_forgotten(database: Database) -> None:
    with database.write() as tx:
        events.record(tx, "a.b", "thing", "1", None, size_gib=3)
        at = tx.now
    with database.write() as tx:
        assert events.since(tx, 0)[0]["facts"] == {"size_gib": 3}
        assert events.forget(tx, at) == 0 and events.forget(tx, at + 1) == 1
