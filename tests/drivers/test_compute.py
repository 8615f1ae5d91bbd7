"""What Compute may answer when it is asked who uses a volume, over real sockets, and what is made of it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from moorage.core.errors import Unauthenticated
from moorage.drivers.compute import HttpCompute, Reach
from moorage.volumes.compute import UNNAMED, ComputeUnsure, Word
from tests.clients.compute import standin

SERVER, VOLUME, CLAIM = "5e75e75e-0000-4000-8000-000000000001", "v" * 8, "c1a10000-0000-4000-8000-000000000001"
JSON = b"Content-Type: application/json\r\nOpenStack-API-Version: compute 2.89\r\n"


@contextmanager
def saying(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """The address of one that takes a connection, reads a request and answers; and the requests that it has read."""
    listener, seen = socket.create_server(("127.0.0.1", 0)), []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                seen.append(connection.recv(8192))
                try:
                    answer(connection)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v2.1", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def ask(*urls: str, timeout_s: float = 5.0) -> Word | None:
    return HttpCompute(lambda: Reach(urls, "secret"), timeout_s).ask(SERVER, VOLUME)


def whole(status: str, body: bytes, more: bytes = JSON) -> bytes:
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status.encode(), more, len(body), body)


def used(id: object) -> bytes:
    return json.dumps({"volumeAttachment": {"attachment_id": id, "volumeId": VOLUME}}).encode()


MISSING = b'{"itemNotFound": {"code": 404, "message": "no"}}'
CHUNKED = b"HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n" % JSON
CHUNKED += b"%x\r\n%s\r\n0\r\n\r\n" % (len(used(CLAIM)), used(CLAIM))

# fmt: off
WORDS = (
    ("used",                whole("200 OK", used(CLAIM)),                 {CLAIM}),
    ("in capitals",         whole("200 OK", used(CLAIM.upper())),         {CLAIM}),
    ("in chunks",           CHUNKED,                                      {CLAIM}),
    ("until it hangs up",   b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n" + used(CLAIM), {CLAIM}),
    ("by an unnamed one",   whole("200 OK", used(None)),                  {UNNAMED}),
    ("not used",            whole("404 Not Found", MISSING),              set()),
)
USELESS = (
    ("no 2.89",             whole("200 OK", b'{"volumeAttachment": {"volumeId": "v"}}'),  "means nothing"),
    ("406",                 whole("406 Not Acceptable", b"{}"),           "status 406"),
    ("401",                 whole("401 Unauthorized", b"{}"),             "status 401"),
    ("403",                 whole("403 Forbidden", b"{}"),                "status 403"),
    ("500",                 whole("500 Oh", b"{}"),                       "status 500"),
    ("no content",          whole("204 No Content", b""),                 "status 204"),
    ("somebody's 404",      whole("404 Not Found", b"<html>no</html>"),   "means nothing"),
    ("of another service",  whole("404 No", MISSING, b"OpenStack-API-Version: volume 2.89\r\n"), "not Compute's"),
    ("a path of nobody's",  whole("404 Not Found", MISSING, b""),         "not Compute's"),
    ("an older version",    whole("200 OK", used(CLAIM), b"OpenStack-API-Version: compute 2.88\r\n"), "not Compute's"),
    ("a 404 of no fault",   whole("404 Not Found", b"{}"),                "means nothing"),
    ("not JSON",            whole("200 OK", b"yes"),                      "means nothing"),
    ("not text",            whole("200 OK", b"\xff\xfe\x00"),             "means nothing"),
    ("a list",              whole("200 OK", b"[" * 5000 + b"]" * 5000),   "means nothing"),
    ("a number for an id",  whole("200 OK", used(7)),                     "means nothing"),
    ("half of it",          whole("200 OK", used(CLAIM))[:-5],            "means nothing"),
    ("not HTTP",            b"SSH-2.0-somebody\r\n",                      "not HTTP"),
    ("another protocol",    b"HTTP/1.1 101 Up\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "not HTTP"),
    ("nothing",             b"",                                          "hung up"),
    ("endless headers",     b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 20_000, "too long"),
    ("a huge body",         whole("200 OK", b" " * (1 << 20) + used(CLAIM)), "too long"),
)
# fmt: on


@pytest.mark.parametrize(("answer", "means"), [row[1:] for row in WORDS], ids=[row[0] for row in WORDS])
def test_an_answer_is_understood(answer: bytes, means: set[str]) -> None:
    with saying(lambda there: there.sendall(answer)) as (url, seen):
        assert ask(url) == Word(frozenset(means))
    head = seen[0].decode().split("\r\n")
    assert head[0] == f"GET /v2.1/servers/{SERVER}/os-volume_attachments/{VOLUME} HTTP/1.1"
    assert {"OpenStack-API-Version: compute 2.89", "X-Auth-Token: secret"} <= set(head)


@pytest.mark.parametrize(("answer", "reason"), [row[1:] for row in USELESS], ids=[row[0] for row in USELESS])
def test_a_useless_answer_is_none(answer: bytes, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with saying(lambda there: there.sendall(answer)) as (url, _), pytest.raises(ComputeUnsure) as unsure:
        ask(url)
    assert reason in unsure.value.sentence and SERVER in unsure.value.sentence and unsure.value.status == 503
    assert "secret" not in caplog.text and url not in unsure.value.sentence


def test_it_goes_where_the_catalog_says_and_nowhere_else() -> None:
    with standin() as elsewhere:
        elsewhere.uses[SERVER, VOLUME] = CLAIM
        answer = whole("302 Found", b"", b"Location: %s/servers\r\n" % elsewhere.url.encode())
        with saying(lambda there: there.sendall(answer)) as (url, _), pytest.raises(ComputeUnsure, match="status 302"):
            ask(url)
        assert elsewhere.asked == []


def test_an_answer_that_trickles_is_not_waited_for() -> None:
    over = threading.Event()

    def trickle(there: socket.socket) -> None:
        there.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.05):
            there.sendall(b"X: y\r\n")

    with saying(trickle) as (url, _):
        try:
            with pytest.raises(ComputeUnsure, match="does not answer"):
                ask(url, timeout_s=0.4)
        finally:
            over.set()


def test_silence_is_not_waited_for() -> None:
    over = threading.Event()
    with saying(lambda _: time.sleep(0) if over.wait(30) else None) as (url, _):
        try:
            with pytest.raises(ComputeUnsure, match="does not answer"):
                ask(url, timeout_s=0.2)
        finally:
            over.set()


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ComputeUnsure, match="does not answer"):
        ask(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["file:///etc/hostname", "http://", "nonsense", "http://[::1", "http://h:x"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ComputeUnsure):
        ask(url)


def test_an_address_adds_no_header() -> None:
    with saying(lambda there: there.sendall(whole("404 Not Found", MISSING))) as (url, seen):
        for address in (f"{url} HTTP/1.0", f"{url}/é"):
            with pytest.raises(ComputeUnsure, match="cannot be asked"):
                ask(address)
        with pytest.raises(ComputeUnsure, match="cannot be asked"):
            HttpCompute(lambda: Reach([url], "t\r\nX-Evil: 1")).ask(SERVER, VOLUME)
        HttpCompute(lambda: Reach([url], "t")).ask("../../x?y#z", VOLUME)
    (request,) = seen
    assert request.startswith(b"GET /v2.1/servers/%2E%2E%2F%2E%2E%2Fx%3Fy%23z/os-volume_attachments/")


def test_a_certificate_of_nobody_is_not_believed() -> None:
    with standin() as plain, pytest.raises(ComputeUnsure, match="does not answer"):
        ask(plain.url.replace("http:", "https:"))


def test_what_any_of_several_uses_is_used() -> None:
    with standin() as one, standin() as two:
        assert ask(one.url, two.url) == Word(frozenset())
        two.uses[SERVER, VOLUME] = CLAIM
        assert ask(one.url, two.url) == Word(frozenset({CLAIM}))
        with pytest.raises(ComputeUnsure):
            ask(two.url, "http://127.0.0.1:1")
    assert ask() is None


def test_our_own_user_may_be_stopped() -> None:
    def reach() -> Reach:
        raise Unauthenticated()

    with pytest.raises(ComputeUnsure, match="Moorage's own user"):
        HttpCompute(reach).ask(SERVER, VOLUME)
