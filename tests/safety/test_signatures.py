"""Signed images through a whole cloud: verified when their data come in, and again wherever they go out."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

import moorage
from moorage.images.records import properties as image_properties
from moorage.images.signatures.certificates import Certificates
from tests.images.test_signature import ID, KEYS, certificate, signed
from tests.safety.ways import Scene, scene

DATA = bytes(range(256)) * 8192
PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}


@pytest.fixture
def cloud(state_dir: Path) -> Iterator[Scene]:
    with scene(state_dir) as found:
        folder = state_dir / "certificates"
        folder.mkdir()
        (folder / f"{ID}.pem").write_bytes(certificate(KEYS["RSA-PSS"]))
        yield found


def patched(cloud: Scene, id: str, **values: str) -> None:
    changes = [{"op": "add", "path": f"/{name}", "value": value} for name, value in values.items()]
    body = json.dumps(changes).encode()
    assert cloud.cloud.call("PATCH", f"/image/v2/images/{id}", content=body, headers=PATCH).status == 200


def volume(cloud: Scene, id: str) -> Any:
    asked = {"volume": {"size": 1, "imageRef": id}}
    return cloud.cloud.call("POST", "/volume/v3/volumes", asked, headers={"openstack-api-version": "volume 3.71"})


def properties(hash_method: str = "SHA-256", data: bytes = DATA) -> dict[str, str]:
    return {name: str(value) for name, value in signed(data, "RSA-PSS", hash_method).items()}


@pytest.mark.parametrize("hash_method", ["SHA-256", "SHA-512"])
@pytest.mark.parametrize("way", [Scene.by_upload, Scene.by_stage, Scene.by_web])
def test_a_signed_image_is_verified_when_it_comes_in(cloud: Scene, hash_method: str, way: Callable[..., Any]) -> None:
    id = cloud.create("raw", **properties(hash_method))
    way(cloud, id, DATA)
    assert cloud.show(id)["status"] == "active"
    assert cloud.data(id) == DATA
    made = volume(cloud, id)
    assert made.status == 202, made.body
    shown = cloud.cloud.call("GET", f"/volume/v3/volumes/{made.json['volume']['id']}").json["volume"]
    assert shown["volume_image_metadata"]["signature_verified"] == "True"


@pytest.mark.parametrize("way", [Scene.by_upload, Scene.by_stage, Scene.by_web])
def test_other_data_than_were_signed_are_refused(cloud: Scene, way: Callable[..., Any]) -> None:
    id = cloud.create("raw", **properties())
    status, reason = way(cloud, id, DATA[:-1] + b"\0")
    assert status in (400, 202) and "not that of these data" in reason
    assert cloud.show(id)["status"] == "queued"
    assert cloud.show(id)["checksum"] is None
    cloud.empty()
    assert way(cloud, id, DATA)[0] in (204, 202)
    assert cloud.show(id)["status"] == "active"


# fmt: off
REFUSED = {
    "another certificate":  ({"img_signature_certificate_uuid": "5e75e75e-0000-4000-8000-000000000002"}, 400),
    "a certificate's path": ({"img_signature_certificate_uuid": "../certificates/" + ID},                400),
    "another hash":         ({"img_signature_hash_method": "MD5"},                                       400),
    "another key type":     ({"img_signature_key_type": "DSA"},                                          400),
    "another signature":    ({"img_signature": base64.b64encode(bytes(256)).decode()},                   400),
}
# fmt: on


@pytest.mark.parametrize("what", REFUSED)
def test_a_signature_that_does_not_hold_any_more_keeps_the_data_in(cloud: Scene, what: str) -> None:
    changes, status = REFUSED[what]
    id = cloud.create("raw", **properties())
    assert cloud.by_upload(id, DATA)[0] == 204
    patched(cloud, id, **changes)
    reply = cloud.cloud.call("GET", f"/image/v2/images/{id}/file")
    assert reply.status == status, reply.body
    assert DATA[:100] not in reply.body
    part = cloud.cloud.call("GET", f"/image/v2/images/{id}/file", headers={"range": "bytes=0-9"})
    assert part.status == status
    assert volume(cloud, id).status == status
    assert cloud.cloud.call("GET", "/volume/v3/volumes").json["volumes"] == []
    patched(cloud, id, **properties())
    assert cloud.data(id) == DATA


def read(cloud: Scene, id: str) -> Any:
    return cloud.cloud.call("GET", f"/image/v2/images/{id}/file")


def eventually(cloud: Scene, id: str, status: int) -> Any:
    until = time.monotonic() + 60
    while (reply := read(cloud, id)).status == 409:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert reply.status == status, reply.body
    return reply


def test_a_signature_over_a_hash_that_was_not_taken_counts_once_it_is(cloud: Scene) -> None:
    id = cloud.create("raw")
    assert cloud.by_upload(id, DATA)[0] == 204
    checksum = cloud.show(id)["checksum"]
    patched(cloud, id, **properties("SHA-384"))
    assert eventually(cloud, id, 200).body == DATA
    assert volume(cloud, id).status == 202
    patched(cloud, id, **properties("SHA-224", DATA[:-1]))
    assert b"not that of these data" in eventually(cloud, id, 400).body
    assert volume(cloud, id).status == 400
    assert cloud.show(id)["status"] == "active" and cloud.show(id)["checksum"] == checksum


def test_a_hash_that_nobody_has_asked_for_yet_is_taken_when_somebody_reads(cloud: Scene) -> None:
    id = cloud.create("raw")
    assert cloud.by_upload(id, DATA)[0] == 204
    rows = [{"image_id": id, "name": name, "value": value} for name, value in properties("SHA-384").items()]
    cloud.cloud.app.database.transact(lambda tx: tx.run(insert(image_properties), rows))
    refused = volume(cloud, id)
    assert refused.status == 409 and b"Repeat the call later" in refused.body
    (doing,) = cloud.cloud.call("GET", f"/moorage/v1/operations?resource_id={id}").json["operations"][:1]
    assert f"operation {doing['id']}".encode() in refused.body
    assert cloud.cloud.call("GET", "/volume/v3/volumes").json["volumes"] == []
    assert eventually(cloud, id, 200).body == DATA


@pytest.mark.parametrize("what", ["another certificate", "another hash", "another key type"])
def test_an_upload_whose_signature_nobody_can_verify_is_refused(cloud: Scene, what: str) -> None:
    id = cloud.create("raw", **{**properties(), **REFUSED[what][0]})
    assert cloud.by_upload(id, DATA)[0] == 400
    assert cloud.show(id)["status"] == "queued"
    cloud.empty()


def test_a_signature_is_not_there_because_a_property_says_so(cloud: Scene) -> None:
    id = cloud.create("raw", signature_verified="True")
    assert cloud.by_upload(id, DATA)[0] == 204
    made = volume(cloud, id)
    shown = cloud.cloud.call("GET", f"/volume/v3/volumes/{made.json['volume']['id']}").json["volume"]
    assert shown["volume_image_metadata"]["signature_verified"] == "False"


#: Who asks where an image's bytes are, and lets none of them out: they are moved, looked at, or taken away.
INSIDE = """
    api/image/images api/image/locations flows/volumes/copy_supply flows/images/delete flows/images/stores
    flows/images/incoming/copying flows/images/locations/delete_location flows/images/locations/hash_image
    flows/images/locations/relocate flows/images/of_volumes/beneath flows/why/stores images/locations/location
    images/outgoing
