"""Uploads: what holds after a good one, and after each kind of bad one; two at once; deletion in the middle."""

import hashlib
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from moorage.operations.records import OPEN, operations
from tests.images.cloud import BYTES, ImageCloud, running
from tests.patience import until

ONE = 1 << 20


def assert_nothing_is_left(cloud: ImageCloud, id: str) -> None:
    """The image is as if nobody had ever tried to upload."""
    image = cloud.show(id)
    fields = "size virtual_size checksum os_hash_algo os_hash_value".split()
    assert (image["status"], [image[name] for name in fields]) == ("queued", [None] * 5)
    assert "stores" not in image
    assert cloud.call("GET", f"/image/v2/images/{id}/file").status == 204
    until(lambda: not any(store.names() for store in cloud.stores.values()), what="bytes are left")
    until(lambda: not unfinished(cloud), what="an operation goes on")
    assert cloud.upload(id, b"second try").status == 204


def unfinished(cloud: ImageCloud) -> Any:
    with cloud.database.read() as tx:
        return tx.all(operations.select().where(operations.c.state.in_(OPEN)))


def chunks(size: int, piece: int = 100_000) -> Iterator[bytes]:
    for start in range(0, size, piece):
        yield bytes([start % 251]) * min(piece, size - start)


def test_a_good_upload_makes_the_image_active(cloud: ImageCloud) -> None:
    id, content = cloud.image(), b"".join(chunks(9 * ONE + 17))
    assert cloud.upload(id, chunks(9 * ONE + 17)).status == 204
    image = cloud.show(id)
    assert image["status"] == "active"
    assert (image["size"], image["virtual_size"]) == (len(content), len(content))
    assert image["checksum"] == hashlib.md5(content).hexdigest()
    assert (image["os_hash_algo"], image["os_hash_value"]) == ("sha512", hashlib.sha512(content).hexdigest())
    assert image["stores"] == "files"
    assert cloud.call("GET", f"/image/v2/images/{id}/file").body == content
    (name,) = cloud.stores["files"].names()
    assert name.startswith(f"images/{id}/")


def test_no_bytes_are_an_image_too(cloud: ImageCloud) -> None:
    id = cloud.image()
    assert cloud.upload(id, b"").status == 204
    image = cloud.show(id)
    assert (image["status"], image["size"], image["checksum"]) == ("active", 0, hashlib.md5(b"").hexdigest())
    reply = cloud.call("GET", f"/image/v2/images/{id}/file")
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "0")


def test_a_client_that_goes_half_way_leaves_nothing(cloud: ImageCloud) -> None:
    id = cloud.image()
    assert cloud.upload(id, chunks(5 * ONE), cut=True).status == 0
    until(lambda: cloud.show(id)["status"] == "queued", what="queued")
    assert_nothing_is_left(cloud, id)


@pytest.mark.parametrize(("content", "headers", "status"), [
    (b"x" * 10, {"x-openstack-image-size": "11"}, 400),
    (b"x" * 10, {"x-openstack-image-size": "9"}, 400),
    ([b"x" * 10], {"x-openstack-image-size": "11"}, 400),
    ([b"x" * 3 * ONE, b"y"], {"x-openstack-image-size": str(3 * ONE)}, 400),
    (b"x", {"x-openstack-image-size": "one"}, 400),
    (b"x", {"x-openstack-image-size": "-1"}, 400),
    (b"x", {"x-image-meta-store": "nonesuch"}, 400),
    (b"x", {"content-type": "application/json"}, 415),
    (b"x", {"content-type": ""}, 415),
])  # fmt: skip
def test_what_contradicts_itself_is_refused(
    cloud: ImageCloud, content: Any, headers: dict[str, str], status: int
) -> None:
    id = cloud.image()
    assert cloud.upload(id, content, headers=headers).status == status
    assert_nothing_is_left(cloud, id)


def hostile_qcow2() -> bytes:
    """A qcow2 whose backing file is a file of the host."""
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 72, 11, 16, ONE, 0, 1, ONE, 2 * ONE, 1, 0, 0)
    return (header + b"/etc/passwd").ljust(3 * ONE, b"\0")


@pytest.mark.parametrize("declared", ["qcow2", "raw"])
def test_unsafe_content_is_refused_and_gone(cloud: ImageCloud, declared: str) -> None:
    id = cloud.image(disk_format=declared)
    reply = cloud.upload(id, hostile_qcow2())
    assert reply.status == 415
    assert "qcow2" in reply.json["message"]
    assert cloud.show(id)["status"] == "queued"
    cloud.call("PATCH", f"/image/v2/images/{id}", [{"op": "replace", "path": "/disk_format", "value": "raw"}],
               headers={"content-type": "application/openstack-images-v2.1-json-patch"})  # fmt: skip
    assert_nothing_is_left(cloud, id)


