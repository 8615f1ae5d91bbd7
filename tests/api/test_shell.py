"""
What the shell promises for every service: who may enter, what a body may be, who waits for what, and for how long.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.operations import journal
from tests.cloud import Cloud, running
from tests.patience import until

VOLUMES = "/volume/v3/volumes"


@pytest.fixture
def cloud(state_dir: Path) -> Iterator[Cloud]:
    with running(state_dir) as cloud:
        yield cloud


def test_without_a_token_nothing_is_told_apart(cloud: Cloud) -> None:
    assert cloud.call("GET", VOLUMES, as_=None).status == 401
    assert cloud.call("GET", "/volume/v3/nonesuch", as_=None).status == 401
    assert cloud.call("GET", "/volume/v3/nonesuch").status == 404


def test_every_answer_has_a_request_id_faults_included(cloud: Cloud) -> None:
    for path in (VOLUMES, "/volume/v3/nonesuch", "/image/v2/images", "/identity/v3"):
        assert cloud.call("GET", path).headers["x-openstack-request-id"].startswith("req-")


@pytest.mark.parametrize("content", [b"{", b"[1,", b"\xff\xfe", b"nonsense", b'{"volume": ' + b"[" * 100_000])
def test_a_body_that_is_not_json_is_a_400(cloud: Cloud, content: bytes) -> None:
    assert cloud.call("POST", VOLUMES, content=content, headers={"content-type": "application/json"}).status == 400


def test_a_body_over_the_limit_is_a_413_whether_it_says_its_length_or_not(cloud: Cloud) -> None:
    headers = {"content-type": "application/json"}
    assert cloud.call("POST", VOLUMES, content=b" " * (2 << 20), headers=headers).status == 413
    assert cloud.call("POST", VOLUMES, content=[b" " * 65536] * 32, headers=headers).status == 413


def test_a_foreign_project_in_the_path_is_refused(cloud: Cloud) -> None:
    assert cloud.call("GET", f"/volume/v3/{'0' * 32}/volumes").status == 400


def test_head_has_no_body(cloud: Cloud) -> None:
    reply = cloud.call("HEAD", "/identity/v3")
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize("wait", ["x", "-1", "nan", "inf", "1e9", ""])
def test_a_wait_that_is_no_number_is_refused(cloud: Cloud, wait: str) -> None:
    volume = make(cloud)
    attachment = {"attachment": {"volume_uuid": volume, "connector": {"host": "h", "nbd": True}}}
    reply = cloud.call("POST", "/volume/v3/attachments", attachment, headers=at("3.54", wait))
    assert reply.status == 400


def test_a_call_that_makes_something_is_undone_when_its_time_is_over(cloud: Cloud) -> None:
    volume = make(cloud)
    release = Release(cloud)
    body = {"attachment": {"volume_uuid": volume, "connector": {"host": "h", "nbd": True}}}
    reply = cloud.call("POST", "/volume/v3/attachments", body, headers=at("3.54", "0.2"))
    assert reply.status == 504
    release()
    until(lambda: nothing_open(cloud, volume))
    assert cloud.call("GET", "/volume/v3/attachments", headers=at("3.54")).json["attachments"] == []
    assert cloud.call("GET", f"{VOLUMES}/{volume}").json["volume"]["status"] == "available"


def test_a_call_that_can_be_repeated_goes_on_and_the_repeat_finds_it(cloud: Cloud) -> None:
    volume = make(cloud)
    body = {"attachment": {"volume_uuid": volume, "connector": {"host": "h", "nbd": True}}}
    attachment = cloud.call("POST", "/volume/v3/attachments", body, headers=at("3.54")).json["attachment"]["id"]
    release = Release(cloud)
    url = f"/volume/v3/attachments/{attachment}"
    assert cloud.call("DELETE", url, headers=at("3.54", "0.2")).status == 504
    release()
    until(lambda: nothing_open(cloud, volume))
    assert cloud.call("DELETE", url, headers=at("3.54")).status in (200, 404)
    assert cloud.call("GET", f"{VOLUMES}/{volume}").json["volume"]["status"] == "available"


def test_the_agents_socket_needs_no_token_and_tcp_does(cloud: Cloud) -> None:
    assert cloud.call("GET", VOLUMES, as_=None, local=True).status == 200
    assert cloud.call("GET", VOLUMES, as_=None).status == 401


def at(version: str, wait: str | None = None) -> dict[str, str]:
    """Headers of a microversion, and perhaps of a wait."""
    return {"openstack-api-version": f"volume {version}"} | ({} if wait is None else {"moorage-wait": wait})


def make(cloud: Cloud) -> str:
    """A volume, available."""
    id: str = cloud.call("POST", VOLUMES, {"volume": {"size": 1}}).json["volume"]["id"]
    until(lambda: cloud.call("GET", f"{VOLUMES}/{id}").json["volume"]["status"] == "available")
    return id


class Release:
    """Makes the backend stand still until it is called."""

    def __init__(self, cloud: Cloud) -> None:
        self._gate, self._backend = threading.Event(), next(iter(cloud.app.rooms.backends.values()))
        for verb in ("publish", "withdraw"):
            setattr(self._backend, verb, self._slow(getattr(self._backend, verb)))

    def _slow(self, verb):
        def slow(*args, **kwargs):
            assert self._gate.wait(60)
            return verb(*args, **kwargs)

        return slow

    def __call__(self) -> None:
        self._gate.set()


def nothing_open(cloud: Cloud, volume: str) -> bool:
    with cloud.app.database.read() as tx:
        return not journal.open_on(tx, "volume", [volume])


def test_a_request_that_is_cut_off_by_the_end_of_the_process_is_told_to_repeat(cloud: Cloud) -> None:
    headers = [(b"x-auth-token", cloud.token().encode()), (b"content-type", b"application/json"), (b"host", b"h")]
    scope = {"type": "http", "method": "POST", "path": VOLUMES, "raw_path": VOLUMES.encode(), "query_string": b""}
    sent: list[Any] = []

    async def never() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async def cut_off() -> None:
        task = asyncio.ensure_future(cloud.app.shell({**scope, "headers": headers, "state": {}}, never, send))
        await asyncio.sleep(0.2)
        task.cancel()
        await task

    cloud._loop.run(cut_off(), 30)
    assert sent[0]["status"] == 503