"""


def test_nobody_lets_bytes_out_but_through_the_door_where_signatures_are_verified() -> None:
    source = Path(moorage.__file__).parent
    asking = re.compile(r"\blocation\.(held|objects)\(|^from moorage\.images\.location import", re.M)
    found = {path for path in source.rglob("*.py") if asking.search(path.read_text()) or path.stem == "location"}
    assert {str(path.relative_to(source).with_suffix("")) for path in found} == set(INSIDE.split())


class Far(Certificates):
    """A key manager that somebody else uses the time of: what it asks for first is done before it answers."""

    def __init__(self, certificates: Certificates, meanwhile: Callable[[], Any]) -> None:
        self._certificates, self._meanwhile, self.asked = certificates, meanwhile, list[str]()

    def certificate(self, id: str) -> bytes:
        self.asked.append(id)
        if len(self.asked) == 1:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(self._meanwhile).result(60)  # nobody who asks has a transaction that keeps others out
        return self._certificates.certificate(id)


def take_out(cloud: Scene, id: str, way: str) -> Any:
    return read(cloud, id) if way == "download" else volume(cloud, id)


@pytest.mark.parametrize("way", ["download", "volume"])
def test_nobody_waits_while_a_key_manager_is_asked(cloud: Scene, way: str) -> None:
    id = cloud.create("raw", **properties())
    assert cloud.by_upload(id, DATA)[0] == 204
    rooms = cloud.cloud.app.rooms
    far = rooms.certificates = Far(rooms.certificates, lambda: patched(cloud, id, renamed="meanwhile"))
    assert take_out(cloud, id, way).status in (200, 202)
    assert far.asked == [ID] and cloud.show(id)["renamed"] == "meanwhile"


@pytest.mark.parametrize("way", ["download", "volume"])
def test_a_certificate_that_is_set_meanwhile_is_the_one_that_counts(cloud: Scene, way: str) -> None:
    id, other = cloud.create("raw", **properties()), "5e75e75e-0000-4000-8000-000000000003"
    assert cloud.by_upload(id, DATA)[0] == 204
    rooms = cloud.cloud.app.rooms
    mine = rooms.certificates
    far = rooms.certificates = Far(mine, lambda: patched(cloud, id, img_signature_certificate_uuid=other))
    refused = take_out(cloud, id, way)
    assert (refused.status, far.asked) == (400, [ID, other]) and other.encode() in refused.body
    patched(cloud, id, **properties())
    nonsense = base64.b64encode(bytes(256)).decode()
    far = rooms.certificates = Far(mine, lambda: patched(cloud, id, img_signature=nonsense))
    refused = take_out(cloud, id, way)
    assert (refused.status, far.asked) == (400, [ID]) and b"not that of these data" in refused.body
    assert cloud.cloud.call("GET", "/volume/v3/volumes").json["volumes"] == []
