"""How far an import is with each of its stores: what its task's rows say while they are written."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from moorage.database import Transaction
from moorage.flows.images.incoming.progress import WRITING, Progress, told
from moorage.images.imports import task
from moorage.images.store import StoreFull
from tests.images.cloud import CALLERS, ImageCloud

TASK = "3f0b8a52-8f0a-4c0f-9f62-3f9e6c1f7a01"


@dataclass
class _Work:
    """As much of an operation at work as what counts its bytes needs."""

    cloud: ImageCloud
    id: str = TASK

    def transaction(self) -> AbstractContextManager[Transaction]:
        return self.cloud.database.write()

    def check(self) -> None:
        """Nobody has cancelled it."""


def test_a_store_that_fails_while_others_go_on_is_seen_at_once(cloud: ImageCloud) -> None:
    image, failures = cloud.image(), dict[str, StoreFull]()
    new = task.New(TASK, task.Type.API_IMPORT, image, "project-a", {"image_id": image}, ["a", "b"], 10)

    def seen() -> list[tuple[str, str, int, str | None]]:
        with cloud.database.read() as tx:
            far = told(tx, TASK)
        assert far is not None and far["size"] == 10
        return [(store["id"], store["state"], store["done"], store["reason"]) for store in far["stores"]]

    cloud.database.transact(lambda tx: task.begin(tx, CALLERS["alice"], new))
    assert seen() == [("a", "waiting", 0, None), ("b", "waiting", 0, None)]
    fetching = Progress(_Work(cloud), "Fetched", 10)  # type: ignore[arg-type]
    fetching.moved(10)
    fetching.end()
    assert seen() == [("a", "waiting", 0, None), ("b", "waiting", 0, None)]
    progress = Progress(_Work(cloud), WRITING, 10, failures)  # type: ignore[arg-type]
    progress.moved(4)
    failures["b"] = StoreFull(store="b")
    progress.end()
    assert seen() == [("a", "waiting", 4, None), ("b", "failed", 0, failures["b"].sentence)]
    cloud.database.transact(lambda tx: task.end_store(tx, TASK, "a", "finish"))
    assert seen()[0] == ("a", "done", 10, None)


def test_what_has_no_task_has_no_progress(cloud: ImageCloud) -> None:
    with cloud.database.read() as tx:
        assert told(tx, TASK) is None
