"""
A whole Moorage that is busy with images in every way at once, to be killed while it is; and what is there of it
afterwards: rows, files, processes.
"""

import contextlib
import http.client
import json
import os
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Table, func, select

from moorage.database import Database
from moorage.drivers.backends.files.sockets import _short
from moorage.drivers.backends.files.spares import names
from moorage.flows.images.forgetting import forget as forget_digests
from moorage.images import records as image_rows
from moorage.operations import journal
from moorage.operations.records import operations
from moorage.place import Place
from moorage.volumes import records as volume_rows
from tests.drivers.fetch.web import Web, answer
from tests.server import Process

MIB = 1 << 20
DATA = random.Random(11).randbytes(9 * MIB + 512)
PIECE = 256 << 10
CONFIG = """
[[stores]]
id = "near"
default = true
[[stores]]
id = "far"
path = "{far}"
[[stores]]
id = "packed"
path = "{packed}"
convert = "qcow2"
[[stores]]
id = "volumes"
kind = "volume"
[[stores]]
id = "web"
kind = "http"
[images]
hash_rate_mib = 0
copying_by_owners = true
[volumes]
hydration_mib_per_s = 4
[fetch]
allowed_networks = ["127.0.0.1/32"]
allowed_ports = [{port}]
"""
#: What comes and goes with the running of a cloud, whatever is in it.
PASSING = re.compile(r"moorage\.db(-wal|-shm|-journal)?|run/spares/\S+\.json")
SPARES = {_short(name) for name in names("files")}  #: what the sockets of daemons are called that wait to be used
#: Tables that are empty where there is no image and no volume; `images` and `volumes` keep those that are deleted.
EMPTY: tuple[Table, ...] = (
    image_rows.locations,
    image_rows.digests,
    image_rows.staged,
    image_rows.reservations,
    volume_rows.layers,
    volume_rows.copies,
)


class Site:
    """A web server with `DATA`, which it gives slowly."""

    def __init__(self) -> None:
        self._web = Web()
        self.port = self._web.port
        self._web.pages["/disk"] = self._slowly

    def url(self) -> str:
        return self._web.url("/disk")

    def close(self) -> None:
        self._web.close()

    def _slowly(self, connection: socket.socket) -> None:
        asked = re.search(r"Range: bytes=(\d+)-(\d*)", self._web.asked[-1])
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]) if asked and asked[2] else len(DATA), len(DATA) - 1)
        where = {"Content_Range": f"bytes {first}-{last}/{len(DATA)}"} if asked else {}
        whole = answer(206 if asked else 200, DATA[first : last + 1], **where)
        with contextlib.suppress(OSError):
            for start in range(0, len(whole), PIECE):
                connection.sendall(whole[start : start + PIECE])
                time.sleep(0.01)


