"""Quotas of images: exact whoever asks at once, however an upload ends, and whatever is known of it beforehand."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from moorage.database import Database
from moorage.images import allowance
from moorage.images.records import reservations
from moorage.operations.records import operations
from tests.api.image.test_upload import unfinished
from tests.images.cloud import ImageCloud, running
from tests.patience import until

MIB = 1 << 20
LIMITS = {"quota_size_total": 3, "quota_count_total": 3, "quota_count_uploading": 1}


@pytest.fixture
def limited(database: Database, state_dir: Any) -> Iterator[ImageCloud]:
    with running(database, state_dir, **LIMITS) as cloud:
        yield cloud


def used(cloud: ImageCloud, as_: str = "alice") -> dict[str, int]:
    usage = cloud.call("GET", "/image/v2/info/usage", as_=as_).json["usage"]
    return {name.removeprefix("image_"): one["usage"] for name, one in usage.items()}


def create(cloud: ImageCloud, as_: str = "alice") -> int:
    body = {"disk_format": "raw", "container_format": "bare"}
    return cloud.call("POST", "/image/v2/images", body, as_=as_).status


def test_usage_is_shown_beside_its_limits(cloud: ImageCloud, limited: ImageCloud) -> None:
    shown = limited.call("GET", "/image/v2/info/usage").json["usage"]
    limits = {"size_total": 3, "stage_total": -1, "count_total": 3, "count_uploading": 1}
    assert shown == {f"image_{name}": {"limit": limit, "usage": 0} for name, limit in limits.items()}


def test_without_limits_nothing_is_refused_and_usage_is_told_all_the_same(cloud: ImageCloud) -> None:
    cloud.filled(b"x" * MIB)
    assert used(cloud) == {"size_total": 1, "stage_total": 0, "count_total": 1, "count_uploading": 0}
    assert used(cloud, "bob") == dict.fromkeys(used(cloud), 0)


def test_images_are_counted(limited: ImageCloud) -> None:
    ids = [limited.image() for _ in range(3)]
    refused = limited.call("POST", "/image/v2/images", {}, headers={"accept": "application/json"})
    assert refused.status == 413
    assert "image_count_total" in refused.json["message"]
    assert create(limited, "bob") == 201  # another project's
    assert limited.call("DELETE", f"/image/v2/images/{ids[0]}").status == 204
    assert create(limited) == 201


def test_of_many_creates_at_once_as_many_succeed_as_are_allowed(limited: ImageCloud) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(create(limited))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [201] * 3 + [413] * 9
    assert used(limited)["count_total"] == 3


@pytest.mark.parametrize("announced", [True, False])
def test_bytes_are_limited_whether_announced_or_not(limited: ImageCloud, announced: bool) -> None:
    def content(size: int) -> Any:
        return b"x" * size if announced else iter([b"x" * (size // 4)] * 4)

    one, two, three = (limited.image() for _ in range(3))
    assert limited.upload(one, content(2 * MIB)).status == 204
    assert limited.upload(two, content(2 * MIB)).status == 413
    assert limited.show(two)["status"] == "queued"
    until(lambda: not unfinished(limited), what="the refused upload is not over")
    assert used(limited) == {"size_total": 2, "stage_total": 0, "count_total": 3, "count_uploading": 0}
    assert limited.upload(two, content(1 * MIB)).status == 204  # exactly full
    assert limited.upload(three, content(4)).status == 413
    assert len(limited.stores["files"].names()) == 2
    limited.call("DELETE", f"/image/v2/images/{one}")
    assert limited.upload(three, content(2 * MIB)).status == 204


def test_of_uploads_at_once_those_pass_that_there_is_room_for(database: Database, state_dir: Any) -> None:
    """Their sizes unknown beforehand: real Glance lets all of them pass."""
    with running(database, state_dir, quota_size_total=2) as cloud:
        ids, together, found = [cloud.image() for _ in range(4)], threading.Barrier(4), list[int]()

        def content() -> Iterator[bytes]:
            yield b"x" * (MIB // 2)
            together.wait(20)
            yield b"x" * (MIB // 2)

        def send(id: str) -> None:
            found.append(cloud.upload(id, content()).status)

        threads = [threading.Thread(target=send, args=(id,)) for id in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [204, 204, 413, 413]
        assert used(cloud)["size_total"] == 2
        until(lambda: len(cloud.stores["files"].names()) == 2, what="bytes of the refused are left")


def test_an_announced_upload_holds_its_room_while_it_runs(database: Database, state_dir: Any) -> None:
    with running(database, state_dir, quota_size_total=3) as cloud:
        first, second = cloud.image(), cloud.image()
        begun, go = threading.Event(), threading.Event()

        def slow() -> Iterator[bytes]:
            begun.set()
            go.wait(20)
            yield b"x" * 2 * MIB

        headers = {"x-openstack-image-size": str(2 * MIB)}
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(cloud.upload(first, slow(), headers=headers).status))
        thread.start()
        assert begun.wait(20)
        until(lambda: used(cloud)["size_total"] == 2, what="nothing is reserved")
        assert used(cloud)["count_uploading"] == 1
        assert cloud.upload(second, b"x" * 2 * MIB).status == 413
        go.set()
        thread.join()
        assert answers == [204]
        assert used(cloud) == {"size_total": 2, "stage_total": 0, "count_total": 2, "count_uploading": 0}


def test_uploads_at_once_are_limited(limited: ImageCloud) -> None:
    first, second = limited.image(), limited.image()
    begun, go = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        begun.set()
        go.wait(20)
        yield b"x"

    thread = threading.Thread(target=lambda: limited.upload(first, slow()))
    thread.start()
    assert begun.wait(20)
    until(lambda: used(limited)["count_uploading"] == 1, what="the upload does not count")
    assert limited.upload(second, b"x").status == 413
    go.set()
    thread.join()
    assert limited.upload(second, b"x").status == 204


def test_a_client_that_goes_leaves_nothing_reserved(limited: ImageCloud) -> None:
    id = limited.image()
    limited.upload(id, iter([b"x" * MIB]), headers={"x-openstack-image-size": str(3 * MIB)}, cut=True)
    until(lambda: used(limited)["size_total"] == 0, what="the room is still held")
    assert limited.upload(id, b"x" * 3 * MIB).status == 204


def test_a_reservation_counts_no_longer_than_its_operation(limited: ImageCloud) -> None:
    """Whoever died, and however: what is reserved is asked of the journal, so nobody has to let go of it."""
    id = limited.image()
    row = {"image_id": id, "project_id": "project-a", "stored": 3 * MIB, "stored_limit": 3 * MIB}
    with limited.database.write() as tx:
        tx.run(reservations.insert().values(id="long-gone", staged=0, **row))
    assert used(limited)["size_total"] == 0
    assert limited.upload(id, b"x" * 3 * MIB).status == 204
    with limited.database.read() as tx:
        assert not [r for r in tx.all(reservations.select()) if r["id"] == "long-gone"]  # and it is cleared away
        assert tx.value(operations.select()) is not None


def test_limits_of_one_project(limited: ImageCloud) -> None:
    with limited.database.write() as tx:
        allowance.set_limits(tx, "project-b", {"image_count_total": 0})
    assert create(limited, "bob") == 413
    assert create(limited, "alice") == 201
    with limited.database.write() as tx:
        allowance.set_limits(tx, "project-b", {"image_count_total": -1})
    assert [create(limited, "bob") for _ in range(5)] == [201] * 5
    with limited.database.write() as tx:
        allowance.reset_limits(tx, "project-b")
    assert create(limited, "bob") == 413


def test_deleting_and_changing_are_never_refused_over_a_limit(limited: ImageCloud) -> None:
    ids = [limited.filled() for _ in range(3)]
    with limited.database.write() as tx:
        allowance.set_limits(tx, "project-a", dict.fromkeys(allowance.UNITS, 0))
    patch = [{"op": "replace", "path": "/name", "value": "still mine"}]
    headers = {"content-type": "application/openstack-images-v2.1-json-patch"}
    assert limited.call("PATCH", f"/image/v2/images/{ids[0]}", patch, headers=headers).status == 200
    assert limited.call("DELETE", f"/image/v2/images/{ids[0]}").status == 204
    assert limited.call("GET", f"/image/v2/images/{ids[1]}/file").status == 200
