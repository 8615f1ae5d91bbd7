"""Waiting for a volume that somebody else has: first come, first served, in whatever process; nothing is left of it."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from moorage.core.caller import Caller
from moorage.operations import journal, process
from moorage.operations.process import Process
from moorage.operations.records import OVER
from moorage.volumes import volume
from moorage.volumes.attachments import attachment, queue
from moorage.volumes.attachments.queue import Asked
from moorage.volumes.records import attachment_queue, volumes
from tests.patience import until
from tests.volumes.rig import CALLERS, Reply, Rig, running

WHERE = {"nbd": True, "host": "h"}


@pytest.fixture
def rigs(database_url: str, state_dir: Path) -> Iterator[list[Rig]]:
    """Two processes' worth of API on one database; both carry out operations."""
    with running(database_url, state_dir) as one, running(database_url, state_dir, backend=one.backend) as two:
        yield [one, two]


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def create(rig: Rig, id: str, wait: str | None = "30", as_: str = "demo", **more: Any) -> Reply:
    headers = {"moorage_wait": wait} if wait is not None else {}
    headers |= {"moorage_key": more.pop("key")} if "key" in more else {}
    return rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id, **more}}, as_, **headers)


def places(rig: Rig, id: str) -> list[str]:
    with rig.database.read() as tx:
        return [row["id"] for row in queue.waiting(tx, id)]


def held(rig: Rig, id: str) -> list[str]:
    with rig.database.read() as tx:
        return [row["id"] for row in attachment.held(tx, id)]


def nothing_left(rig: Rig) -> bool:
    with rig.database.read() as tx:
        return not tx.all(attachment_queue.select())


def wait_all(rigs: list[Rig], clients: ThreadPoolExecutor, id: str, count: int, **more: Any) -> list[Future[Reply]]:
    """So many clients, one after the other, at all processes in turn."""
    found = []
    for n in range(count):
        found.append(clients.submit(create, rigs[n % len(rigs)], id, **more))
        until(lambda n=n: len(places(rigs[0], id)) == n + 1)  # type: ignore[misc]
    return found


@pytest.mark.parametrize("where", [{}, {"connector": WHERE}], ids=["reserved", "published"])
def test_it_is_first_come_first_served_at_all_processes(
    rigs: list[Rig], clients: ThreadPoolExecutor, where: dict[str, Any]
) -> None:
    id = rigs[0].volume()
    last = rigs[0].attach(id)["id"]
    coming = wait_all(rigs, clients, id, 5, **where)
    order = places(rigs[0], id)
    for n, one in enumerate(coming):
        assert held(rigs[0], id) == [last]
        assert rigs[n % 2].call("DELETE", f"/attachments/{last}", as_="nova").status == 200
        reply = one.result(60)
        assert reply.status == 200, reply.body
        last = reply.json["attachment"]["id"]
        assert last == order[n]
        assert bool(reply.json["attachment"]["connection_info"]) == bool(where)
    until(lambda: nothing_left(rigs[0]))


def test_nobody_gets_in_between(rigs: list[Rig], clients: ThreadPoolExecutor) -> None:
    """While some wait, others try without waiting, all the time: they are refused, and told who holds it."""
    id = rigs[0].volume()
    last = rigs[0].attach(id)["id"]
    coming = wait_all(rigs, clients, id, 4)
    order, enough = places(rigs[0], id), threading.Event()
    barging: list[Reply] = []

    def barge(rig: Rig) -> None:
        while not enough.is_set():
            barging.append(create(rig, id, wait=None))

    pushers = [clients.submit(barge, rig) for rig in rigs]
    try:
        for n, one in enumerate(coming):
            rigs[0].call("DELETE", f"/attachments/{last}", as_="nova")
            last = one.result(60).json["attachment"]["id"]
            assert last == order[n]
    finally:
        enough.set()
    for pusher in pushers:
        pusher.result(60)
    assert {reply.status for reply in barging} == {400}
    assert all("In the way: attachment " in reply.message for reply in barging)


def test_who_waits_too_long_leaves_nothing(rigs: list[Rig]) -> None:
    id = rigs[0].volume()
    mine = rigs[0].attach(id)["id"]
    reply = create(rigs[0], id, "0.2")
    assert reply.status == 504, reply.body
    until(lambda: nothing_left(rigs[0]))
    assert held(rigs[0], id) == [mine]
    assert rigs[0].call("DELETE", f"/attachments/{mine}", as_="nova").json == {"attachments": []}
    assert rigs[0].status(id) == "available"


def test_without_the_header_or_with_nought_one_is_refused_at_once(rigs: list[Rig]) -> None:
    id = rigs[0].volume()
    mine = rigs[0].attach(id)["id"]
    for wait in (None, "0"):
        reply = create(rigs[0], id, wait)
        assert reply.status == 400
        assert reply.message.endswith(f"In the way: attachment {mine}.")
    assert nothing_left(rigs[0])


