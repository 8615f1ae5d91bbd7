"""Images kept in volumes, seen from outside: uploaded, read, made into volumes by any project, deleted, protected."""

from collections.abc import Iterator

import pytest

from moorage.database import Transaction
from moorage.drivers.stores.volume import writer
from moorage.images.locations import location
from moorage.images.records import images
from tests.cloud import Cloud
from tests.conftest import state_directory
from tests.image_volumes import scene
from tests.image_volumes.scene import MIB, content, file_of, image, image_volume, random_bytes, volume
from tests.patience import until

ADMIN = "moorage-admin"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with state_directory() as state, scene.image_cloud(state) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def kept(cloud: Cloud) -> tuple[str, bytes, str]:
    """An image, its bytes, and its volume."""
    data = random_bytes()
    id = image(cloud, data)
    return id, data, image_volume(cloud, id)["id"]


def test_an_upload_lands_in_a_volume_of_the_service_with_what_glance_writes_on_it(cloud, kept):
    id, data, held = kept
    row = image_volume(cloud, id)
    said = row["metadata"]
    assert (row["name"], row["size"], row["status"]) == (f"image-{id}", 1, "available")
    owner = cloud.call("GET", f"/image/v2/images/{id}").json["owner"]
    assert (said["glance_image_id"], said["image_size"], said["image_owner"]) == (id, str(len(data)), owner)
    assert said["readonly"] == "True"
    assert row["os-vol-tenant-attr:tenant_id"] != owner
    assert scene.store(cloud).url(_object(cloud, id)) == f"cinder://volumes/{held}"


def test_it_is_read_as_it_was_written(cloud, kept):
    id, data, _ = kept
    assert file_of(cloud, id) == data
    part = cloud.call("GET", f"/image/v2/images/{id}/file", headers={"range": "bytes=1048570-1048600"})
    assert (part.status, part.body) == (206, data[1048570:1048601])


def test_a_length_that_nobody_knows_beforehand_does_no_harm(cloud):
    id, data = scene.new_image(cloud), random_bytes()
    assert scene.put(cloud, id, [data[at : at + 70_000] for at in range(0, len(data), 70_000)]).status == 204
    assert file_of(cloud, id) == data
    row = image_volume(cloud, id)
    assert (row["metadata"]["image_size"], row["size"]) == (str(len(data)), 1)


def test_what_had_to_grow_is_as_large_as_it_needs_in_the_end(cloud, monkeypatch):
    monkeypatch.setattr(writer, "GIB", MIB)  # so that a volume counts as full early
    id, data = scene.new_image(cloud), random_bytes(5 * MIB)
    assert scene.put(cloud, id, [data[at : at + 70_000] for at in range(0, len(data), 70_000)]).status == 204
    row = image_volume(cloud, id)
    assert row["size"] == 1, "it was 8 while it was written"
    assert file_of(cloud, id) == data
    assert content(cloud, volume(cloud, id), len(data)) == data
    assert content(cloud, row["id"], len(data)) == data


def test_a_project_sees_none_of_these_volumes_and_is_charged_for_none(cloud, kept):
    _, _, held = kept
    listed = cloud.call("GET", "/volume/v3/volumes").json["volumes"]
    assert held not in [row["id"] for row in listed]
    assert cloud.call("GET", f"/volume/v3/volumes/{held}").status == 404
    assert cloud.call("DELETE", f"/volume/v3/volumes/{held}").status == 404
    row = cloud.call(
        "GET", f"/volume/v3/volumes/{held}", as_=ADMIN, headers={"openstack-api-version": "volume 3.65"}
    ).json["volume"]
    assert row["consumes_quota"] is False


def test_a_volume_lies_on_the_image_s_bytes_for_any_project_that_sees_the_image(cloud, kept):
    id, data, _ = kept
    for as_, seen in (("moorage", id), (ADMIN, id)):
        made = volume(cloud, seen, as_=as_)
        assert content(cloud, made, len(data)) == data
        how = cloud.call("GET", f"/moorage/v1/volumes/{made}", as_=ADMIN).json["volume"]["made"]
        assert (how["path"], how["bytes"]) == ("overlay-on-image-volume", 0), how


def test_a_qcow2_image_is_read_as_the_disk_that_it_is(cloud, tmp_path):
    raw = random_bytes(5 * MIB)
    id = image(cloud, scene.qcow2(tmp_path, raw), "qcow2")
    assert content(cloud, volume(cloud, id), len(raw)) == raw


def test_image_and_volumes_go_without_one_another(cloud):
    data = random_bytes()
    first, second = image(cloud, data), image(cloud, data)
    held = image_volume(cloud, first)["id"]
    made, other = volume(cloud, first), volume(cloud, second)
    assert cloud.call("DELETE", f"/image/v2/images/{first}").status == 204
    until(lambda: scene.status(cloud, held) is None)
    assert content(cloud, made, len(data)) == data
    assert cloud.call("DELETE", f"/volume/v3/volumes/{other}").status == 202
    until(lambda: scene.status(cloud, other) is None)
    assert file_of(cloud, second) == data
    assert cloud.call("DELETE", f"/volume/v3/volumes/{made}").status == 202
    until(lambda: scene.status(cloud, made) is None)
    layers = cloud.app.rooms.backends["files"].layers()
    assert not [name for name in layers if made in name or held in name or other in name]