class Busy:
    """One process, and those who keep it busy."""

    def __init__(self, state: Path, url: str, site: Site) -> None:
        self.state, self.url, self.site = state, url, site
        self.place = Place(state)
        far, packed = state / "far", state / "packed"
        (state / "moorage.toml").write_text(CONFIG.format(far=far, packed=packed, port=site.port))
        self.up = self.started()

    def started(self) -> Process:
        self.up = Process(self.state, MOORAGE_DATABASE=self.url).ready()
        return self.up

    def call(self, method: str, path: str, body: Any = None, status: int | None = None) -> Any:
        """A request of the demo user; what it was answered."""
        reply = self.up.call(method, path, body)
        assert status is None or reply.status == status, (method, path, reply.status, reply.body)
        return reply.json if reply.body else None

    def image(self) -> str:
        asked = {"disk_format": "raw", "container_format": "bare", "visibility": "private"}
        return str(self.call("POST", "/image/v2/images", asked, 201)["id"])

    def send(self, path: str, store: str = "", pause_s: float = 0.0) -> int:
        """`DATA`, of unknown length, in pieces; the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.up.port, timeout=120)
        headers = {"X-Auth-Token": self.up.token(), "Content-Type": "application/octet-stream"}
        headers |= {"X-Image-Meta-Store": store} if store else {}

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(DATA), PIECE):
                time.sleep(pause_s)
                yield DATA[start : start + PIECE]

        with contextlib.closing(connection):
            connection.request("PUT", f"/image/v2/images/{path}", pieces(), headers, encode_chunked=True)
            return connection.getresponse().status

    def filled(self, store: str = "near") -> str:
        id = self.image()
        assert self.send(f"{id}/file", store) == 204
        return id

    def staged(self) -> str:
        id = self.image()
        assert self.send(f"{id}/stage") == 204
        return id

    def volume(self, **asked: Any) -> str:
        return str(self.call("POST", "/volume/v3/volumes", {"volume": {"size": 1, **asked}}, 202)["volume"]["id"])

    def begin_import(self, id: str, method: str, stores: list[str], **more: Any) -> None:
        asked = {"method": {"name": method, **more}, "stores": stores, "all_stores_must_succeed": False}
        self.call("POST", f"/image/v2/images/{id}/import", asked, 202)

    def upload_volume(self, id: str, disk_format: str) -> None:
        asked = {"image_name": "of a volume", "disk_format": disk_format, "container_format": "bare"}
        self.call("POST", f"/volume/v3/volumes/{id}/action", {"os-volume_upload_image": asked}, 202)

    def work(self) -> list[Callable[[], Any]]:
        """Everything that is done with images, each ready to be begun."""
        near, volumes, both = self.filled(), self.filled("volumes"), self.filled()
        gone, one, two, three = self.filled(), self.staged(), self.staged(), self.image()
        late, fetched = self.image(), self.image()
        first, second = self.volume(), self.volume()
        for id in (first, second):
            self.up.until(f"/volume/v3/volumes/{id}", "available")
        located, lazy = {"url": self.site.url()}, self.image()
        self.call("POST", f"/image/v2/images/{lazy}/locations", located, 202)
        return [
            lambda: self.send(f"{three}/file", pause_s=0.02),
            lambda: self.send(f"{self.image()}/file", "volumes", 0.02),
            lambda: self.send(f"{self.image()}/stage", pause_s=0.02),
            lambda: self.begin_import(one, "glance-direct", ["near", "far", "volumes"]),
            lambda: self.begin_import(two, "glance-direct", ["packed"]),
            lambda: self.begin_import(fetched, "web-download", ["near", "far"], uri=self.site.url()),
            lambda: self.begin_import(near, "copy-image", ["far", "volumes"]),
            lambda: self.begin_import(both, "copy-image", ["far"]),
            lambda: self.call("DELETE", f"/image/v2/images/{gone}"),
            lambda: self.call("POST", f"/image/v2/images/{late}/locations", located),
            lambda: self.volume(imageRef=near),
            lambda: self.volume(imageRef=volumes),
            lambda: self.volume(imageRef=lazy),
            lambda: self.upload_volume(first, "raw"),
            lambda: self.upload_volume(second, "qcow2"),
        ]

    def kill_in_the_middle(self, after_s: float) -> None:
        """Begin everything, and kill the process a little later; it was never asked for anything that it refused."""
        refused: list[BaseException] = []

        def one(act: Callable[[], Any]) -> None:
            try:
                act()
            except (OSError, http.client.HTTPException):
                pass  # it was killed
            except BaseException as problem:
                refused.append(problem)

        threads = [threading.Thread(target=one, args=(act,)) for act in self.work()]
        for thread in threads:
            thread.start()
        time.sleep(after_s)
        self.up.kill()
        for thread in threads:
            thread.join(60)
        assert refused == []

    def delete_everything(self) -> None:
        """No image and no volume is left of the demo user."""
        for image in self.call("GET", "/image/v2/images?limit=1000")["images"]:
            self.call("DELETE", f"/image/v2/images/{image['id']}", status=204)
        for volume in self.call("GET", "/volume/v3/volumes")["volumes"]:
            self.call("DELETE", f"/volume/v3/volumes/{volume['id']}", status=202)
        empty(lambda: self.call("GET", "/volume/v3/volumes")["volumes"])

    def stuck(self) -> list[str]:
        """What is under way."""
        with self._database() as database, database.read() as tx:
            rows = tx.all(select(operations).where(journal.is_open()))
        return [f"{row['kind']} {row['state']} {row['hindrance'] or row['error'] or ''}" for row in rows]

    def rows(self) -> dict[str, int]:
        """How many rows there are where none should be."""
        with self._database() as database:
            database.transact(lambda tx: forget_digests(tx, tx.now, 1000))  # else every ten minutes
        with self._database() as database, database.read() as tx:
            return {table.name: n for table in EMPTY if (n := tx.value(select(func.count()).select_from(table)))}

    @contextlib.contextmanager
    def _database(self) -> Iterator[Database]:
        database = Database(self.url)
        try:
            yield database
        finally:
            database.close()

    def files(self) -> set[str]:
        """All files and other things that are no directories, below the state directory and that of the sockets."""
        roots = (self.state, self.place.sockets)
        found = {str(path.relative_to(root)) for root in roots for path in root.rglob("*") if not path.is_dir()}
        return {name for name in found if not PASSING.fullmatch(name) and Path(name).stem not in SPARES}

    def spares(self) -> set[int]:
        """The storage daemons that wait to be used."""
        records = self.place.locks.glob("spares/*.json")
        return {int(json.loads(path.read_text())["process"]["pid"]) for path in records}

    def processes(self) -> dict[int, str]:
        """Every process but ours, and spares, that names the state directory or has anything open in it."""
        found, words = {}, (str(self.state), str(self.place.sockets))
        known = {os.getpid(), self.up.popen.pid, *self.spares()}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in known:
                said = _said(entry)
                if any(word in said for word in words):
                    found[int(entry.name)] = said[:300]
        return found


def _said(process: Path) -> str:
    """The command line of a process, and what it has open."""
    with contextlib.suppress(OSError):
        words = [(process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")]
        for one in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                words.append(os.readlink(one))
        return " ".join(words)
    return ""


def empty(left: Callable[[], Any], patience_s: float = 120.0) -> None:
    """Wait until nothing is left."""
    end = time.monotonic() + patience_s
    while found := left():
        assert time.monotonic() < end, found
        time.sleep(0.1)
