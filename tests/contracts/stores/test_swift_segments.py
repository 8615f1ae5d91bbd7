"""
Large objects in a Swift service are read from their segments: every byte, from any offset, and no manifest is asked.
What is missing or is not what was written is told, and never read; objects that say less are read by their manifests.
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from moorage.drivers.stores.swift import layout as layouts
from moorage.drivers.stores.swift import writer as writing
from moorage.drivers.stores.swift.layout import ITSELF, SEGMENT, Layout, layout_of
from moorage.drivers.stores.swift.store import SwiftStore
from moorage.images.store import ObjectMissing, ObjectUnavailable, StoreUnavailable
from tests.contracts.stores.contract import NAME, put, read

MIB = 1 << 20
DATA = os.urandom(5 * MIB + 77)
OTHER = os.urandom(5 * MIB + 77)
PLACES = [
    (0, None), (0, 1), (MIB - 1, 1), (MIB - 1, 2), (MIB, 1), (MIB, MIB), (MIB + 1, MIB), (3, 4 * MIB), (2 * MIB, None),
    (5 * MIB - 1, None), (5 * MIB, None), (5 * MIB + 76, 1), (5 * MIB + 76, 9), (len(DATA), 5), (len(DATA) + MIB, None),
    (7, 0),
]  # fmt: skip


@pytest.fixture
def store(swift_settings):
    store = SwiftStore("swift", swift_settings)
    yield store
    store.close()


@pytest.fixture
def other(swift_settings):
    """The same objects, in another process."""
    other = SwiftStore("swift", swift_settings)
    yield other
    other.close()


@pytest.fixture
def asked(store, monkeypatch):
    """The names of the objects whose bytes were asked for."""
    seen, open = [], store._service.open

    def noting(object, headers):
        seen.append(object)
        return open(object, headers)

    monkeypatch.setattr(store._service, "open", noting)
    return seen


def write(store, data=DATA, size=None, name=NAME):
    writer = store.create(name, size)
    for start in range(0, len(data), 700_001):
        writer.write(data[start : start + 700_001])
    writer.commit()


def request(store, method, object, headers=None, body=b"", query=""):
    """What the service answers to somebody who is not us."""
    account = store._service._login.account()
    headers = {"X-Auth-Token": account.token, **(headers or {})}
    url = f"{account.url}/{store._settings.container}/{object}{query}"
    with urllib3.PoolManager() as pool:
        answer = pool.request(method, url, headers=headers, body=body, retries=False)
    assert 200 <= answer.status < 300, (answer.status, answer.data)
    return answer


def segments(store, name=NAME):
    return [part for part in store._service.page_through(name + ".part/") if not part.endswith("/mark")]


def laid_out(store, name=NAME):
    return layout_of(name, request(store, "HEAD", name, query="?multipart-manifest=get").headers)


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("size", [len(DATA), None])
def test_any_part_is_read_and_only_segments_are_asked(store, asked, monkeypatch, static, size):
    monkeypatch.setattr(writing, "_MOST_STATIC", 1000 if static else 3)
    write(store, size=size)
    for offset, length in PLACES:
        end = None if length is None else offset + length
        assert read(store, offset=offset, length=length) == DATA[offset:end], (offset, length)
    assert store.size(NAME) == len(DATA)
    assert set(asked) == set(segments(store))


def test_data_that_end_with_a_segment_have_no_empty_one(store, asked):
    write(store, DATA[: 3 * MIB])
    assert read(store) == DATA[: 3 * MIB] and read(store, offset=2 * MIB) == DATA[2 * MIB : 3 * MIB]
    assert read(store, offset=3 * MIB) == b"" and len(set(asked)) == 3


def test_many_read_at_once(store):
    write(store)
    with ThreadPoolExecutor(8) as pool:
        parts = pool.map(lambda n: read(store, offset=n * 300_007, length=MIB), range(16))
        assert list(parts) == [DATA[n * 300_007 : n * 300_007 + MIB] for n in range(16)]


def test_a_part_costs_one_request_once_the_object_is_known(store, asked, monkeypatch):
    write(store)
    read(store, length=5)
    monkeypatch.setattr(store._service, "look", None)
    monkeypatch.setattr(store._service, "ask", None)
    asked.clear()
    assert read(store, offset=MIB, length=MIB) == DATA[MIB : 2 * MIB]
    assert asked == [store._layouts.get(NAME).name(1)]


@pytest.mark.parametrize("what", ["an earlier version's", "somebody else's"])
@pytest.mark.parametrize("static", [True, False])
def test_what_does_not_say_how_it_lies_is_read_by_its_manifest(store, asked, monkeypatch, static, what):
    monkeypatch.setattr(writing, "_MOST_STATIC", 1000 if static else 3)
    if what == "somebody else's":
        foreign(store, static)
    else:
        write(store)
        of_an_earlier_version(store, static)
    assert not laid_out(store).readable
    assert store.size(NAME) == len(DATA)
    asked.clear()
    for offset, length in PLACES:
        end = None if length is None else offset + length
        assert read(store, offset=offset, length=length) == DATA[offset:end], (offset, length)
    store.delete(NAME)
    assert NAME not in set(store._service.page_through(NAME))


def of_an_earlier_version(store, static):
    """The object as versions wrote it that named neither step nor size."""
    known, container = laid_out(store), store._settings.container
    said = {layouts.MARK: known.mark, layouts.SEGMENTS: str(known.segments)}
    if static:
        rows = json.dumps([{"path": f"/{container}/{name}"} for name in known.names()]).encode()
        request(store, "PUT", NAME, said, rows, "?multipart-manifest=put")
    else:
        request(store, "PUT", NAME, said | {"X-Object-Manifest": f"{container}/{layouts.folder(NAME, known.mark)}0"})
    store._layouts.forget(NAME)


def foreign(store, static):
    """A large object that was not written by us."""
    store._service.prepare()
    names = [f"{NAME}.part/theirs/{n}" for n in range(3)]
    for n, name in enumerate(names):
        request(store, "PUT", name, body=DATA[n * 2 * MIB : (n + 1) * 2 * MIB])
    container = store._settings.container
    if static:
        rows = json.dumps([{"path": f"/{container}/{name}"} for name in names]).encode()
        request(store, "PUT", NAME, body=rows, query="?multipart-manifest=put")
    else:
        request(store, "PUT", NAME, {"X-Object-Manifest": f"{container}/{NAME}.part/theirs/"})


def replaced(store, part):
    request(store, "PUT", part, body=OTHER[:MIB])


def replaced_by_a_sibling(store, part):
    request(store, "PUT", part, {"X-Copy-From": f"/{store._settings.container}/{segments(store)[0]}"})


def replaced_under_its_name_by_other_bytes(store, part):
    said = request(store, "HEAD", part).headers[SEGMENT]
    request(store, "PUT", part, {SEGMENT: said}, OTHER[:MIB])


def cut(store, part):
    """It says of itself what it is, and is too short."""
    disguised(store, part, OTHER[:500])


def lengthened(store, part):
    disguised(store, part, OTHER[: 2 * MIB])


def disguised(store, part, data):
    said = layouts.said_of(laid_out(store).mark, 2, hashlib.md5(data).hexdigest())
    request(store, "PUT", part, {SEGMENT: said}, data)


HARMS = [replaced, replaced_by_a_sibling, replaced_under_its_name_by_other_bytes, cut, lengthened]


@pytest.mark.parametrize("harm", HARMS)
def test_a_segment_that_is_not_the_one_that_was_written_is_told_and_not_read(store, other, harm):
    write(store)
    store.size(NAME)
    part = segments(store)[2]
    harm(store, part)
    for reader in (store, other):
        with pytest.raises(ObjectUnavailable, match="a segment of it"):
            reader.open(NAME, 2 * MIB + 7, 100)
        assert read(reader, length=2 * MIB) == DATA[: 2 * MIB]
        assert read(reader, offset=3 * MIB) == DATA[3 * MIB :]
        got = bytearray()
        with pytest.raises(ObjectUnavailable, match="a segment of it"):
            for chunk in reader.open(NAME):
                got += chunk
        assert got == DATA[: 2 * MIB]


def test_a_segment_that_is_missing_is_data_that_is_missing(store, other):
    write(store)
    request(store, "DELETE", segments(store)[2])
    for reader in (store, other):
        got = bytearray()
        with pytest.raises(ObjectMissing):
            for chunk in reader.open(NAME):
                got += chunk
        assert got == DATA[: 2 * MIB]
        with pytest.raises(ObjectMissing):
            reader.open(NAME, 2 * MIB, 1)


def test_a_name_that_others_use_again_gives_the_new_bytes(store, other):
    write(store)
    assert read(store, length=9) == DATA[:9]
    for again in (OTHER, b"small", DATA[: 2 * MIB], b"tiny", OTHER):
        write(other, again)
        assert read(store) == again and store.size(NAME) == len(again)


def test_what_others_delete_is_missing_at_once(store, other):
    for data in (DATA, b"small"):
        write(store, data)
        assert read(store) == data
        other.delete(NAME)
        for read_of in ((0, None), (0, 0), (1, 3), (len(data), None)):
            with pytest.raises(ObjectMissing):
                store.open(NAME, *read_of)


def test_a_reader_whose_object_is_replaced_on_the_way_never_gets_the_others_bytes(store, other):
    write(store)
    chunks = store.open(NAME)
    got = bytearray(next(chunks))
    write(other, OTHER)
    with pytest.raises((ObjectMissing, StoreUnavailable)):
        for chunk in chunks:
            got += chunk
    assert DATA.startswith(bytes(got))


def test_a_small_object_that_is_not_the_one_that_was_known_is_looked_at_again(store):
    write(store, b"small")
    store._layouts.learn(Layout(NAME, "0" * 32, size=5))
    assert read(store) == b"small" and store._layouts.get(NAME).mark == laid_out(store).mark


def test_a_segment_that_goes_before_the_end_is_not_published_without(store):
    writer = store.create(NAME, None)
    writer.write(DATA)
    request(store, "DELETE", segments(store)[1])
    with pytest.raises((ObjectMissing, StoreUnavailable)):
        writer.commit()
    writer.abort()
    assert store.names() == frozenset()


def test_a_segment_that_is_replaced_before_the_end_is_never_read(store):
    writer = store.create(NAME, None)
    writer.write(DATA)
    replaced(store, segments(store)[1])
    with pytest.raises((ObjectMissing, StoreUnavailable)):
        writer.commit()  # not every service looks as closely
        read(store)


def test_layouts_are_remembered_up_to_a_number(store, monkeypatch):
    monkeypatch.setattr(layouts, "_KEPT", 3)
    names = [f"images/8a1c/op{n}-1" for n in range(5)]
    for name in names:
        put(store, name.encode(), name)
        assert read(store, name) == name.encode()
    assert [name for name in names if store._layouts.get(name)] == names[2:]
    assert [read(store, name) for name in names] == [name.encode() for name in names]


SAID = {layouts.MARK: "a1", layouts.SEGMENTS: "3", layouts.STEP: "10", layouts.SIZE: "25", "Content-Length": "0"}


@pytest.mark.parametrize(
    ("change", "readable", "size", "parts"),
    [
        ({}, True, 25, 3),
        ({layouts.SIZE: "30"}, True, 30, 3),
        ({layouts.SIZE: "31"}, False, 31, 3),
        ({layouts.SIZE: "20"}, False, 20, 3),
        ({layouts.STEP: "0"}, False, 25, 3),
        ({layouts.STEP: "ten"}, False, 25, 3),
        ({layouts.STEP: ""}, False, 25, 3),
        ({layouts.SIZE: ""}, False, None, 3),
        ({layouts.SIZE: "-25"}, False, None, 3),
        ({layouts.SIZE: "٢٥"}, False, None, 3),
        ({layouts.SEGMENTS: "0", "Content-Length": "7"}, False, 7, 0),
        ({layouts.SEGMENTS: "100000", "Content-Length": "7"}, False, None, 0),
        ({layouts.SEGMENTS: "", "Content-Length": "7"}, False, None, 0),
        ({layouts.MARK: "../x", "Content-Length": "7"}, False, None, 0),
        ({layouts.MARK: "", "Content-Length": "7"}, False, None, 0),
    ],
)
def test_a_layout_is_believed_only_where_it_adds_up(change, readable, size, parts):
    found = layout_of(NAME, {**SAID, **change})
    assert (found.readable, found.size, len(found.names())) == (readable, size, parts)


def test_the_query_that_asks_for_the_object_itself_is_understood_for_small_ones(store):
    write(store, b"small")
    answer = store._service.ask("HEAD", NAME, query=ITSELF)
    assert (answer.status, answer.headers["Content-Length"]) == (200, "5")
