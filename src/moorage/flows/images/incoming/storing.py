"""
The step of imports and copies that writes the stores, and what takes it back.

Names are written down before the first byte, so that whoever takes over knows what to clear away. Nothing is visible
before the operation's last transaction.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from moorage.core.errors import Problem
from moorage.database import Transaction
from moorage.flows.images.clear import begin_clear, clear
from moorage.flows.images.incoming.filling import Filling, Learning, Place
from moorage.flows.images.incoming.progress import WRITING, Progress
from moorage.flows.images.stores import store_of
from moorage.images.imports import task
from moorage.operations.flow import Work
from moorage.operations.journal import Fenced
from moorage.operations.work import known

BATCH_BYTES = 2 << 20

S = TypeVar("S")


def batches(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces: what hands work to threads is better off with these."""
    batch: list[bytes] = []
    size = 0
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= BATCH_BYTES:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def fill(
    work: Work, stores: Sequence[str], size: int | None, learning: Callable[[], Learning[S]], chunks: Iterable[bytes]
) -> tuple[S, dict[str, Any]]:
    """
    Every store in `stores` has the bytes under a name that no other store uses (volumes that lie on one of them know it
    by that name), or, with `spare` in the operation's input, those that have not failed. What
    was learnt, and, as JSON, the `places` and the reasons of those that `failed`.
    """
    names = {store: f"images/{work.resource_id}/{work.tag}-{n}" for n, store in enumerate(stores)}
    discard(work, but=names.values())
    with work.transaction() as tx:
        for store, name in names.items():
            task.note_store(tx, work.id, store, object=name, reason=None)
    filling = _opened(work, names, size, learning())
    progress = Progress(work, WRITING, size, filling.failures)
    try:
        for batch in batches(chunks):
            filling.take(batch)
            progress.moved(len(batch))
        learnt = filling.close()
        progress.end()
    except BaseException as problem:
        filling.clear()
        if isinstance(problem, Fenced):
            _leave(work, names)
        else:
            _blame(work, filling.failures)
        raise
    failed = {store: problem.sentence for store, problem in filling.failures.items()}
    return learnt, {"places": filling.filled, "failed": failed}


def _opened(work: Work, names: Mapping[str, str], size: int | None, learning: Learning[S]) -> Filling[S]:
    """The stores that there are; one that the configuration has lost has failed."""
    there, lost = {}, {}
    for id, name in names.items():
        try:
            there[id] = Place(store_of(work.rooms, id), name)
        except Problem as problem:
            lost[id] = problem
    if lost and (not work.input["spare"] or not there):
        _blame(work, lost)
        raise next(iter(lost.values()))
    filling = Filling(learning, there, size, spare=work.input["spare"])
    filling.failures |= lost
    return filling


def _blame(work: Work, failures: Mapping[str, Problem]) -> None:
    """Write down which stores have failed, for whoever tries again or ends it."""
    if failures:
        with work.transaction() as tx:
            for store, problem in failures.items():
                task.note_store(tx, work.id, store, reason=known(problem).sentence)


def _leave(work: Work, names: Mapping[str, str]) -> None:
    """Somebody else has the operation: nothing is left of what this one wrote after that."""
    for store, name in names.items():
        try:
            store_of(work.rooms, store).delete(name)
        except Problem:
            continue  # the successor knows the name, and clears it away


def discard(work: Work, but: Collection[str] = ()) -> None:
    """No store has any bytes of this operation, save those named in `but`."""
    with work.transaction() as tx:  # fenced: whoever was succeeded must not learn the names of his successor here
        rows = task.stores_of(tx, [work.id])
    for row in rows:
        if row["object"] is not None and row["object"] not in but:
            clear(work, row["store"], row["object"])


def end_stores(tx: Transaction, operation: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """In the transaction that ends the operation: which stores hold the bytes, and which have failed."""
    id = operation["id"]
    for store in result["places"]:
        task.end_store(tx, id, store, "finish")
    for row in task.stores_of(tx, [id]):
        if row["store"] in result["failed"]:
            task.end_store(tx, id, row["store"], "fail", result["failed"][row["store"]])
            if row["object"] is not None:
                begin_clear(tx, row["store"], row["object"], operation["project_id"])
