"""The http store reads what web servers serve, in parts as well; each server's trouble is its own."""

import os
import re
import socket

import pytest

from moorage.core.errors import Problem
from moorage.drivers.fetch.client import GuardedFetch
from moorage.drivers.fetch.settings import FetchSettings
from moorage.drivers.stores.health import Watched
from moorage.drivers.stores.http import HttpStore
from moorage.images.store import LocationRefused, ObjectMissing, ObjectUnavailable, StoreReadOnly
from tests.contracts.stores.contract import read
from tests.drivers.fetch.web import answer, web

DATA = os.urandom((2 << 20) + 4_321)


class Server:
    """Serves `DATA` at /disk.raw; `parts`: as parts where asked; `breaks`: hangs up so often after a mebibyte."""

    def __init__(self, site):
        self.site, self.parts, self.breaks, self.tag = site, True, 0, '"one"'
        site.pages["/disk.raw"] = self.serve
        self.url = site.url("/disk.raw")

    def serve(self, connection: socket.socket) -> None:
        asked = re.search(r"Range: bytes=(\d+)-(\d*)", self.site.asked[-1])
        first, last = (int(asked[1]), int(asked[2] or len(DATA) - 1)) if asked and self.parts else (0, len(DATA) - 1)
        last = min(last, len(DATA) - 1)
        if first >= len(DATA):
            connection.sendall(answer(416))
            return
        body = DATA[first : last + 1]
        status, more = (
            (206, {"Content_Range": f"bytes {first}-{last}/{len(DATA)}"}) if asked and self.parts else (200, {})
        )
        whole = answer(status, body, ETag=self.tag, **more)
        if self.breaks and len(body) > 1 << 20:
            self.breaks -= 1
            whole = whole[: len(whole) - len(body) + (1 << 20)]
        connection.sendall(whole)


@pytest.fixture
def server():
    with web() as site:
        yield Server(site)


@pytest.fixture
def store(server):
    settings = FetchSettings(allowed_networks=("127.0.0.1/32",), allowed_ports=(server.site.port,), idle_timeout_s=5.0)
    return HttpStore("web", GuardedFetch(settings))


def test_what_is_there_is_read_whole(store, server):
    name = store.adopt(server.url)
    assert (store.size(name), store.url(name)) == (len(DATA), server.url)
    chunks = list(store.open(name))
    assert b"".join(chunks) == DATA and max(map(len, chunks)) <= 1 << 20


@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 0),
        (0, 1),
        (1, None),
        (7, 1 << 20),
        (1 << 20, None),
        (len(DATA) - 3, 100),
        (len(DATA), 5),
        (len(DATA) + 9, None),
    ],
)
def test_a_part_is_read_whether_the_server_sends_parts_or_not(store, server, parts, offset, length):
    server.parts = parts
    end = None if length is None else offset + length
    assert read(store, server.url, offset, length) == DATA[offset:end]


def test_where_a_server_breaks_off_it_is_asked_again(store, server):
    server.breaks = 2
    assert read(store, server.url) == DATA
    server.breaks, server.parts = 1, False
    assert read(store, server.url) == DATA


def test_another_content_is_never_mixed_with_the_first(store, server):
    server.breaks = 1
    chunks = store.open(server.url)
    next(chunks)
    server.tag = '"two"'
    with pytest.raises(ObjectUnavailable, match="changed meanwhile"):
        b"".join(chunks)


def test_a_server_that_is_down_is_its_own_images_trouble(store, server):
    server.site.close()
    watched = Watched(store)
    for verb in (watched.size, watched.open):
        with pytest.raises(ObjectUnavailable, match="data of image at another server"):
            verb(server.url)
    assert watched.trouble() is None and not watched._looking


def test_what_is_not_there_is_missing(store, server):
    for verb in (store.size, store.open):
        with pytest.raises(ObjectMissing):
            verb(server.site.url("/other"))


def test_nothing_is_written_and_nothing_deleted(store, server):
    assert store.traits.read_only and store.traits.adopts
    with pytest.raises(StoreReadOnly):
        store.create("images/8a1c/op1-1", None)
    store.delete(server.url)
    assert read(store, server.url) == DATA
    assert (store.names(), store.free()) == (frozenset(), None)
    store.probe()


@pytest.mark.parametrize(
    "url",
    [
        "", "http://", "ftp://example.org/x", "file:///etc/passwd", "images/8a1c/op1-1", "http://user:secret@example.org/x",
        "http://example.org/a b", "http://example.org/\n", "http://example.org/é", "http://example.org#x/y",
        "http://example.org/" + "x" * 500, "http://169.254.169.254/latest", "http://10.0.0.1/x", "http://[::1]/x",
        "http://localhost/x", "http://0x7f000001/x",
    ],
)  # fmt: skip
def test_a_url_that_nothing_may_be_read_from_is_refused(store, url):
    with pytest.raises(LocationRefused):
        store.adopt(url)


def test_a_fragment_tells_names_apart_and_is_not_sent(store, server):
    name = store.adopt(f"{server.url}#mirror")
    assert name != store.adopt(server.url)
    assert (store.size(name), read(store, name)) == (len(DATA), DATA)


@pytest.mark.parametrize("name", ["images/8a1c/op1-1", "../x", "file:///etc/passwd", "http://u@127.0.0.1/x"])
def test_a_name_is_a_url_or_nothing(store, name):
    for verb in (store.size, store.open, store.delete):
        with pytest.raises(Problem):
            verb(name)
