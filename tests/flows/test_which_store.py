"""Which store an image of a volume goes to: what is said, the type's wish, the base image's, the default."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.config import StoreSettings
from moorage.images.settings import ImageSettings
from tests.cloud import running
from tests.flows.uploads import Uploads, V

BYTES = {"content-type": "application/octet-stream"}


@pytest.fixture
def uploads(state_dir: Path) -> Iterator[Uploads]:
    """A cloud with three stores; the first one, which is the default, shows layers."""
    stores = [StoreSettings(default=True)]
    for n, id in enumerate(("one", "two"), 1):
        (state_dir / id).mkdir(mode=0o711)
        stores.append(StoreSettings(id=id, path=str(state_dir / id), weight=n))
    with running(state_dir, stores=tuple(stores), images=ImageSettings(hash_rate_mib=1)) as cloud:
        yield Uploads(cloud)


def wants(uploads: Uploads, store: str) -> str:
    """A type whose volumes' images go to `store`."""
    body = {"volume_type": {"name": f"to {store}", "extra_specs": {"image_service:store_id": store}}}
    reply = uploads.cloud.call("POST", "/volume/v3/types", body, as_="moorage-admin", headers=V)
    return str(reply.json["volume_type"]["id"])


def base(uploads: Uploads, store: str) -> str:
    """An image in `store`."""
    body = {"name": "base", "disk_format": "raw", "container_format": "bare", "visibility": "private"}
    id = str(uploads.cloud.call("POST", "/image/v2/images", body).json["id"])
    put = uploads.cloud.call(
        "PUT", f"/image/v2/images/{id}/file", content=b"x" * 1024, headers={**BYTES, "x-image-meta-store": store}
    )
    assert put.status == 204, put.body
    return id


def made_of(uploads: Uploads, image: str, **more: Any) -> str:
    """A volume that says that it was made of the image."""
    volume = uploads.volume(**more)
    body = {"os-set_image_metadata": {"metadata": {"image_id": image, "hw_disk_bus": "scsi", "os_glance_x": "1"}}}
    reply = uploads.cloud.call("POST", f"/volume/v3/volumes/{volume}/action", body, headers=V)
    assert reply.status == 200, reply.body
    return volume


def store_of(uploads: Uploads, answer: dict[str, Any]) -> str:
    id = answer["image_id"]
    uploads.until(lambda: uploads.image(id)["status"] == "active", 90)
    return str(uploads.image(id)["stores"])


def test_the_default_where_nothing_is_said(uploads: Uploads) -> None:
    assert store_of(uploads, uploads.upload(uploads.volume())) == "files"


def test_the_base_images_before_the_default_and_its_properties_come_along(uploads: Uploads) -> None:
    image = base(uploads, "two")
    volume = made_of(uploads, image)
    answer = uploads.upload(volume, disk_format="qcow2")
    assert store_of(uploads, answer) == "two"
    shown = uploads.image(answer["image_id"])
    assert shown["hw_disk_bus"] == "scsi"
    assert not [name for name in shown if name in ("image_id", "os_glance_x", "signature_verified", "min_ram_x")]
    uploads.delete_image(image)  # then it counts for nothing
    assert store_of(uploads, uploads.upload(volume)) == "files"


def test_a_base_that_the_caller_does_not_see_counts_for_nothing(uploads: Uploads) -> None:
    image = base(uploads, "two")
    volume = made_of(uploads, image)
    body = {"name": "hidden", "disk_format": "raw", "container_format": "bare", "visibility": "private"}
    foreign = uploads.cloud.call("POST", "/image/v2/images", body, as_="moorage-admin").json["id"]
    headers = {**BYTES, "x-image-meta-store": "one"}
    path = f"/image/v2/images/{foreign}/file"
    assert uploads.cloud.call("PUT", path, content=b"x", headers=headers, as_="moorage-admin").status == 204
    uploads.cloud.call(
        "POST",
        f"/volume/v3/volumes/{volume}/action",
        {"os-set_image_metadata": {"metadata": {"image_id": foreign}}},
        headers=V,
    )
    assert store_of(uploads, uploads.upload(volume, disk_format="qcow2")) == "files"


def test_the_types_wish_before_the_base_images(uploads: Uploads) -> None:
    volume = made_of(uploads, base(uploads, "two"), volume_type=wants(uploads, "one"))
    assert store_of(uploads, uploads.upload(volume, disk_format="qcow2")) == "one"
    said = uploads.upload(volume, disk_format="qcow2", headers={"Moorage-Store": "two"})
    assert store_of(uploads, said) == "two"


@pytest.mark.parametrize("who", ["header", "type"])
def test_an_unknown_store_is_refused_before_anything_exists(uploads: Uploads, who: str) -> None:
    volume = uploads.volume(**({"volume_type": wants(uploads, "nowhere")} if who == "type" else {}))
    rows = uploads.rows()
    headers = {"Moorage-Store": "nowhere"} if who == "header" else {}
    refused = uploads.ask(volume, headers=headers)
    assert (refused.status, "nowhere" in refused.message) == (404 if who == "header" else 400, True)
    assert uploads.cloud.call("GET", "/image/v2/images").json["images"] == []
    assert (uploads.rows(), uploads.status(volume)) == (rows, "available")


def test_uploads_know_both_headers(uploads: Uploads) -> None:
    body = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    id = str(uploads.cloud.call("POST", "/image/v2/images", body).json["id"])
    path = f"/image/v2/images/{id}/file"

    def put(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return uploads.cloud.call("PUT", path, content=b"x", headers={**BYTES, **named}).status

    assert put(moorage_store="nowhere") == 404
    assert put(x_image_meta_store="nowhere") == 400
    assert put(moorage_store="one", x_image_meta_store="two") == 400
    assert uploads.image(id)["status"] == "queued"
    assert put(moorage_store="one") == 204
    assert uploads.image(id)["stores"] == "one"
