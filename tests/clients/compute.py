"""
A stand-in for a Compute service, which knows every server that it is asked for, and the volumes that it is told of;
conformance runs the real one.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

MISSING = {"itemNotFound": {"code": 404, "message": "It could not be found."}}


@dataclass
class Standin:
    """One that runs: what it answers is changed here."""

    url: str = ""
    uses: dict[tuple[str, str], str | None] = field(default_factory=dict)  #: server and volume: by which attachment
    first: Callable[[], object] = lambda: None  #: done before each answer
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)  #: path, and headers in lower case


class _Server(ThreadingHTTPServer):
    standin: Standin


class _Compute(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        standin = cast(_Server, self.server).standin
        path = self.path.partition("?")[0].rstrip("/")
        standin.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
        standin.first()
        at = f"http://{self.headers['host']}/v2.1/"
        last = path.rpartition("/")[2]
        version = {"id": "v2.1", "status": "CURRENT", "version": "2.1", "min_version": "2.1"}
        if "/os-volume_attachments/" in path:
            self._attachment(path.split("/")[-3], last)
        elif "/servers" in path:
            self._answer({"server": {"id": last, "name": f"server-{last[:8]}", "status": "ACTIVE", "links": []}})
        else:
            self._answer({"version": {**version, "links": [{"rel": "self", "href": at}]}})

    def _attachment(self, server: str, volume: str) -> None:
        uses = cast(_Server, self.server).standin.uses
        if (server, volume) not in uses:
            return self._answer(MISSING, 404)
        shown = {"volumeId": volume, "serverId": server, "device": "/dev/vdb", "tag": None}
        if self.headers["openstack-api-version"] == "compute 2.89":
            shown["attachment_id"] = uses[server, volume]
        self._answer({"volumeAttachment": shown})

    def _answer(self, body: object, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        if "openstack-api-version" in self.headers:
            self.send_header("openstack-api-version", self.headers["openstack-api-version"])
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""


@contextmanager
def standin() -> Iterator[Standin]:
    """A stand-in that runs."""
    server = _Server(("127.0.0.1", 0), _Compute)
    server.standin = Standin(f"http://127.0.0.1:{server.server_port}/v2.1")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.standin
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


@contextmanager
def compute() -> Iterator[str]:
    """The endpoint of a stand-in that runs."""
    with standin() as running:
        yield running.url
