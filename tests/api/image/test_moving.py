"""How bodies go through the real server: straight into buffers, straight from files, and the connection lives on."""

import hashlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from moorage import inlet
from tests.api.image.test_server import Server, request, server, serving, stored
from tests.patience import until

__all__ = ["server"]
ONE = 1 << 20
BYTES = {"Content-Type": "application/octet-stream"}


def raw(server: Server, method: str, path: str, more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {server.token}\r\n{more}\r\n".encode()


def filled(server: Server, content: bytes) -> str:
    """An image with this content."""
    id = server.image()
    assert server.ask("PUT", f"/image/v2/images/{id}/file", content, headers=BYTES)[0] == 204
    return id


class Ahead:
    """A connection whose answers may come together: what was read beyond one of them is not lost."""

    def __init__(self, client: socket.socket) -> None:
        file = client.makefile("rb")
        self.readline, self.read, self.readinto = file.readline, file.read, file.readinto

    def makefile(self, *_: object) -> "Ahead":
        return self

    def close(self) -> None:
        """The next answer follows."""


def answer(client: "socket.socket | Ahead") -> tuple[int, bytes]:
    reply = http.client.HTTPResponse(client)  # type: ignore[arg-type]
    reply.begin()
    body = reply.read()
    return reply.status, body


@pytest.mark.parametrize(
    "size",
    [1, 65_535, 65_536, 65_537, inlet.BUFFER_BYTES - 1, inlet.BUFFER_BYTES, inlet.BUFFER_BYTES * 3 + 7, 20 * ONE],
)
def test_what_goes_in_comes_out_on_one_connection(server: Server, size: int) -> None:
    """Every length around the edges of buffers; the same connection takes the next request each time."""
    content, connection = os.urandom(size), server.connect()
    headers = {"X-Auth-Token": server.token}
    for _ in range(2):
        id = server.image()
        connection.request("PUT", f"/image/v2/images/{id}/file", content, {**headers, **BYTES})
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (204, b"")
        connection.request("GET", f"/image/v2/images/{id}/file", headers=headers)
        reply = connection.getresponse()
        assert reply.headers["content-length"] == str(size)
        assert reply.read() == content
        connection.request("GET", f"/image/v2/images/{id}/file", headers={**headers, "Range": f"bytes={size // 3}-"})
        assert connection.getresponse().read() == content[size // 3 :]
        assert server.show(id)["checksum"] == hashlib.md5(content).hexdigest()
    connection.close()


def test_a_body_in_small_pieces_with_pauses(server: Server) -> None:
    content, id = os.urandom(3 * ONE), server.image()

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), 300_001):
            time.sleep(0.01)
            yield content[start : start + 300_001]

    path, headers = f"/image/v2/images/{id}/file", {**BYTES, "Content-Length": str(len(content))}
    assert server.ask("PUT", path, pieces(), headers=headers)[0] == 204
    assert server.ask("GET", path)[2] == content


def test_requests_that_were_sent_ahead_are_found_behind_the_body(server: Server) -> None:
    """Three requests in one go: an upload, a question, a download; the body ends where it was said to end."""
    id, content = server.image(), os.urandom(3 * ONE)
    path = f"/image/v2/images/{id}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        ahead = request(server, id, f"Content-Length: {len(content)}") + content
        ahead += raw(server, "GET", path) + raw(server, "GET", f"{path}/file") + raw(server, "GET", path)
        sending = threading.Thread(target=client.sendall, args=(ahead,))
        sending.start()
        answers = Ahead(client)
        seen = [answer(answers) for _ in range(4)]
        sending.join()
    assert [status for status, _ in seen] == [204, 200, 200, 200]
    assert seen[2][1] == content
    assert b'"active"' in seen[1][1] and seen[1][1] == seen[3][1]


def test_files_that_are_asked_for_at_once_come_whole_and_one_after_the_other(server: Server) -> None:
    """The next requests are known to the connection while a file is still on its way."""
    contents = [os.urandom(size) for size in (3 * ONE, 77, 2 * ONE + 1)]
    ids = [filled(server, content) for content in contents]
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(b"".join(raw(server, "GET", f"/image/v2/images/{id}/file") for id in ids))
        answers = Ahead(client)
        assert [answer(answers) for _ in ids] == [(200, content) for content in contents]


