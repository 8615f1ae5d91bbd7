"""Fetching over real connections: pinned, checked at every hop, whole or an error, within limits, without secrets."""

import hashlib
import socket
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from moorage.core.errors import TooLarge
from moorage.drivers.fetch.client import GuardedFetch
from moorage.drivers.fetch.settings import FetchSettings
from moorage.images.imports.fetch import SourceDenied, SourceRefused, SourceUnavailable
from tests.drivers.fetch.corpus import CLOSED, REFUSED
from tests.drivers.fetch.web import Web, answer, certified, web
from tests.patience import set_in_the_end

HERE = "127.0.0.1/32"
DATA = bytes(range(256)) * 1024


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as server:
        yield server


def fetcher(site: Web, resolve=None, headers=None, **settings) -> GuardedFetch:
    asked = {"allowed_networks": (HERE,), "allowed_ports": (site.port,), "idle_timeout_s": 5.0, **settings}
    return GuardedFetch(FetchSettings(**asked), resolve, headers)


def read(stream) -> bytes:
    with stream:
        return b"".join(stream)


# ---- what comes


def test_the_bytes_come_whole(site):
    site.pages["/x?y"] = answer(200, DATA, ETag='"one"')
    stream = fetcher(site).open(site.url("/x?y#z"))
    assert (stream.size, stream.length, stream.version) == (len(DATA), len(DATA), '"one"')
    assert read(stream) == DATA


