"""A stand-in for a Compute service, which knows every server that it is asked for; conformance runs the real one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Compute(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        at = f"http://{self.headers['host']}/v2.1/"
        last = self.path.partition("?")[0].rstrip("/").rpartition("/")[2]
        version = {"id": "v2.1", "status": "CURRENT", "version": "2.1", "min_version": "2.1"}
        body: object = {"server": {"id": last, "name": f"server-{last[:8]}", "status": "ACTIVE", "links": []}}
        if "/servers" not in self.path:
            body = {"version": {**version, "links": [{"rel": "self", "href": at}]}}
        self._answer(body)

    def _answer(self, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""


@contextmanager
def compute() -> Iterator[str]:
    """The endpoint of a stand-in that runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Compute)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v2.1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
