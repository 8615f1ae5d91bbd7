"""What a compute service asks of Image for its servers, call by call, is answered as it expects."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tests.cloud import Cloud, Reply

SERVER = "5e75e75e-0000-4000-8000-000000000001"
BYTES = "application/octet-stream"
PATCHES = ("application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch")
MIB = 1 << 20


class Nova:
    """Calls with a user's token and a service token beside it, as glanceclient makes them for Nova."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        password = (cloud.app.place.keys / "service.password").read_text().strip()
        domain = {"name": "Default"}
        user = {"name": "service", "domain": domain, "password": password}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": "service", "domain": domain}}
        asked = {"auth": {"identity": identity, "scope": scope}}
        self._service = cloud.call("POST", "/identity/v3/auth/tokens", asked, as_=None).headers["x-subject-token"]

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = BYTES,
        content: bytes | Iterable[bytes] | None = None,
    ) -> Reply:
        """One call; whatever has no JSON body is said to be bytes, GET and DELETE as well."""
        said: Mapping[str, str] = {"x-service-token": self._service, "content-type": kind}
        return self.cloud.call(method, "/image" + path, body, headers=said, content=content)

    def schema(self) -> None:
        """The schema accompanies nearly every call, and the client builds its model of it."""
        reply = self.ask("GET", "/v2/schemas/image")
        assert reply.status == 200 and reply.json["additionalProperties"] == {"type": "string"}

    def show(self, id: str) -> dict[str, Any]:
        self.schema()
        image: dict[str, Any] = self.ask("GET", f"/v2/images/{id}").json
        return image

    def create(self, **asked: Any) -> str:
        self.schema()
        reply = self.ask("POST", "/v2/images", asked, kind="application/json")
        assert reply.status == 201, reply.body
        return str(reply.json["id"])

    def fill(self, id: str, chunks: list[bytes]) -> None:
        """Upload in chunks without saying how much it will be."""
        reply = self.ask("PUT", f"/v2/images/{id}/file", content=chunks)
        assert reply.status == 204, reply.body


@pytest.fixture(scope="module")
def nova(cloud: Cloud) -> Nova:
    return Nova(cloud)


@pytest.mark.parametrize("patch", PATCHES)
def test_a_server_becomes_an_image(nova: Nova, patch: str) -> None:
    given = {"min_ram": 0, "min_disk": 1, "name": "snap", "visibility": "private", "hw_disk_bus": "virtio"}
    told = {"image_type": "snapshot", "instance_uuid": SERVER, "user_id": "u", "base_image_ref": "b", "mine": "yes"}
    id = nova.create(**given, **told)
    assert nova.show(id)["status"] == "queued" and nova.show(id)["disk_format"] is None
    steps = [
        {"op": "add", "path": "/image_location", "value": "snapshot"},
        {"op": "add", "path": "/image_state", "value": "available"},
        {"op": "add", "path": "/owner_id", "value": "p"},
        {"op": "replace", "path": "/disk_format", "value": "raw"},
        {"op": "replace", "path": "/container_format", "value": "bare"},
    ]
    if "v2.0" in patch:  # the older dialect names the path where the newer one names the operation
        steps = [{step["op"]: step["path"], "value": step["value"]} for step in steps]
    changed = nova.ask("PATCH", f"/v2/images/{id}", steps, kind=patch)
    assert changed.status == 200, changed.body
    chunks = [bytes([n]) * MIB for n in (1, 2)] + [b"end"]
    nova.fill(id, chunks)
    image = nova.show(id)
    assert image["status"] == "active" and image["size"] == 2 * MIB + 3 and image["disk_format"] == "raw"
    assert told.items() <= image.items() and image["image_location"] == "snapshot" and image["hw_disk_bus"] == "virtio"
    assert image["checksum"] == hashlib.md5(b"".join(chunks)).hexdigest()
    assert nova.ask("GET", f"/v2/images/{id}/file").body == b"".join(chunks)
    assert nova.ask("DELETE", f"/v2/images/{id}").status == 204


def test_backups_are_found_by_their_properties_and_rotated(nova: Nova) -> None:
    made = []
    for n in range(3):
        told = {"image_type": "backup", "backup_type": "daily", "instance_uuid": SERVER}
        made.append(nova.create(name=f"backup-{n}", disk_format="raw", container_format="bare", **told))
        nova.fill(made[-1], [b"bytes"])
    others = [
        nova.create(name="weekly", image_type="backup", backup_type="weekly", instance_uuid=SERVER),
        nova.create(name="elsewhere", image_type="backup", backup_type="daily", instance_uuid=SERVER[:-1] + "9"),
    ]
    asked = f"image_type=backup&backup_type=daily&instance_uuid={SERVER}&limit={{}}&sort_key=created_at&sort_dir=desc"
    found = nova.ask("GET", "/v2/images?" + asked.format(200)).json
    assert [row["id"] for row in found["images"]] == made[::-1] and "next" not in found
    first = nova.ask("GET", "/v2/images?" + asked.format(2)).json
    rest = nova.ask("GET", first["next"]).json
    assert [row["id"] for row in first["images"] + rest["images"]] == made[::-1]
    for id in (*made, *others):
        assert nova.ask("DELETE", f"/v2/images/{id}").status == 204


def test_a_volume_backed_servers_image_has_no_bytes_of_its_own(nova: Nova) -> None:
    disk = {
        "source_type": "snapshot",
        "destination_type": "volume",
        "snapshot_id": SERVER,
        "boot_index": 0,
        "tag": None,
    }
    mapping = json.dumps([disk | {"volume_size": n, "delete_on_termination": False} for n in range(1, 20)])
    told = {"bdm_v2": "True", "root_device_name": "/dev/sda", "base_image_ref": "", "block_device_mapping": mapping}
    form = {"min_ram": 0, "min_disk": 0, "name": "vsnap", "disk_format": "raw", "container_format": "bare"}
    id = nova.create(**form, **told, visibility="private", signature_verified="False", boot_roles="reader,member")
    nova.fill(id, [])
    image = nova.show(id)
    assert image["status"] == "active" and image["size"] == 0
    assert image["block_device_mapping"] == mapping and image["base_image_ref"] == ""
    assert nova.ask("GET", f"/v2/images/{id}/file").body == b""
    assert nova.ask("DELETE", f"/v2/images/{id}").status == 204


def test_the_order_of_disk_formats_can_be_read_from_the_schema(nova: Nova) -> None:
    formats = nova.ask("GET", "/v2/schemas/image").json["properties"]["disk_format"]["enum"]
    assert {"qcow2", "vhd", "vmdk", "raw"} <= set(formats)