def test_bytes_in_chunks_come_whole(site):
    head = answer(200, Content_Length="", Transfer_Encoding="chunked")
    pieces = (DATA[:1000], DATA[1000:70_000], DATA[70_000:])
    site.pages["/"] = head + b"".join(b"%x;a=b\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\nTrailer: x\r\n\r\n"
    stream = fetcher(site).open(site.url("/"))
    assert (stream.size, stream.version) == (None, None)
    assert read(stream) == DATA


def test_bytes_up_to_the_hanging_up_come_whole(site):
    site.pages["/"] = answer(200, DATA, Content_Length="")
    assert read(fetcher(site).open(site.url("/"))) == DATA


def test_an_interim_answer_is_passed_over(site):
    site.pages["/"] = b"HTTP/1.1 103 Early Hints\r\nLocation: /evil\r\n\r\n" + answer(200, DATA)
    assert read(fetcher(site).open(site.url("/"))) == DATA


def test_nothing_is_a_whole_answer_too(site):
    site.pages["/"] = answer(200)
    assert read(fetcher(site).open(site.url("/"))) == b""


def test_what_follows_the_answer_is_not_read(site):
    site.pages["/"] = answer(200, b"good") + b"\0garbage" + answer(200, b"evil")
    assert read(fetcher(site).open(site.url("/"))) == b"good"


def part(first: int, last: int, whole: str, body: bytes | None = None) -> bytes:
    sent = DATA[first : last + 1] if body is None else body
    return answer(206, sent, Content_Range=f"bytes {first}-{last}/{whole}", Last_Modified="then")


def test_a_part_comes_as_it_was_asked_for(site):
    site.pages["/"] = part(100, 199, str(len(DATA)))
    stream = fetcher(site).open(site.url("/"), 100, 100)
    assert (stream.size, stream.length, stream.version) == (len(DATA), 100, "then")
    assert read(stream) == DATA[100:200]
    assert "\r\nRange: bytes=100-199\r\n" in site.asked[0]


def test_the_rest_comes_from_an_offset(site):
    site.pages["/"] = part(100, len(DATA) - 1, "*")
    assert read(fetcher(site).open(site.url("/"), 100)) == DATA[100:]
    assert "\r\nRange: bytes=100-\r\n" in site.asked[0]


def test_a_part_that_goes_beyond_the_end_is_short(site):
    site.pages["/"] = part(len(DATA) - 10, len(DATA) - 1, str(len(DATA)))
    assert read(fetcher(site).open(site.url("/"), len(DATA) - 10, 100)) == DATA[-10:]


def test_the_beginning_of_a_whole_answer_is_a_part(site):
    site.pages["/"] = answer(200, DATA)
    assert read(fetcher(site).open(site.url("/"), 0, 100)) == DATA[:100]


WRONG_PARTS = {
    "the whole": answer(200, DATA),
    "another place": part(0, 99, str(len(DATA))),
    "too short": part(100, 149, str(len(DATA))),
    "too long": part(100, 299, str(len(DATA))),
    "other bytes than said": part(100, 199, str(len(DATA)), b"few"),
    "backwards": part(100, 199, "*").replace(b"bytes 100-199/", b"bytes 100-99/"),
    "no place": answer(206, DATA[100:200]),
    "two parts": answer(206, DATA[:9], Content_Type="multipart/byteranges; boundary=x"),
    "beyond": answer(416),
}


@pytest.mark.parametrize("wrong", WRONG_PARTS.values(), ids=WRONG_PARTS.keys())
def test_another_part_than_asked_for_is_no_answer(site, wrong):
    site.pages["/"] = wrong
    with pytest.raises((SourceUnavailable, SourceDenied)):
        read(fetcher(site).open(site.url("/"), 100, 100))


SHORT = {
    "in the head": answer(200, DATA)[:20],
    "in the body": answer(200, DATA[:-1], Content_Length=str(len(DATA))),
    "in a chunk": answer(200, b"ff\r\nabc", Content_Length="", Transfer_Encoding="chunked"),
    "between chunks": answer(200, b"3\r\nabc\r\n", Content_Length="", Transfer_Encoding="chunked"),
    "at once": b"",
}


@pytest.mark.parametrize("short", SHORT.values(), ids=SHORT.keys())
def test_an_answer_that_is_cut_off_is_an_error(site, short):
    site.pages["/"] = short
    with pytest.raises(SourceUnavailable, match="hung up"):
        read(fetcher(site).open(site.url("/")))


USELESS = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "two lengths": answer(200, b"abc").replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"),
    "length and chunks": answer(200, b"3\r\nabc\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
    "compressed": answer(200, b"abc", Content_Encoding="gzip"),
    "compressed on the way": answer(200, b"abc", Content_Length="", Transfer_Encoding="gzip"),
    "no content": answer(204),
    "a part nobody asked for": part(0, 9, "*"),
    "not modified": answer(304),
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "broken": answer(500),
}


@pytest.mark.parametrize("useless", USELESS.values(), ids=USELESS.keys())
def test_an_answer_that_is_not_the_data_is_an_error(site, useless):
    site.pages["/"] = useless
    with pytest.raises(SourceUnavailable) as problem:
        read(fetcher(site).open(site.url("/")))
    assert problem.value.status == 503


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_a_source_that_has_nothing_for_us_is_not_asked_again(site, status):
    site.pages["/"] = answer(status)
    with pytest.raises(SourceDenied) as problem:
        fetcher(site).open(site.url("/"))
    assert problem.value.status == 400


# ---- redirects


def test_redirects_are_followed_and_each_is_checked(site):
    site.pages["/a"] = answer(302, Location="/b?c")
    site.pages["/b?c"] = answer(307, Location=site.url("/d"))
    site.pages["/d"] = answer(308, b"not this", Location=f"//127.0.0.1:{site.port}/e")
    site.pages["/e"] = answer(200, DATA)
    assert read(fetcher(site).open(site.url("/a"))) == DATA


@pytest.mark.parametrize("url", [*REFUSED.values(), *(f"http://[{a}]/" if ":" in a else f"http://{a}/" for a in
                         CLOSED.values() if a != "127.0.0.1")])  # fmt: skip
def test_no_redirect_leads_where_nothing_may_be_asked(site, url):
    site.pages["/"] = answer(302, Location="HERE").replace(b"HERE", url.encode().replace(b"\r\n", b" "))
    asked = []

    def resolve(host, port):
        asked.append(host)
        return ("10.0.0.1",)

    with pytest.raises((SourceRefused, SourceUnavailable)):
        fetcher(site, resolve, allowed_ports=(80, site.port)).open(site.url("/"))
    assert len(site.asked) == 1
    assert "127.0.0.1" not in asked


def test_a_redirect_to_a_name_in_a_closed_network_is_refused(site):
    site.pages["/"] = answer(302, Location=f"http://inside.example.org:{site.port}/x")
    with pytest.raises(SourceRefused, match="not open"):
        fetcher(site, lambda host, port: ("10.0.0.1",)).open(site.url("/"))


def test_redirects_end(site):
    site.pages["/"] = answer(302, Location="/")
    with pytest.raises(SourceRefused, match="more than 5"):
        fetcher(site).open(site.url("/"))
    assert len(site.asked) == 6


def test_a_redirect_to_nowhere_is_an_error(site):
    site.pages["/"] = answer(302)
    with pytest.raises(SourceRefused, match="nowhere"):
        fetcher(site).open(site.url("/"))


def test_a_redirect_may_be_relative(site):
    site.pages["/a/b/c?d=e://f"] = answer(302, Location="../g?h://i")
    site.pages["/a/g?h://i"] = answer(200, DATA)
    assert read(fetcher(site).open(site.url("/a/b/c?d=e://f"))) == DATA


# ---- the connection is pinned


class Rebinding:
    """A resolver whose owner answers something else each time."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int) -> tuple[str, ...]:
        self.asked += 1
        return (self.answers.pop(0),)


def test_the_connection_goes_to_the_address_that_was_checked(site):
    """127.0.0.1 stands for the public address here; asking a second time would give the inside."""
    resolve = Rebinding("127.0.0.1", "10.0.0.1")
    site.pages["/"] = answer(200, DATA)
    assert read(fetcher(site, resolve).open(site.url("/", "rebind.example.org"))) == DATA
    assert resolve.asked == 1
    assert f"\r\nHost: rebind.example.org:{site.port}\r\n" in site.asked[0]


def test_what_was_checked_once_is_checked_anew_when_it_is_asked(site):
    """A name that is fine when an import is asked for, and inside when it is carried out."""
    fetch = fetcher(site, Rebinding("127.0.0.1", "10.0.0.1"))
    fetch.check(site.url("/", "rebind.example.org"))
    with pytest.raises(SourceRefused, match="not open"):
        fetch.open(site.url("/", "rebind.example.org"))
    assert site.asked == []


def test_a_name_is_checked_anew_at_every_redirect(site):
    resolve = Rebinding("127.0.0.1", "169.254.169.254")
    site.pages["/"] = answer(302, Location="/again")
    with pytest.raises(SourceRefused, match="not open"):
        fetcher(site, resolve).open(site.url("/", "rebind.example.org"))
    assert len(site.asked) == 1


def test_the_second_address_is_tried_when_the_first_is_silent(site):
    site.pages["/"] = answer(200, DATA)
    fetch = fetcher(site, lambda host, port: ("127.0.0.2", "127.0.0.1"), allowed_networks=("127.0.0.0/8",))
    assert read(fetch.open(site.url("/", "two.example.org"))) == DATA


def test_nobody_there_is_unavailable(site):
    site.close()
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        fetcher(site).open(site.url("/"))


# ---- TLS


def test_tls_is_asked_for_the_name_and_trusted_for_the_name(tmp_path):
    context, trusted = certified(tmp_path, "good.example.org")
    with web(context) as site:
        site.pages["/"] = answer(200, DATA)
        fetch = fetcher(site, lambda host, port: ("127.0.0.1",), ca_file=str(trusted))
        assert read(fetch.open(site.url("/", "good.example.org"))) == DATA
        assert site.names == ["good.example.org"]
        with pytest.raises(SourceUnavailable, match="not trusted"):
            fetch.open(site.url("/", "other.example.org"))


def test_tls_with_an_unknown_authority_is_refused(tmp_path):
    context, _ = certified(tmp_path, "good.example.org")
    with web(context) as site, pytest.raises(SourceUnavailable, match="not trusted"):
        fetcher(site, lambda host, port: ("127.0.0.1",)).open(site.url("/", "good.example.org"))


def test_a_redirect_never_leaves_tls(tmp_path):
    context, trusted = certified(tmp_path, "good.example.org")
    with web(context) as site, web() as plain:
        site.pages["/"] = answer(302, Location=plain.url("/"))
        fetch = fetcher(site, lambda h, p: ("127.0.0.1",), ca_file=str(trusted), allowed_ports=(site.port, plain.port))
        with pytest.raises(SourceRefused, match="not"):
            fetch.open(site.url("/", "good.example.org"))
        assert plain.asked == []


def test_a_tls_answer_without_a_length_ends_with_a_proper_farewell_only(tmp_path):
    context, trusted = certified(tmp_path, "good.example.org")

    def cut(connection: socket.socket) -> None:
        connection.sendall(answer(200, DATA, Content_Length=""))
        connection.shutdown(socket.SHUT_RDWR)

    with web(context) as site:
        site.pages |= {"/whole": answer(200, DATA, Content_Length=""), "/cut": cut}
        fetch = fetcher(site, lambda h, p: ("127.0.0.1",), ca_file=str(trusted))
        assert read(fetch.open(site.url("/whole", "good.example.org"))) == DATA
        with pytest.raises(SourceUnavailable, match="hung up"):
            read(fetch.open(site.url("/cut", "good.example.org")))


# ---- nothing of anybody's goes along


def test_a_request_holds_nothing_but_what_was_asked(site):
    site.pages["/"] = answer(302, Location="/x")
    site.pages["/x"] = answer(200)
    read(fetcher(site).open(site.url("/")))
    for head in site.asked:
        names = {line.split(":")[0] for line in head.split("\r\n")[1:] if line}
        assert names == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}


def test_neither_the_environment_nor_the_netrc_file_is_read(site, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    site.pages["/"] = answer(200, DATA)
    assert read(fetcher(site).open(site.url("/"))) == DATA
    assert "secret" not in site.asked[0] and "Authorization" not in site.asked[0]


# ---- limits


def test_more_than_allowed_is_refused_as_soon_as_it_is_known(site):
    site.pages["/said"] = answer(200, b"", Content_Length="1000001")
    with pytest.raises(TooLarge):
        fetcher(site).open(site.url("/said"), limit=1_000_000)
    site.pages["/unsaid"] = answer(200, bytes(1_000_001), Content_Length="")
    with pytest.raises(TooLarge):
        read(fetcher(site).open(site.url("/unsaid"), limit=1_000_000))
    assert len(read(fetcher(site).open(site.url("/unsaid"), limit=1_000_001))) == 1_000_001


def endless(start: bytes, piece: bytes):
    def write(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece)

    return write


def test_an_endless_head_is_given_up(site):
    site.pages["/"] = endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"a" * 1000 + b"\r\n")
    with pytest.raises(SourceUnavailable, match="head"):
        fetcher(site).open(site.url("/"))


def test_endless_interim_answers_are_given_up(site):
    site.pages["/"] = endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    with pytest.raises(SourceUnavailable, match="head"):
        fetcher(site).open(site.url("/"))


def test_endless_words_behind_the_chunks_are_given_up(site):
    head = answer(200, Content_Length="", Transfer_Encoding="chunked")
    site.pages["/"] = endless(head + b"0\r\n", b"X-More: " + b"a" * 1000 + b"\r\n")
    with pytest.raises(SourceUnavailable):
        read(fetcher(site).open(site.url("/")))


def silent(start: bytes, stopped: threading.Event):
    def write(connection: socket.socket) -> None:
        connection.sendall(start)
        stopped.wait(60)

    return write


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", answer(200, b"abc", Content_Length="9")])
def test_silence_ends(site, start):
    stopped = threading.Event()
    site.pages["/"] = silent(start, stopped)
    with set_in_the_end(stopped), pytest.raises(SourceUnavailable, match="nothing came"):
        read(fetcher(site, idle_timeout_s=0.2).open(site.url("/")))


def test_a_trickle_ends_too(site):
    stopped = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(answer(200, Content_Length="99999"))
        while not stopped.wait(0.05):
            connection.sendall(b"a")

    site.pages["/"] = trickle
    with set_in_the_end(stopped), pytest.raises(SourceUnavailable, match="takes too long"):
        read(fetcher(site, time_limit_s=0.5).open(site.url("/")))


def test_whoever_wants_no_more_is_heard_while_the_source_is_silent(site):
    class Enough(Exception):
        pass

    def check() -> None:
        raise Enough

    stopped = threading.Event()
    site.pages["/"] = silent(b"", stopped)
    with set_in_the_end(stopped), pytest.raises(Enough):
        fetcher(site, idle_timeout_s=60.0).open(site.url("/"), check=check)


def test_memory_does_not_grow_with_the_data(site):
    piece, pieces = bytes(1 << 20), 128

    def write(connection: socket.socket) -> None:
        connection.sendall(answer(200, Content_Length=str(pieces << 20)))
        for _ in range(pieces):
            connection.sendall(piece)

    site.pages["/"] = write
    hashed, size = hashlib.sha256(), 0
    tracemalloc.start()
    with fetcher(site).open(site.url("/")) as stream:
        for chunk in stream:
            assert len(chunk) <= 1 << 20
            hashed.update(chunk)
            size += len(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == pieces << 20
    assert peak < 16 << 20
