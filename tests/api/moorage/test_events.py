"""Events on the wire: listed in pages, followed as a stream, shown to those who may see what they are about."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.api import streams
from moorage.api.request import Answer
from moorage.api.streams import ClientGone, send_answer
from moorage.operations import events
from tests import postgres
from tests.api.moorage.following import Reader
from tests.cloud import Cloud
from tests.server import Process

V = {"OpenStack-API-Version": "volume 3.71"}


def get(cloud: Cloud, query: str = "", as_: str = "moorage", status: int = 200, **headers: str) -> Any:
    reply = cloud.call("GET", f"/moorage/v1/events{query}", as_=as_, headers=headers)
    assert reply.status == status, reply.body
    return reply.json


def volume(cloud: Cloud, as_: str = "moorage") -> str:
    id = cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1}}, headers=V, as_=as_).json["volume"]["id"]
    while cloud.call("GET", f"/volume/v3/volumes/{id}", headers=V, as_=as_).json["volume"]["status"] == "creating":
        pass
    return str(id)


def test_events_are_listed_from_where_one_was(cloud: Cloud) -> None:
    start = get(cloud)["next"]
    ids = [volume(cloud) for _ in range(2)]
    page = get(cloud, f"?since={start}&limit=1")
    assert [event["what"] for event in page["events"]] == ["volume.created"]
    assert page["next"] == page["events"][0]["id"]
    rest = get(cloud, f"?since={page['next']}")
    assert {event["resource_id"] for event in page["events"] + rest["events"]} == set(ids)
    numbers = [event["id"] for event in page["events"] + rest["events"]]
    assert numbers == sorted(set(numbers))
    again = get(cloud, f"?since={rest['next']}")
    assert again == {"events": [], "next": rest["next"]}
    assert get(cloud, "?latest=1")["events"] == rest["events"][-1:]


def test_events_are_told_apart(cloud: Cloud) -> None:
    one, two = volume(cloud), volume(cloud)
    found = get(cloud, f"?resource_id={one}")["events"]
    assert {event["resource_id"] for event in found} == {one}
    created = get(cloud, "?kind=volume&what=volume.created&latest=2")["events"]
    assert [event["resource_id"] for event in created] == [one, two]
    first = created[0]
    assert (first["kind"], first["facts"]["size_gib"]) == ("volume", 1)
    assert first["request_id"].startswith("req-")


def test_a_project_sees_its_own_and_administrators_see_all(cloud: Cloud) -> None:
    theirs, mine = volume(cloud, "moorage-admin"), volume(cloud)
    seen = {event["resource_id"] for event in get(cloud, "?latest=1000")["events"]}
    assert mine in seen
    assert theirs not in seen
    project = get(cloud, f"?resource_id={mine}")["events"][0]["project_id"]
    all_of_them = {event["resource_id"] for event in get(cloud, "?latest=1000", "moorage-admin")["events"]}
    assert {mine, theirs} <= all_of_them
    of_one = get(cloud, f"?latest=1000&project_id={project}", "moorage-admin")["events"]
    assert {event["project_id"] for event in of_one} == {project}
    get(cloud, "?project_id=" + "0" * 32, status=403)


@pytest.mark.parametrize("query", ["?since=x", "?since=-1", "?limit=1e3", "?latest=%20", "?since=" + "9" * 30])
def test_what_is_no_number_is_refused(cloud: Cloud, query: str) -> None:
    assert get(cloud, query, status=400)["error"]["code"] == "malformed"


def test_who_comes_too_late_or_too_early_is_told(cloud: Cloud) -> None:
    volume(cloud)
    newest = get(cloud)["next"]
    early = get(cloud, f"?since={newest + 1000}", status=400)["error"]
    assert early["code"] == "event.not-yet"
    with cloud.app.database.write() as tx:
        events.forget(tx, tx.now + 1, 1)
        floor = events.forgotten(tx)
    assert get(cloud, f"?since={floor - 1}", status=410)["error"]["code"] == "event.forgotten"
    stream = {"Accept": "text/event-stream", "Last-Event-ID": str(floor - 1)}
    assert get(cloud, status=410, **stream)["error"]["code"] == "event.forgotten"
    assert get(cloud, f"?since={floor}", "moorage-admin")["events"][0]["id"] == floor + 1
    assert get(cloud)["events"][0]["id"] > floor  # without a start: from the oldest that there is


@pytest.fixture(params=["sqlite", "postgresql"])
def database_env(request: pytest.FixtureRequest, postgres_server: postgres.Server) -> Iterator[dict[str, str]]:
    """What makes processes use a database of each kind."""
    if request.param == "sqlite":
        yield {}
    else:
        with postgres_server.database() as url:
            yield {"MOORAGE_DATABASE": url}


def test_a_stream_tells_what_any_process_commits_and_ends_cleanly(
    state_dir: Path, database_env: dict[str, str]
) -> None:
    up = Process(state_dir, **database_env).ready()
    api = Process(state_dir, "api", **database_env).ready()
    try:
        here, there = Reader(up.port, up.token()), Reader(api.port, up.token())
        threads = [threading.Thread(target=process.volume) for process in (up, api) for _ in range(3)]
        for thread in threads:
            thread.start()
        first, second = here.events(8), there.events(8)
        assert first == second
        here.close()
        for thread in threads:
            thread.join()
        assert up.call("GET", "/moorage/v1/events?latest=1").status == 200  # the client's going disturbed nobody
        listed = api.call("GET", f"/moorage/v1/events?since={first[0]['id'] - 1}").json["events"]
        more = len(listed) - len(first)
        assert more > 0
        resumed = Reader(api.port, up.token(), last=first[-1]["id"])
        assert [*first, *resumed.events(more)] == listed == [*second, *there.events(more)]
        for process, reader in ((api, there), (up, Reader(up.port, up.token()))):
            assert process.end() == 0
            assert list(reader)[1:] == []  # it ends, and is not broken off
    finally:
        up.kill()
        api.kill()


def test_a_reader_who_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SLOW_S", 0.01)
    ended: list[bool] = []

    async def endless() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            ended.append(True)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def try_it() -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer = Answer(live=endless)
        await send_answer(answer, {}, send, None, gone)  # type: ignore[arg-type]

    with pytest.raises(ClientGone):
        asyncio.run(try_it())
    assert ended == [True]
