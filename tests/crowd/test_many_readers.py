"""
Many readers of one image at once, through four processes of the API, while volumes are made of it and other images come
in: none is refused, none gets anything but all of it.
"""

import hashlib
import http.client
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moorage.place import Place
from tests.server import Process, clear, down

pytestmark = pytest.mark.slow

PROCESSES = 4
#: In `make test`; `make chaos` says 64, 16, 2 and 64 MiB.
WHOLE = "MOORAGE_CHAOS" in os.environ
READERS, VOLUMES, UPLOADS, MIB = (64, 16, 2, 64) if WHOLE else (24, 6, 2, 12)
BYTES = {"Content-Type": "application/octet-stream"}


@dataclass
class Clouds:
    """`moorage up` and as many `moorage api` beside it, on one database and one state directory."""

    processes: list[Process]

    @property
    def first(self) -> Process:
        return self.processes[0]

    def of(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    def send(self, number: int, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
        """A request with a body of bytes, to one of the processes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.of(number).port, timeout=300)
        connection.request(method, path, body, {"X-Auth-Token": self.first.token(), **headers})
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, content

    def image(self, number: int, content: bytes) -> str:
        """A new image with this content."""
        asked = {"disk_format": "raw", "container_format": "bare", "name": f"image-{number}"}
        made = self.of(number).call("POST", "/image/v2/images", asked, self.first.token())
        assert made.status == 201, made.body
        id = str(made.json["id"])
        status, said = self.send(number, "PUT", f"/image/v2/images/{id}/file", content, BYTES)
        assert status == 204, said
        return id

    def digest(self, number: int, id: str) -> tuple[int, int, str]:
        """Read the image: status, length, sha256."""
        connection = http.client.HTTPConnection("127.0.0.1", self.of(number).port, timeout=300)
        connection.request("GET", f"/image/v2/images/{id}/file", headers={"X-Auth-Token": self.first.token()})
        reply, digest, size, buffer = connection.getresponse(), hashlib.sha256(), 0, bytearray(1 << 18)
        while n := reply.readinto(buffer):
            digest.update(memoryview(buffer)[:n])
            size += n
        connection.close()
        return reply.status, size, digest.hexdigest()

    def volume(self, number: int, image: str) -> str:
        """A volume of the image; its id."""
        asked = {"volume": {"size": 1, "imageRef": image, "name": f"of-image-{number}"}}
        made = self.of(number).call("POST", "/volume/v3/volumes", asked, self.first.token())
        assert made.status == 202, made.body
        return str(made.json["volume"]["id"])


@contextmanager
def running(state: Path, url: str) -> Iterator[Clouds]:
    """The processes; nothing of them is left afterwards."""
    with ExitStack() as stack:
        stack.callback(clear, Place(state))
        stack.callback(down, state, MOORAGE_DATABASE=url)
        processes = []
        for role in ["up", *["api"] * (PROCESSES - 1)]:
            process = Process(state, role, MOORAGE_DATABASE=url)
            stack.callback(process.end)
            processes.append(process.ready())
        yield Clouds(processes)


def together(work: list[Callable[[], Any]]) -> list[Any]:
    """What each gives, all of them begun at the same moment."""
    barrier = threading.Barrier(len(work))

    def one(do: Callable[[], Any]) -> Any:
        barrier.wait(60)
        return do()

    with ThreadPoolExecutor(len(work)) as pool:
        return [done.result() for done in [pool.submit(one, do) for do in work]]


@pytest.mark.parametrize("kind", ["files", "volume"])
def test_many_readers_volumes_and_uploads_at_once_through_four_processes(
    kind: str, database_url: str, state_dir: Path
) -> None:
    (state_dir / "moorage.toml").write_text(f'[[stores]]\nid = "images"\nkind = "{kind}"\n')
    content = random.Random(7).randbytes(MIB << 20)
    others = [random.Random(n).randbytes((MIB << 20) + n) for n in range(UPLOADS)]
    right = (200, len(content), hashlib.sha256(content).hexdigest())
    with running(state_dir, database_url) as clouds:
        id = clouds.image(0, content)
        readers = [lambda n=n: clouds.digest(n, id) for n in range(READERS)]  # type: ignore[misc]
        makers = [lambda n=n: clouds.volume(n, id) for n in range(VOLUMES)]  # type: ignore[misc]
        writers = [lambda n=n: clouds.image(n + 1, others[n]) for n in range(UPLOADS)]  # type: ignore[misc]
        got = together([*readers, *makers, *writers])
        assert set(got[:READERS]) == {right}
        for volume in got[READERS : READERS + VOLUMES]:
            clouds.first.until(f"/volume/v3/volumes/{volume}", "available")
        for n, image in enumerate(got[-UPLOADS:]):
            shown = clouds.of(n).call("GET", f"/image/v2/images/{image}", token=clouds.first.token()).json
            assert shown["checksum"] == hashlib.md5(others[n]).hexdigest()
            assert clouds.digest(n, image) == (200, len(others[n]), hashlib.sha256(others[n]).hexdigest())