@pytest.mark.parametrize(
    "ask",
    [
        lambda v: ("DELETE", f"/volume/v3/volumes/{v}", None),
        lambda v: ("PUT", f"/volume/v3/volumes/{v}", {"volume": {"name": "mine"}}),
        lambda v: ("PUT", f"/volume/v3/volumes/{v}/metadata", {"metadata": {}}),
        lambda v: ("DELETE", f"/volume/v3/volumes/{v}/metadata/glance_image_id", None),
        lambda v: ("POST", f"/volume/v3/volumes/{v}/action", {"os-extend": {"new_size": 2}}),
        lambda v: ("POST", f"/volume/v3/volumes/{v}/action", {"os-update_readonly_flag": {"readonly": False}}),
        lambda v: ("POST", f"/volume/v3/volumes/{v}/action", {"os-reset_status": {"status": "available"}}),
        lambda v: ("POST", f"/volume/v3/volumes/{v}/action", {"os-reserve": {}}),
        lambda v: ("POST", f"/volume/v3/volumes/{v}/action", {"os-attach": {"host_name": "h", "mountpoint": "/dev/x"}}),
        lambda v: (
            "POST",
            f"/volume/v3/volumes/{v}/action",
            {"os-retype": {"new_type": "multiattach", "migration_policy": "never"}},
        ),
        lambda v: ("POST", "/volume/v3/volumes", {"volume": {"size": 1, "source_volid": v}}),
        lambda v: ("POST", "/volume/v3/attachments", {"attachment": {"volume_uuid": v, "mode": "rw"}}),
        lambda v: ("POST", "/volume/v3/attachments", {"attachment": {"volume_uuid": v}}),
    ],
)
def test_an_administrator_is_refused_what_would_harm_the_image_and_told_which(cloud, kept, ask):
    id, data, held = kept
    method, path, body = ask(held)
    refused = cloud.call(method, path, body, as_=ADMIN, headers={"openstack-api-version": "volume 3.54"})
    assert refused.status == 409
    assert id in refused.message and f"image {id}" in refused.message
    assert file_of(cloud, id) == data


def test_an_administrator_may_read_an_image_volume_and_give_it_back(cloud, kept):
    _, data, held = kept
    assert content(cloud, held, len(data)) == data


def test_an_administrator_does_not_take_it_from_under_a_reader(cloud, kept):
    id, data, held = kept
    chunks = scene.store(cloud).open(_object(cloud, id))
    first = next(chunks)
    claim = scene.store(cloud).pool.held()[held]
    refused = cloud.call(
        "DELETE", f"/volume/v3/attachments/{claim}", as_=ADMIN, headers={"openstack-api-version": "volume 3.54"}
    )
    assert refused.status == 409 and id in refused.message
    assert first + b"".join(chunks) == data


def test_a_deletion_is_done_at_once_and_its_volume_goes_with_the_last_reader(cloud):
    data = random_bytes(8 * MIB)
    id = image(cloud, data)
    held = image_volume(cloud, id)["id"]
    chunks = scene.store(cloud).open(_object(cloud, id))
    first = next(chunks)
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    assert cloud.call("GET", f"/image/v2/images/{id}").status == 404
    assert scene.status(cloud, held) == "in-use"
    assert first + b"".join(chunks) == data
    until(lambda: scene.status(cloud, held) is None)


def _object(cloud: Cloud, id: str) -> str:
    (found,) = [name for name in scene.store(cloud).names() if f"/{id}/" in name]
    return found


def test_a_volume_is_taken_as_an_image_without_a_copy_and_volumes_are_made_of_that(cloud):
    data = random_bytes()
    source = volume(cloud, image(cloud, data))
    id, store = scene.new_image(cloud), scene.store(cloud)
    name = f"images/{id}/op-1"
    assert store.take(name, source) == 1 << 30 == store.size(name)
    assert store.take(name, source) == 1 << 30, "twice is once"
    assert next(store.open(name, length=len(data)))[:MIB] == data[:MIB]
    held = store.volume(name)
    assert cloud.call("DELETE", f"/volume/v3/volumes/{source}").status == 202
    until(lambda: scene.status(cloud, source) is None)
    assert b"".join(store.open(name, length=len(data))) == data
    cloud.app.database.transact(lambda tx: _make_active(tx, id, name))
    made = volume(cloud, id)
    assert content(cloud, made, len(data)) == data
    store.delete(name)
    until(lambda: scene.status(cloud, held) is None)
    assert content(cloud, made, len(data)) == data


def _make_active(tx: Transaction, id: str, name: str) -> None:
    """The image has the object, as the flow that takes volumes leaves it."""
    values = {"state": "active", "size": 1 << 30, "virtual_size": 1 << 30, "checksum": "", "read_as": "raw"}
    tx.change(images, id, values)
    location.hold(tx, id, "volumes", name)