def test_a_key_keeps_the_place_and_finds_what_became_of_it(rigs: list[Rig], clients: ThreadPoolExecutor) -> None:
    """Its client goes, or the process that it talked to; he comes back and has it."""
    id = rigs[0].volume()
    mine = rigs[0].attach(id)["id"]
    assert create(rigs[0], id, "0.1", key="k").status == 504
    (place,) = places(rigs[0], id)
    later = clients.submit(create, rigs[1], id)
    until(lambda: len(places(rigs[0], id)) == 2)
    rigs[0].call("DELETE", f"/attachments/{mine}", as_="nova")
    again = create(rigs[1], id, key="k")
    assert (again.status, again.json["attachment"]["id"]) == (200, place)
    assert held(rigs[0], id) == [place]
    rigs[0].call("DELETE", f"/attachments/{place}", as_="nova")
    assert later.result(60).status == 200


def test_who_is_given_up_on_makes_room_for_the_next(rigs: list[Rig], clients: ThreadPoolExecutor) -> None:
    """Cancelled at any moment, also when it has just been served: the next one has it, and nobody has it for ever."""
    id = rigs[0].volume()
    last = rigs[0].attach(id)["id"]
    for n in range(6):
        with rigs[0].database.write() as tx:
            row = volume.locked(tx, CALLERS["demo"], id)
            asked = Asked(None, None, WHERE if n % 2 else None, "socket" if n % 2 else None)
            lost, operation = queue.join(tx, CALLERS["demo"], row, asked, 30, None)
        next_ = clients.submit(create, rigs[1], id)
        until(lambda: len(places(rigs[0], id)) == 2)
        rigs[0].call("DELETE", f"/attachments/{last}", as_="nova")
        time.sleep(0.01 * n)
        rigs[1].database.transact(lambda tx, operation=operation: journal.cancel(tx, operation))
        until(partial(over, rigs[0], operation))
        if lost in held(rigs[0], id):  # it had come to its end before
            rigs[0].call("DELETE", f"/attachments/{lost}", as_="nova")
        reply = next_.result(60)
        assert reply.status == 200, reply.body
        last = reply.json["attachment"]["id"]
        assert held(rigs[0], id) == [last]


def over(rig: Rig, operation: str) -> bool:
    with rig.database.read() as tx:
        row = journal.get(tx, operation)
        return row is not None and row["state"] in OVER


def test_whose_process_is_gone_is_passed_over(rigs: list[Rig], clients: ThreadPoolExecutor) -> None:
    id = rigs[0].volume()
    mine = rigs[0].attach(id)["id"]
    gone, alive = Process.this("api"), Process.this("api")
    with rigs[0].database.write() as tx:
        process.register(tx, gone, [])
        process.register(tx, alive, [])
        row = volume.locked(tx, CALLERS["demo"], id)
        lost, _ = queue.join(tx, CALLERS["demo"], row, Asked(), 300, gone.id)
        kept, _ = queue.join(tx, CALLERS["demo"], row, Asked(), 300, alive.id)
        process.leave(tx, gone.id)
    rigs[0].call("DELETE", f"/attachments/{mine}", as_="nova")
    assert held(rigs[0], id) == [kept]
    until(lambda: nothing_left(rigs[0]))
    assert lost not in held(rigs[0], id)


def test_a_volume_that_cannot_be_had_any_more_refuses_all_who_wait(
    rigs: list[Rig], clients: ThreadPoolExecutor
) -> None:
    id = rigs[0].volume()
    rigs[0].attach(id)
    coming = wait_all(rigs, clients, id, 2)
    reset = {"os-reset_status": {"status": "error"}}
    assert rigs[0].call("POST", f"/volumes/{id}/action", reset, "admin").status == 202
    for one in coming:
        reply = one.result(60)
        assert reply.status == 400
        assert "in an error state" in reply.message
    until(lambda: nothing_left(rigs[0]))


def test_a_volume_that_several_may_use_is_given_to_all_once_it_is_there(
    rigs: list[Rig], clients: ThreadPoolExecutor
) -> None:
    id = rigs[0].volume(volume_type="multiattach")
    with rigs[0].database.write() as tx:
        row = volume.locked(tx, CALLERS["admin"], id)
        asked = {"backend": "files", "size_gib": 2, "more_gib": 1}
        more: dict[str, Any] = {"queue": "host:away", "project_id": row["project_id"], "input": asked}
        busy = journal.begin(tx, "extend-volume", "volume", id, **more)
        tx.change(volumes, id, {"status": "extending"})
    coming = wait_all(rigs, clients, id, 4)
    rigs[0].runner.serve("host:away")
    assert [one.result(60).status for one in coming] == [200] * 4
    assert over(rigs[0], busy)


def test_a_queue_has_an_end(rigs: list[Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MOST", 1)
    id = rigs[0].volume()
    rigs[0].attach(id)
    caller: Caller = CALLERS["demo"]
    with rigs[0].database.write() as tx:
        queue.join(tx, caller, volume.locked(tx, caller, id), Asked(), 30, None)
    assert create(rigs[0], id).status == 400


def test_nobody_waits_longer_than_the_longest(rigs: list[Rig]) -> None:
    id = rigs[0].volume()
    rigs[0].attach(id)
    caller: Caller = CALLERS["demo"]
    with rigs[0].database.write() as tx:
        place, _ = queue.join(tx, caller, volume.locked(tx, caller, id), Asked(), 1e9, None)
        found = queue.find(tx, place)
        assert found is not None
        assert found["until"] == tx.now + int(queue.LONGEST_S * 1_000_000)
