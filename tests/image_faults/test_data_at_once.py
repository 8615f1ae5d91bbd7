"""Uploads, downloads, deletions and deactivations of one image that meet, through two processes."""

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.image_faults.twins import Twins, at_once

PIECES, PIECE = 6, 200_000
ROUNDS = 6
#: Deletions that meet an upload, spread over the whole of it and a little more; real Glance left up to 4 files of 30.
MEETINGS = 300 if "MOORAGE_CHAOS" in os.environ else 30


def slowly(content: bytes, pause_s: float) -> Iterator[bytes]:
    for start in range(0, len(content), PIECE):
        time.sleep(pause_s)
        yield content[start : start + PIECE]


def test_of_uploads_at_once_one_wins_with_its_own_checksum(cloud: Twins) -> None:
    for _ in range(ROUNDS):
        id = cloud.next.image()
        contents = [bytes([65 + n]) * (300_000 + n) for n in range(2)] + [os.urandom(1000) for _ in range(2)]
        replies = at_once(*[partial(cloud.upload, id, content) for content in contents])
        statuses = [reply.status for reply in replies]
        assert sorted(statuses) == [204] + [409] * 3
        won, image = contents[statuses.index(204)], cloud.show(id)
        assert (image["status"], image["size"]) == ("active", len(won))
        assert image["checksum"] == hashlib.md5(won).hexdigest()
        assert image["os_hash_value"] == hashlib.sha512(won).hexdigest()
        assert cloud.data(id).body == won
        assert sum(f"/{id}/" in name for name in cloud.stores["files"].names()) == 1


def _takes_s(cloud: Twins, content: bytes, pause_s: float) -> float:
    began = time.monotonic()
    assert cloud.upload(cloud.next.image(), slowly(content, pause_s)).status == 204
    return time.monotonic() - began


@pytest.mark.parametrize("chunks", ["few", "many"])
def test_uploads_that_meet_a_delete_leave_no_bytes(cloud: Twins, chunks: str) -> None:
    """What was deleted is gone from the rows and from the store, wherever in the upload the deletion came."""
    content, pause_s = os.urandom(PIECES * PIECE), 0.0 if chunks == "few" else 0.004
    whole_s = min(_takes_s(cloud, content, pause_s) for _ in range(3))  # once the machine may have stood still
    kept = cloud.stores["files"].names()
    seen = set()
    for turn in range(MEETINGS):
        id = cloud.next.image()
        with ThreadPoolExecutor(1) as pool:
            upload = pool.submit(cloud.upload, id, slowly(content, pause_s))
            time.sleep(whole_s * 1.2 * turn / MEETINGS)
            assert cloud.delete(id).status == 204
            status = upload.result().status
        seen.add(status)
        assert status in (204, 404, 410)
        assert cloud.call("GET", f"/{id}", as_="root").status == 404
        assert cloud.data(id, as_="root").status == 404
        assert cloud.stores["files"].names() == kept
    assert 410 in seen


def test_two_uploads_and_a_delete_leave_no_bytes(cloud: Twins) -> None:
    for turn in range(ROUNDS):
        id = cloud.next.image()

        def delete(id: str = id, turn: int = turn) -> int:
            time.sleep(0.005 * turn)
            return cloud.delete(id).status

        uploads = [lambda n=n, id=id: cloud.upload(id, slowly(bytes([n]) * PIECE * 3, 0.003)).status for n in range(3)]  # type: ignore[misc]
        *answers, deleted = at_once(*uploads, delete)
        assert deleted == 204
        assert set(answers) <= {204, 404, 409, 410}
        assert answers.count(204) <= 1
        assert cloud.stores["files"].names() == frozenset()


def test_image_fault_i2_what_was_refused_is_nowhere(cloud: Twins) -> None:
    """The image waits for other bytes as if the refused ones had never come."""
    id = cloud.next.image(disk_format="qcow2")
    assert cloud.upload(id, b"this is no qcow2" * 1000).status == 415
    image = cloud.show(id)
    assert (image["status"], image["size"], image["checksum"], image["os_hash_value"]) == ("queued", None, None, None)
    assert cloud.data(id).status == 204
    assert cloud.stores["files"].names() == frozenset()
    assert cloud.patch(id, ("replace", "/disk_format", "raw")).status == 200
    assert cloud.upload(id, b"these are raw").status == 204
    assert cloud.data(id).body == b"these are raw"


def test_deactivating_and_downloading_at_once(cloud: Twins) -> None:
    """Whoever was answered has all the bytes; whoever asks later gets none."""
    content = os.urandom(3_000_000)
    id = cloud.next.filled(content)
    for _ in range(ROUNDS):
        off, *got = at_once(
            lambda: cloud.call("POST", f"/{id}/actions/deactivate"), *[partial(cloud.data, id) for _ in range(6)]
        )
        assert off.status == 204
        for reply in got:
            assert reply.status == 403 or reply.body == content
        assert cloud.data(id).status == 403
        assert cloud.data(id, as_="root").body == content
        on, *got = at_once(
            lambda: cloud.call("POST", f"/{id}/actions/reactivate"), *[partial(cloud.data, id) for _ in range(6)]
        )
        assert on.status == 204
        assert all(reply.status == 403 or reply.body == content for reply in got)
        assert cloud.data(id).body == content


def test_deactivating_in_the_middle_of_an_upload(cloud: Twins) -> None:
    """Either the image had its bytes already, and is deactivated, or it is told that it has none; never half."""
    for turn in range(ROUNDS * 2):
        id = cloud.next.image()
        with ThreadPoolExecutor(1) as pool:
            upload = pool.submit(cloud.upload, id, slowly(b"x" * PIECE * 4, 0.003))
            time.sleep(0.004 * turn)
            status = cloud.call("POST", f"/{id}/actions/deactivate").status
            assert upload.result().status == 204
        assert (status, cloud.show(id)["status"]) in ((403, "active"), (204, "deactivated"))


def test_downloads_that_meet_a_delete_are_whole_or_nothing(cloud: Twins) -> None:
    content = os.urandom(5_000_000)
    for turn in range(ROUNDS):
        id = cloud.next.filled(content)

        def delete(id: str = id, turn: int = turn) -> int:
            time.sleep(0.002 * turn)
            return cloud.delete(id).status

        *got, deleted = at_once(*[partial(cloud.data, id) for _ in range(6)], delete)
        assert deleted == 204
        for reply in got:
            assert reply.broken or reply.status in (404, 503) or (reply.status, reply.body) == (200, content)
