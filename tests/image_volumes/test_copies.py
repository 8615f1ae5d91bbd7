"""Volumes of images on whose volumes they cannot lie: of other formats, in another backend, or made by others."""

import hashlib
import json
import shutil
import subprocess

import pytest

from moorage.config import BackendSettings
from moorage.images.settings import ImageSettings
from tests.cloud import running
from tests.flows.test_foreign_images import DRIVERS
from tests.image_volumes import scene
from tests.image_volumes.scene import MIB, content, image, image_volume, random_bytes, volume
from tests.patience import until

ADMIN = "moorage-admin"
V = {"openstack-api-version": "volume 3.54"}
PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}
DATA = random_bytes(9 * MIB)


@pytest.fixture
def cloud(state_dir):
    """A cloud of two backends; its image-volumes are in the first."""
    (state_dir / "other").mkdir()
    backends = (BackendSettings(), BackendSettings(name="other", path=str(state_dir / "other")))
    images = ImageSettings(show_multiple_locations=True)
    with running(state_dir, stores=scene.STORES, backends=backends, images=images) as cloud:
        made = cloud.call("POST", "/volume/v3/types", {"volume_type": {"name": "other"}}, as_=ADMIN)
        specs = {"extra_specs": {"volume_backend_name": "other"}}
        type = made.json["volume_type"]["id"]
        assert cloud.call("POST", f"/volume/v3/types/{type}/extra_specs", specs, as_=ADMIN).status == 200
        yield cloud


def made(cloud, volume):
    return cloud.call("GET", f"/moorage/v1/volumes/{volume}", as_=ADMIN).json["volume"]["made"]


def of_type(cloud, image, type="other"):
    """A volume in the other backend."""
    asked = {"volume": {"size": 1, "imageRef": image, "volume_type": type}}
    reply = cloud.call("POST", "/volume/v3/volumes", asked)
    assert reply.status == 202, reply.body
    id = reply.json["volume"]["id"]
    until(lambda: scene.status(cloud, id) in ("available", "error"))
    return id


def packed(folder, kind, data):
    """A file in a format of others, whose disk has these bytes."""
    plain, file = folder / "plain", folder / f"disk.{kind}"
    plain.write_bytes(data)
    fixed = ("-o", "force_size=on") if kind == "vhd" else ()
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", DRIVERS[kind], *fixed, plain, file], check=True)
    return file.read_bytes()


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
@pytest.mark.parametrize("kind", sorted(DRIVERS))
def test_what_nothing_can_lie_on_is_converted_out_of_its_volume(cloud, tmp_path, kind):
    id = image(cloud, packed(tmp_path, kind, DATA), kind)
    held = image_volume(cloud, id)["id"]
    made_of = volume(cloud, id)
    assert scene.status(cloud, made_of) == "available" and made(cloud, made_of)["path"] == "converted"
    assert content(cloud, made_of, len(DATA)) == DATA
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    until(lambda: scene.status(cloud, held) is None)
    assert content(cloud, made_of, len(DATA)) == DATA


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_an_image_in_a_volume_of_another_backend_is_copied_into_this_one(cloud, state_dir, tmp_path, kind):
    data = DATA if kind == "raw" else scene.qcow2(tmp_path, DATA)
    id = image(cloud, data, kind)
    held = image_volume(cloud, id)["id"]
    one, two = of_type(cloud, id), of_type(cloud, id)
    assert [made(cloud, each)["path"] in ("lazy", "overlay") for each in (one, two)] == [True, True]
    assert content(cloud, one, len(DATA)) == DATA
    until(lambda: whole(cloud))
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    until(lambda: scene.status(cloud, held) is None)
    for each in (one, two):
        assert content(cloud, each, len(DATA)) == DATA
        assert cloud.call("DELETE", f"/volume/v3/volumes/{each}").status == 202
        until(lambda each=each: scene.status(cloud, each) is None)
    until(lambda: not cloud.app.rooms.backends["other"].layers())
    assert [path for path in (state_dir / "other").rglob("*") if path.stat().st_size > MIB] == []


def test_an_image_is_deleted_while_it_is_copied_into_another_backend(cloud):
    """What the copy needs stays until it is whole."""
    id = image(cloud, DATA)
    held = image_volume(cloud, id)["id"]
    one = of_type(cloud, id)
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    assert content(cloud, one, len(DATA)) == DATA
    until(lambda: scene.status(cloud, held) is None)
    assert content(cloud, one, len(DATA)) == DATA


def whole(cloud):
    return not any(cloud.app.rooms.backends["other"].missing(name) for name in copies_of(cloud))


def copies_of(cloud):
    return [name for name in cloud.app.rooms.backends["other"].layers() if name.startswith("copies/")]