def test_files_come_whole_to_pages_of_other_origins_and_the_connection_lives_on() -> None:
    page, content = "https://dashboard.example", os.urandom(3 * ONE)
    with serving(f'cors_origins = ["{page}"]') as server:
        id, connection = filled(server, content), server.connect()
        connection.auto_open = 0  # it is opened once
        connection.connect()
        for _ in range(2):
            headers = {"X-Auth-Token": server.token, "Origin": page}
            connection.request("GET", f"/image/v2/images/{id}/file", headers=headers)
            reply = connection.getresponse()
            assert (reply.status, reply.read()) == (200, content)
            assert reply.headers["Access-Control-Allow-Origin"] == page
        connection.close()


def test_a_refused_body_is_dropped_and_the_next_request_found(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        for announced in (10, 30 * ONE - 1):
            id, size = server.image(), 30 * ONE
            head = request(server, id, f"Content-Length: {size}\r\nX-OpenStack-Image-Size: {announced}")
            sending = threading.Thread(target=client.sendall, args=(head + bytes(size),))
            sending.start()
            assert answer(client)[0] == 400
            sending.join()
        client.sendall(raw(server, "GET", f"/image/v2/images/{id}"))
        status, body = answer(client)
        assert (status, b'"queued"' in body) == (200, True)
        other = server.image()  # refused after a good part of it was taken in
        server.ask("PATCH", f"/image/v2/images/{other}", None)
    assert stored(server, id) == []


def test_content_that_is_refused_half_way_is_dropped_and_the_next_request_found(server: Server) -> None:
    body = {"disk_format": "qcow2", "container_format": "bare"}
    import json

    id = str(json.loads(server.ask("POST", "/image/v2/images", body)[2])["id"])
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        size = 40 * ONE
        sending = threading.Thread(
            target=client.sendall, args=(request(server, id, f"Content-Length: {size}") + bytes(size),)
        )
        sending.start()
        assert answer(client)[0] == 415
        sending.join()
        client.sendall(raw(server, "GET", f"/image/v2/images/{id}"))
        status, content = answer(client)
        assert (status, b'"queued"' in content) == (200, True)
    assert stored(server, id) == []


def test_slow_and_vanishing_readers_hold_nobody_up(server: Server) -> None:
    """Readers that take nothing, or leave half-way, are many more than there are threads; another one is served."""
    content, id = os.urandom(24 * ONE), server.image()
    path = f"/image/v2/images/{id}/file"
    assert server.ask("PUT", path, content, headers=BYTES)[0] == 204
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(24)]
    for client in idle:
        client.sendall(raw(server, "GET", path))
    assert server.ask("GET", path)[2] == content
    for client in idle[::2]:
        client.recv(100_000)
        client.close()
    assert server.ask("GET", path)[2] == content
    for client in idle[1::2]:
        status, body = answer(client)
        assert (status, body) == (200, content)
        client.close()
    before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    assert server.ask("GET", path)[2] == content
    until(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) <= before, what="descriptors are left open")


def test_a_download_whose_image_is_deleted_goes_on_to_its_end(server: Server) -> None:
    content, id = os.urandom(24 * ONE), server.image()
    path = f"/image/v2/images/{id}/file"
    assert server.ask("PUT", path, content, headers=BYTES)[0] == 204
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(raw(server, "GET", path))
        reply = http.client.HTTPResponse(client)
        reply.begin()
        assert server.ask("DELETE", f"/image/v2/images/{id}")[0] == 204
        assert reply.read() == content


def test_a_file_that_is_short_breaks_the_connection(server: Server) -> None:
    content, id = os.urandom(24 * ONE), server.image()
    path = f"/image/v2/images/{id}/file"
    assert server.ask("PUT", path, content, headers=BYTES)[0] == 204
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(raw(server, "GET", path))
        reply = http.client.HTTPResponse(client)
        reply.begin()
        (file,) = stored(server, id)
        file.chmod(0o600)
        os.truncate(file, 20 * ONE)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            reply.read()
    assert server.ask("GET", f"/image/v2/images/{id}")[0] == 200
