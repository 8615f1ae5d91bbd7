"""The calls that name no attachment, at two processes of one state at once, and a queue that they hand a volume to."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moorage.drivers.backends.files import qmp
from moorage.volumes.attachments import queue
from tests import cloud
from tests.api.block_storage.test_old_calls import PLACE, SERVER, act, connect, does, doors, held, listed, to
from tests.patience import until
from tests.volumes.rig import Rig, running
from tests.volumes.test_together import at_once

ROUNDS = 3


@pytest.fixture
def rigs(database_url: str, state_dir: Path) -> Iterator[list[Rig]]:
    """Two processes' worth of API on one database; both carry out operations."""
    with running(database_url, state_dir) as one, running(database_url, state_dir, backend=one.backend) as two:
        yield [one, two]


def test_of_all_who_reserve_one_wins_and_of_all_who_attach_his_server_does(rigs: list[Rig]) -> None:
    id = rigs[0].volume()
    assert sorted(r.status for r in at_once(lambda n: act(rigs[n % 2], id, "reserve"))) == [202] + [400] * 7
    infos = at_once(lambda n: act(rigs[n % 2], id, "initialize_connection", {"connector": PLACE}))
    assert {r.status for r in infos} == {200}
    assert len({r.json["connection_info"]["data"]["uri"] for r in infos}) == 1 and doors(rigs[0], id) == 1
    servers = [f"{n}1111111-1111-4111-8111-111111111111" for n in range(4)] * 2
    found = at_once(lambda n: act(rigs[n % 2], id, "attach", to(servers[n])).status)
    (one,) = listed(rigs[1], id)
    assert [servers[n] == one["instance"] for n in range(8)] == [status == 202 for status in found]
    assert rigs[1].status(id) == "in-use" and len(held(rigs[0], id)) == 1


def test_however_it_is_detached_and_wherever_nothing_is_left(rigs: list[Rig]) -> None:
    for _ in range(ROUNDS):
        id = rigs[0].volume()
        connect(rigs[0], id)
        does(rigs[1], id, "attach", to(host="h1"))
        (one,) = listed(rigs[0], id)
        calls = (
            ("terminate_connection", {"connector": PLACE}),
            ("detach", {"attachment_id": one["id"]}),
            ("force_detach", {"attachment_id": one["id"], "connector": PLACE}),
        )
        replies = at_once(lambda n, id=id, calls=calls: act(rigs[n % 2], id, *calls[n % 3], "admin"), 6)
        assert {reply.status for reply in replies} == {202}
        assert (rigs[0].status(id), held(rigs[1], id), doors(rigs[0], id)) == ("available", [], 0)


@pytest.mark.parametrize("leave", ["unreserve", "terminate_connection", "detach", "force_detach"])
def test_who_waits_gets_what_an_old_call_gives_back(rigs: list[Rig], leave: str) -> None:
    id = rigs[0].volume()
    connect(rigs[0], id)
    if "detach" in leave:
        does(rigs[0], id, "attach", to(host="h1"))
    asked = {"attachment": {"volume_uuid": id}}

    def waiting() -> int:
        with rigs[0].database.read() as tx:
            return len(queue.waiting(tx, id))

    with ThreadPoolExecutor(2) as pool:
        gives_up = pool.submit(rigs[1].call, "POST", "/attachments", asked, moorage_wait="0.2")
        assert gives_up.result().status >= 400
        stays = pool.submit(rigs[1].call, "POST", "/attachments", asked, moorage_wait="60")
        until(lambda: waiting() == 1)
        what = {"connector": PLACE} if "terminate" in leave else None if leave == "unreserve" else {}
        assert act(rigs[0], id, leave, what, "admin").status == 202
        served = stays.result()
    assert served.status == 200 and [claim["id"] for claim in held(rigs[0], id)] == [served.json["attachment"]["id"]]
    assert rigs[1].status(id) == "reserved" and doors(rigs[0], id) == 0


def test_a_stopped_daemon_does_not_keep_a_forced_detach_from_fencing(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qmp, "PATIENCE_S", 1.0)
    with cloud.running(state_dir) as whole:

        def done(path: str, body: object, as_: str = "moorage") -> Any:
            reply = whole.call("POST", f"/volume/v3{path}", body, as_=as_)
            assert reply.status in (200, 202), reply.body
            return reply.json if reply.body else None

        def status() -> str:
            return str(whole.call("GET", f"/volume/v3/volumes/{id}").json["volume"]["status"])

        id = done("/volumes", {"volume": {"size": 1, "volume_type": "files"}})["volume"]["id"]
        until(lambda: status() == "available")
        done(f"/volumes/{id}/action", {"os-initialize_connection": {"connector": PLACE}})
        done(f"/volumes/{id}/action", {"os-attach": to(SERVER)})
        backend: Any = whole.app.rooms.backends["files"]
        daemon = backend._records.load(id).process.pid
        os.kill(daemon, signal.SIGSTOP)
        done(f"/volumes/{id}/action", {"os-force_detach": {"connector": PLACE}}, "moorage-admin")
        assert status() == "available" and not Path(f"/proc/{daemon}/exe").exists()


def test_a_stale_holder_does_not_close_the_door_that_was_taken_over(rigs: list[Rig]) -> None:
    id = rigs[0].volume()
    connect(rigs[0], id)
    does(rigs[0], id, "attach", to(host="h1"))
    does(rigs[1], id, "terminate_connection", {"connector": PLACE})
    connect(rigs[1], id)
    path, asked = f"/volumes/{id}/action", {"os-terminate_connection": {"connector": PLACE}}
    stale = rigs[0].call("POST", path, asked, moorage_generation="1")
    assert stale.status == 409 and "generation 2 now" in stale.message and doors(rigs[0], id) == 1
    assert rigs[0].call("POST", path, asked, moorage_generation="2").status == 202 and doors(rigs[0], id) == 0