@pytest.fixture
def theirs(cloud):
    """A volume with an image's bytes that an administrator has made and marked, as Glance's own store would."""
    of = image(cloud, DATA, as_=ADMIN)
    id = volume(cloud, of, as_=ADMIN)
    marks = {"metadata": {"glance_image_id": of, "image_size": str(len(DATA)), "image_owner": ""}}
    assert cloud.call("POST", f"/volume/v3/volumes/{id}/metadata", marks, as_=ADMIN).status == 200
    assert cloud.call("DELETE", f"/image/v2/images/{of}", as_=ADMIN).status == 204
    return id


def add(cloud, id, url, as_=ADMIN, said=None):
    """POST locations."""
    asked = {"url": url, **({"validation_data": said} if said else {})}
    return cloud.call("POST", f"/image/v2/images/{id}/locations", asked, as_=as_)


def put(cloud, id, url, as_=ADMIN):
    """PATCH locations."""
    change = [{"op": "add", "path": "/locations/-", "value": {"url": url, "metadata": {}}}]
    return cloud.call("PATCH", f"/image/v2/images/{id}", content=json.dumps(change).encode(), headers=PATCH, as_=as_)


def shown(cloud, id):
    return cloud.call("GET", f"/image/v2/images/{id}", as_=ADMIN).json


SAID = {"os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(DATA).hexdigest()}


@pytest.mark.parametrize("spelling", ["cinder://volumes/{}", "cinder://{}"])
@pytest.mark.parametrize("said", [None, SAID], ids=["trusting", "with a hash"])
def test_a_volume_of_others_is_added_as_an_image_s_bytes(cloud, theirs, spelling, said):
    id = scene.new_image(cloud)
    reply = add(cloud, id, spelling.format(theirs), said=said)
    assert reply.status == 202, reply.body
    until(lambda: shown(cloud, id)["status"] == "active" and shown(cloud, id)["checksum"])
    row = shown(cloud, id)
    assert (row["size"], row["os_hash_value"]) == (len(DATA), SAID["os_hash_value"])
    assert (row["stores"], row["checksum"]) == ("volumes", hashlib.md5(DATA).hexdigest())
    (place,) = cloud.call("GET", f"/image/v2/images/{id}/locations", as_=ADMIN).json
    assert place["url"] == f"cinder://volumes/{theirs}"
    assert scene.file_of(cloud, id) == DATA
    one = volume(cloud, id)
    assert scene.status(cloud, one) == "available", made(cloud, one)
    assert content(cloud, one, len(DATA)) == DATA
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    assert scene.status(cloud, theirs) in ("available", "in-use"), "what others have made is theirs"
    assert content(cloud, one, len(DATA)) == DATA


def test_the_old_way_adds_and_removes_a_volume_of_others(cloud, theirs):
    id = scene.new_image(cloud)
    url = f"cinder://volumes/{theirs}"
    assert put(cloud, id, url, as_="moorage").status == 403
    assert put(cloud, id, "cinder://volumes/6f0c4c2e-6f4b-4c3e-9d0f-0a2b6a7c1d11").status == 400
    reply = put(cloud, id, url)
    assert reply.status == 200, reply.body
    assert (reply.json["status"], reply.json["size"]) == ("active", len(DATA))
    assert [place["url"] for place in reply.json["locations"]] == [url]
    assert scene.file_of(cloud, id) == DATA
    assert put(cloud, id, url).status in (400, 409), "twice the same"
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    until(lambda: scene.status(cloud, theirs) == "available")


def test_what_is_no_image_s_volume_is_refused_and_leaves_the_image_as_it_was(cloud, theirs):
    id, mine = scene.new_image(cloud), cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1}}, as_=ADMIN)
    blank = mine.json["volume"]["id"]
    until(lambda: scene.status(cloud, blank) == "available")
    refused = (
        f"volumes/{blank}",  # nobody has marked it as an image's
        "volumes/6f0c4c2e-6f4b-4c3e-9d0f-0a2b6a7c1d11",
        f"elsewhere/{theirs}",
        f"volumes/{theirs}/..",
        "volumes/x",
    )
    assert {url: add(cloud, id, f"cinder://{url}").status for url in refused} == dict.fromkeys(refused, 400)
    other = {**SAID, "os_hash_value": "0" * 128}
    assert add(cloud, id, f"cinder://{theirs}", as_="moorage").status == 403
    assert add(cloud, id, f"cinder://{theirs}", said=other).status == 202
    until(lambda: shown(cloud, id)["status"] == "queued")
    assert cloud.call("GET", f"/image/v2/images/{id}/locations", as_=ADMIN).json == []
    until(lambda: scene.status(cloud, theirs) == "available")
