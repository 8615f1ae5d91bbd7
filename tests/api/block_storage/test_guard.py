"""Who takes a server its volume away, where there is a Compute to ask: row by row, over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.drivers.compute import HttpCompute, Reach
from tests.clients.compute import Standin, standin
from tests.volumes.rig import Reply, Rig, running

SERVER, ANOTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
PLACE = {"host": "h1", "nbd": True}
HELD = f"ConflictNovaUsingAttachment: Detach volume from instance {SERVER} using the Compute API"

CALLS = ("delete", "detach", "detach-named", "terminate_connection", "force_detach")


@pytest.fixture
def nova() -> Iterator[Standin]:
    with standin() as nova:
        yield nova


@pytest.fixture
def guarded(fast: Rig, nova: Standin) -> Iterator[Rig]:
    fast.rooms.compute = HttpCompute(lambda: Reach([nova.url], "t"), timeout_s=2.0)
    yield fast
    fast.rooms.compute = None


def take(rig: Rig, claim: dict[str, Any], call: str, as_: str = "demo") -> Reply:
    """One of the calls that take an attachment away."""
    if call == "delete":
        return rig.call("DELETE", f"/attachments/{claim['id']}", as_=as_)
    name, what = call, {"attachment_id": claim["id"], "connector": PLACE}
    if call == "terminate_connection":
        what = {"connector": PLACE}
    if call.startswith("detach"):
        name, what = "detach", {"attachment_id": claim["id"]} if call == "detach-named" else {}
    return rig.call("POST", f"/volumes/{claim['volume_id']}/action", {f"os-{name}": what}, as_)


def attached(rig: Rig, instance: str | None = SERVER) -> dict[str, Any]:
    volume = rig.volume()
    return {**rig.attach(volume, instance=instance, **PLACE), "volume_id": volume}


def stays(rig: Rig, claim: dict[str, Any]) -> bool:
    return rig.backend.survey()[claim["volume_id"]].exports == {claim["id"]}


@pytest.mark.parametrize("call", CALLS[:-1])
def test_what_a_server_uses_stays(guarded: Rig, nova: Standin, call: str) -> None:
    claim = attached(guarded)
    nova.uses[SERVER, claim["volume_id"]] = claim["id"]
    refused = take(guarded, claim, call)
    assert (refused.status, refused.message) == (409, f"{HELD} In the way: attachment {claim['id']}.")
    assert stays(guarded, claim)
    (path, headers), *more = nova.asked
    assert path == f"/v2.1/servers/{SERVER}/os-volume_attachments/{claim['volume_id']}" and not more
    assert (headers["openstack-api-version"], headers["x-auth-token"]) == ("compute 2.89", "t")


@pytest.mark.parametrize("call", CALLS[:-1])
def test_what_compute_does_not_know_goes(
    guarded: Rig, nova: Standin, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    claim = attached(guarded)
    assert take(guarded, claim, call).status in (200, 202)
    assert claim["volume_id"] not in guarded.backend.survey() and len(nova.asked) == 1
    (said,) = [record for record in caplog.records if record.name == "moorage.volumes.attachments.guard"]
    assert said.levelname == "WARNING" and claim["id"] in said.getMessage() and SERVER in said.getMessage()


@pytest.mark.parametrize("call", CALLS[:-1])
def test_what_the_server_uses_by_another_attachment_goes(
    guarded: Rig, nova: Standin, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    claim = attached(guarded)
    nova.uses[SERVER, claim["volume_id"]] = ANOTHER
    assert take(guarded, claim, call).status in (200, 202)
    assert claim["volume_id"] not in guarded.backend.survey()
    assert [record.levelname for record in caplog.records if ANOTHER in record.getMessage()] == ["WARNING"]


def test_a_server_that_does_not_say_by_which_uses_each(guarded: Rig, nova: Standin) -> None:
    claim = attached(guarded)
    nova.uses[SERVER, claim["volume_id"]] = None
    assert take(guarded, claim, "delete").status == 409 and stays(guarded, claim)


@pytest.mark.parametrize("call", CALLS[:-1])
def test_what_nobody_knows_stays(fast: Rig, call: str) -> None:
    claim = attached(fast)
    with standin() as gone:
        fast.rooms.compute = HttpCompute(lambda: Reach([gone.url], "t"))
    refused = take(fast, claim, call)
    fast.rooms.compute = None
    assert refused.status == 503 and stays(fast, claim)
    assert refused.message.startswith("Compute does not answer") and SERVER in refused.message
    assert "127.0.0.1" not in refused.message


@pytest.mark.parametrize("as_", ["admin", "nova"])
@pytest.mark.parametrize("call", CALLS)
def test_services_and_administrators_pass_unasked(guarded: Rig, nova: Standin, call: str, as_: str) -> None:
    claim = attached(guarded)
    nova.uses[SERVER, claim["volume_id"]] = claim["id"]
    status = take(guarded, claim, call, as_).status
    assert status == 403 if (call, as_) == ("force_detach", "nova") else status in (200, 202)
    assert nova.asked == []


def test_only_what_a_server_uses_is_asked_about(guarded: Rig, nova: Standin) -> None:
    assert take(guarded, attached(guarded, None), "delete").status == 200
    id = guarded.volume()
    reserved = guarded.call("POST", "/attachments", {"attachment": {"volume_uuid": id, "instance_uuid": SERVER}})
    assert take(guarded, {**reserved.json["attachment"], "volume_id": id}, "delete").status == 200
    mine = attached(guarded)
    assert take(guarded, mine, "delete", "other").status == 404
    assert take(guarded, mine, "delete", "reader").status == 403
    assert nova.asked == []


def test_the_switch_is_for_clouds_without_compute(database_url: str, state_dir: Path, nova: Standin) -> None:
    with running(database_url, state_dir, no_compute="allow") as rig:
        urls = [nova.url]
        rig.rooms.compute = HttpCompute(lambda: Reach(urls, "t"))
        claim = attached(rig)
        nova.uses[SERVER, claim["volume_id"]] = claim["id"]
        assert take(rig, claim, "delete").status == 409 and stays(rig, claim)
        urls.clear()
        assert take(rig, claim, "delete").status == 200


def test_the_database_is_everybodys_while_compute_thinks(rig: Rig, nova: Standin) -> None:
    """And what has become another attachment meanwhile is asked about again."""
    rig.rooms.compute = HttpCompute(lambda: Reach([nova.url], "t"))
    claim = attached(rig)
    moves = iter(("h2",))

    def move() -> None:
        for host in moves:
            body = {"attachment": {"connector": {**PLACE, "host": host}}}
            moved = rig.call("PUT", f"/attachments/{claim['id']}", body, as_="nova")
            assert moved.status == 200, moved.body
            nova.uses[SERVER, claim["volume_id"]] = claim["id"]

    nova.first = move
    assert take(rig, claim, "delete").status == 409 and stays(rig, claim)
    assert len(nova.asked) == 2


def test_an_attachment_that_never_stays_the_same_is_not_waited_for(rig: Rig, nova: Standin) -> None:
    rig.rooms.compute = HttpCompute(lambda: Reach([nova.url], "t"))
    claim = attached(rig)

    def move() -> None:
        body = {"attachment": {"connector": {**PLACE, "host": f"m{len(nova.asked)}"}}}
        assert rig.call("PUT", f"/attachments/{claim['id']}", body, as_="nova").status == 200

    nova.first = move
    refused = take(rig, claim, "delete")
    assert refused.status == 503 and "as fast as the attachment changes" in refused.message
    assert len(nova.asked) == 3 and stays(rig, claim)


@pytest.mark.parametrize(("call", "status"), [("delete", 404), ("detach-named", 202), ("terminate_connection", 202)])
def test_who_comes_second_finds_it_gone(rig: Rig, nova: Standin, call: str, status: int) -> None:
    rig.rooms.compute = HttpCompute(lambda: Reach([nova.url], "t"))
    claim = attached(rig)

    def first() -> None:
        assert rig.call("DELETE", f"/attachments/{claim['id']}", as_="nova").status == 200

    nova.first = first
    assert take(rig, claim, call).status == status
    assert claim["volume_id"] not in rig.backend.survey()