def test_content_must_be_what_is_declared(cloud: ImageCloud) -> None:
    id = cloud.image(disk_format="qcow2")
    assert cloud.upload(id, b"raw" * 1000).status == 415
    assert cloud.show(id)["status"] == "queued"


def test_formats_come_first(cloud: ImageCloud) -> None:
    id = str(cloud.call("POST", "/image/v2/images", {"disk_format": "raw"}).json["id"])
    assert cloud.upload(id, b"x").status == 400
    assert cloud.show(id)["status"] == "queued"


def test_an_image_is_filled_once(cloud: ImageCloud) -> None:
    id = cloud.filled()
    reply = cloud.upload(id, b"other")
    assert (reply.status, "from active to saving" in reply.json["message"]) == (409, True)
    assert cloud.call("GET", f"/image/v2/images/{id}/file").body == b"some data"


def test_only_members_of_the_owning_project_upload(cloud: ImageCloud) -> None:
    id = cloud.image(visibility="community")
    assert [cloud.upload(id, b"x", as_=who).status for who in ("anna", "bob", "nobody", "system")] == [403] * 4
    assert cloud.show(id)["status"] == "queued"
    assert cloud.upload(id, b"x", as_="root").status == 204


def test_of_two_at_once_one_wins(cloud: ImageCloud) -> None:
    id, begun, go = cloud.image(), threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"first"
        begun.set()
        go.wait(20)

    replies: list[int] = []
    first = threading.Thread(target=lambda: replies.append(cloud.upload(id, slowly()).status))
    first.start()
    begun.wait(20)
    assert cloud.show(id)["status"] == "saving"
    assert cloud.upload(id, b"second").status == 409
    assert cloud.call("GET", f"/image/v2/images/{id}/file").status == 204
    go.set()
    first.join(20)
    assert replies == [204]
    assert cloud.call("GET", f"/image/v2/images/{id}/file").body == b"first"


def test_sixteen_at_once_leave_one_image_and_one_object(cloud: ImageCloud) -> None:
    id, statuses = cloud.image(), []
    uploads = [
        threading.Thread(target=lambda n=n: statuses.append(cloud.upload(id, bytes([n]) * ONE).status))  # type: ignore[misc]
        for n in range(16)
    ]
    for upload in uploads:
        upload.start()
    for upload in uploads:
        upload.join()
    assert sorted(statuses) == [204] + [409] * 15
    body = cloud.call("GET", f"/image/v2/images/{id}/file").body
    assert (len(body), len(set(body)), len(cloud.stores["files"].names())) == (ONE, 1, 1)


def test_deleting_ends_an_upload_even_of_a_silent_client(cloud: ImageCloud) -> None:
    id, begun, go = cloud.image(), threading.Event(), threading.Event()

    def silent() -> Iterator[bytes]:
        yield b"x" * 3 * ONE
        begun.set()
        go.wait(30)

    replies: list[Any] = []
    upload = threading.Thread(target=lambda: replies.append(cloud.upload(id, silent())))
    upload.start()
    begun.wait(20)
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204  # it waits for the upload's end
    assert cloud.stores["files"].names() == frozenset()
    go.set()
    upload.join(20)
    assert replies[0].status == 410, replies[0].body
    assert cloud.call("GET", f"/image/v2/images/{id}").status == 404


def test_a_client_that_falls_silent_is_given_up(database: Any, state_dir: Any) -> None:
    with running(database, state_dir, upload_idle_s=1) as cloud:
        id, go = cloud.image(), threading.Event()

        def silent() -> Iterator[bytes]:
            yield b"x"
            go.wait(20)

        assert cloud.upload(id, silent()).status == 408
        go.set()
        assert_nothing_is_left(cloud, id)


def test_an_image_has_a_largest_size(database: Any, state_dir: Any) -> None:
    with running(database, state_dir, size_cap=3 * ONE) as cloud:
        id = cloud.image()
        assert cloud.upload(id, b"x" * (3 * ONE + 1)).status == 413
        assert cloud.upload(id, chunks(3 * ONE + 1)).status == 413
        assert_nothing_is_left(cloud, id)


def test_text_of_a_refusal_reaches_a_client_that_reads_html(cloud: ImageCloud) -> None:
    id = cloud.image(disk_format="vmdk")
    reply = cloud.call("PUT", f"/image/v2/images/{id}/file", content=b"x", headers=BYTES)
    assert reply.status == 415
    assert "declared vmdk" in reply.body.decode()
    assert reply.headers["content-type"].startswith("text/html")
