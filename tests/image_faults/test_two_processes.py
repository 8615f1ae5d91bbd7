"""What is acknowledged stays and what is deleted goes, through two real processes on one database and one directory."""

import contextlib
import hashlib
import http.client
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from moorage.place import Place
from tests.image_faults.twins import at_once
from tests.server import Process, clear, down

pytestmark = pytest.mark.slow

IMAGES = "/image/v2/images"
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
BYTES = {"Content-Type": "application/octet-stream"}
PIECES, PIECE = 6, 200_000
#: Deletions that meet an upload, spread over the whole of it and a little more.
MEETINGS = 300 if "MOORAGE_CHAOS" in os.environ else 30
BROKEN = 0  #: the status of an upload that was answered, and cut off, before all of it was sent


class Pair:
    """`moorage up` and `moorage api`; each call goes to the other one than the last."""

    def __init__(self, state: Path, url: str) -> None:
        self.state = state
        self.processes = [Process(state, role, MOORAGE_DATABASE=url).ready() for role in ("up", "api")]
        self.token = self.processes[0].token()
        self._turn = itertools.count()

    def send(self, method: str, path: str, body: Any = None, headers: Any = (), by: int | None = None) -> int:
        """A request to process `by`, or the next one; its status."""
        number = next(self._turn) if by is None else by
        connection = http.client.HTTPConnection("127.0.0.1", self.processes[number % 2].port, timeout=60)
        chunked = isinstance(body, Iterator)
        with contextlib.closing(connection):
            try:
                sent = {"X-Auth-Token": self.token, **dict(headers)}
                connection.request(method, f"{IMAGES}{path}", body, sent, encode_chunked=chunked)
                return connection.getresponse().status
            except (ConnectionError, http.client.HTTPException):
                return BROKEN

    def image(self) -> str:
        asked = {"disk_format": "raw", "container_format": "bare"}
        reply = self.processes[next(self._turn) % 2].call("POST", IMAGES, asked, self.token)
        assert reply.status == 201, reply.body
        return str(reply.json["id"])

    def show(self, id: str) -> Any:
        return self.processes[next(self._turn) % 2].call("GET", f"{IMAGES}/{id}", token=self.token).json

    def files(self) -> list[Path]:
        """All bytes of images, staged ones too."""
        return [path for top in ("images", "staging") for path in (self.state / top).rglob("*") if path.is_file()]


@pytest.fixture
def pair(state_dir: Path, database_url: str) -> Iterator[Pair]:
    pair = Pair(state_dir, database_url)
    yield pair
    for process in pair.processes:
        process.kill()
    down(state_dir, MOORAGE_DATABASE=database_url)
    clear(Place(state_dir))


def slowly(content: bytes, pause_s: float) -> Iterator[bytes]:
    for start in range(0, len(content), PIECE):
        time.sleep(pause_s)
        yield content[start : start + PIECE]


def none_left(found: Callable[[], list[Path]]) -> None:
    """Wait until nothing is left: bytes of an upload that met a delete may go a moment after both were answered."""
    end = time.monotonic() + 30
    while left := found():
        assert time.monotonic() < end, left
        time.sleep(0.02)


def test_nothing_acknowledged_is_lost_and_nothing_deleted_stays(pair: Pair) -> None:
    all_changes_stay(pair)
    one_upload_wins(pair)
    uploads_that_meet_a_delete_leave_nothing(pair)


def all_changes_stay(pair: Pair) -> None:
    """Of 16 changes at once all 16 are there."""
    for _ in range(4):
        id = pair.image()
        bodies = [f'[{{"op": "add", "path": "/p{n}", "value": "v{n}"}}]' for n in range(16)]
        calls = [partial(pair.send, "PATCH", f"/{id}", body, PATCH, n) for n, body in enumerate(bodies)]
        assert at_once(*calls) == [200] * 16
        image = pair.show(id)
        assert {f"p{n}": image.get(f"p{n}") for n in range(16)} == {f"p{n}": f"v{n}" for n in range(16)}
        assert pair.send("DELETE", f"/{id}") == 204


def one_upload_wins(pair: Pair) -> None:
    """Of two uploads at once one has the image, with its own checksum, and the other one's bytes are nowhere."""
    for _ in range(6):
        id = pair.image()
        contents = [os.urandom(PIECES * PIECE) for _ in range(2)]
        calls = [
            partial(pair.send, "PUT", f"/{id}/file", slowly(content, 0.002), BYTES, n)
            for n, content in enumerate(contents)
        ]
        statuses = at_once(*calls)
        assert statuses.count(204) == 1
        assert set(statuses) <= {204, 409, BROKEN}
        won, image = contents[statuses.index(204)], pair.show(id)
        assert (image["status"], image["size"]) == ("active", len(won))
        assert image["checksum"] == hashlib.md5(won).hexdigest()
        assert image["os_hash_value"] == hashlib.sha512(won).hexdigest()
        (kept,) = pair.files()
        assert kept.read_bytes() == won
        assert pair.send("DELETE", f"/{id}") == 204
        none_left(pair.files)


def uploads_that_meet_a_delete_leave_nothing(pair: Pair) -> None:
    """Wherever in an upload through one process a deletion through the other comes, no bytes are left."""
    content, statuses = os.urandom(PIECES * PIECE), []
    began = time.monotonic()
    id = pair.image()
    assert pair.send("PUT", f"/{id}/file", slowly(content, 0.004), BYTES) == 204
    whole_s = time.monotonic() - began
    assert pair.send("DELETE", f"/{id}") == 204
    for turn in range(MEETINGS):
        id, got = pair.image(), list[int]()
        upload = partial(pair.send, "PUT", f"/{id}/file", slowly(content, 0.004), BYTES, turn)
        thread = threading.Thread(target=lambda: got.append(upload()))  # noqa: B023 it ends in this turn
        thread.start()
        time.sleep(whole_s * 1.2 * turn / MEETINGS)
        assert pair.send("DELETE", f"/{id}", by=turn + 1) == 204
        thread.join()
        assert set(got) <= {204, 404, 410, BROKEN}
        statuses += got
        for by in range(2):
            assert pair.send("GET", f"/{id}", by=by) == pair.send("GET", f"/{id}/file", by=by) == 404
        none_left(pair.files)
    assert {204, 410} & set(statuses), statuses
