"""An upload is learnt in one pass, whatever pieces it comes in, and held to what was announced."""

import hashlib
import itertools
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.core.errors import Malformed, TooLarge
from moorage.images.content import digests
from moorage.images.content.formats import ContentRefused
from moorage.images.content.intake import Intake
from moorage.images.content.lanes import Lane

CHUNK = digests.CHUNK_BYTES
DATA = os.urandom(2 * CHUNK + 777_777)


def take(data=DATA, step=1 << 20, disk_format="raw", container_format="bare", **asked):
    intake = Intake(disk_format, container_format, **asked)
    for start in range(0, len(data), step):
        intake.feed(data[start : start + step])
    return intake.finish()


def plain_digests(data):
    return b"".join(hashlib.sha256(data[at : at + CHUNK]).digest() for at in range(0, len(data), CHUNK))


@pytest.mark.parametrize("step", [70_001, 1 << 20, (4 << 20) - 1, 4 << 20, 100 << 20])
def test_everything_is_learnt_in_one_pass(step):
    taken = take(step=step)
    assert taken.checksum == hashlib.md5(DATA).hexdigest()
    assert (taken.os_hash_algo, taken.os_hash_value) == ("sha512", hashlib.sha512(DATA).hexdigest())
    assert taken.digests == plain_digests(DATA)
    assert (taken.size, taken.format, taken.virtual_size) == (len(DATA), "raw", len(DATA))


@given(st.lists(st.integers(0, 3 << 19), max_size=8))
@settings(deadline=None, max_examples=30)
def test_the_cuts_do_not_matter(sizes):
    intake, view = Intake("raw", "bare"), itertools.accumulate(sizes, initial=0)
    for start, end in itertools.pairwise(view):
        intake.feed(DATA[start:end])
    data = DATA[: sum(sizes)]
    taken = intake.finish()
    assert (taken.size, taken.checksum) == (len(data), hashlib.md5(data).hexdigest())
    assert (taken.os_hash_value, taken.digests) == (hashlib.sha512(data).hexdigest(), plain_digests(data))


def test_the_hash_is_the_one_that_was_asked_for():
    taken = take(os_hash_algo="sha256")
    assert (taken.os_hash_algo, taken.os_hash_value) == ("sha256", hashlib.sha256(DATA).hexdigest())


def test_nothing_is_an_image_too():
    taken = take(b"", size=0)
    assert (taken.size, taken.digests, taken.virtual_size) == (0, b"", 0)
    assert taken.checksum == hashlib.md5(b"").hexdigest()


@pytest.mark.parametrize("missing", [1, len(DATA)])
def test_fewer_bytes_than_announced_are_refused(missing):
    with pytest.raises(Malformed):
        take(DATA[:-missing], size=len(DATA))


def test_more_bytes_than_announced_are_refused_when_they_come():
    intake = Intake("raw", "bare", size=10)
    intake.feed(b"0123456789")
    with pytest.raises(Malformed):
        intake.feed(b"a")


def test_an_image_larger_than_allowed_is_refused_before_its_bytes_when_it_says_so():
    with pytest.raises(TooLarge):
        Intake("raw", "bare", size=101, size_limit=100)


def test_an_image_larger_than_allowed_is_refused_when_it_becomes_so():
    intake = Intake("raw", "bare", size_limit=100)
    intake.feed(bytes(100))
    with pytest.raises(TooLarge):
        intake.feed(b"a")
    assert take(bytes(100), size=100, size_limit=100).size == 100


def test_what_can_only_be_refused_is_refused_after_its_first_mebibyte():
    intake = Intake("raw", "bare")
    intake.feed(b"QFI\xfb".ljust((1 << 20) - 1, b"\0"))
    with pytest.raises(ContentRefused):
        intake.feed(b"a")


def test_other_containers_are_not_looked_into():
    taken = take(b"QFI\xfb" + bytes(5000), disk_format="raw", container_format="ova")
    assert (taken.format, taken.virtual_size) == ("raw", None)


def test_each_chunk_verifies_alone():
    known = take().digests
    assert len(known) == 3 * digests.DIGEST_BYTES
    chunks = [DATA[at : at + CHUNK] for at in range(0, len(DATA), CHUNK)]
    assert [digests.matches(known, index, chunk) for index, chunk in enumerate(chunks)] == [True] * 3
    assert not digests.matches(known, 0, chunks[1])
    assert not digests.matches(known, 2, chunks[2][:-1])
    assert not digests.matches(known, 3, b"")


def test_a_lane_keeps_the_order_and_holds_back_its_source():
    gate, seen, put = threading.Event(), [], []
    lane = Lane(lambda chunk: (gate.wait(), seen.append(chunk)))

    def source():
        for number in range(50):
            lane.put(bytes([number]))
            put.append(number)

    thread = threading.Thread(target=source)
    thread.start()
    thread.join(0.2)
    assert len(put) <= 2
    gate.set()
    thread.join()
    lane.drain()
    assert seen == [bytes([number]) for number in range(50)]


def test_work_that_failed_is_never_taken_for_done():
    lane = Lane(lambda chunk: 1 / len(chunk))
    for chunk in (b"a", b"", b"b"):
        lane.put(chunk)
    with pytest.raises(ZeroDivisionError):
        lane.drain()


def test_many_uploads_share_the_threads():
    found = []
    threads = [threading.Thread(target=lambda: found.append(take().checksum)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [hashlib.md5(DATA).hexdigest()] * 8
