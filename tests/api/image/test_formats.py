"""Which formats images may have is configured: the schemas say it, and every way to set one heeds it."""

from pathlib import Path
from typing import Any

import pytest

from moorage.config import BadConfiguration, load
from moorage.database import Database
from tests.hostile import make
from tests.images.cloud import PATCH, PATCH_2_0, running


def test_what_is_configured_is_what_schemas_say_and_images_may_have(database: Database, state_dir: Path) -> None:
    few: dict[str, Any] = {"disk_formats": ("qcow2", "raw"), "container_formats": ("bare",)}
    with running(database, state_dir, **few) as cloud:
        known = cloud.call("GET", "/image/v2/schemas/image").json["properties"]
        listed = cloud.call("GET", "/image/v2/schemas/images").json["properties"]["images"]["items"]["properties"]
        for schema in (known, listed):
            assert schema["disk_format"]["enum"] == [None, "qcow2", "raw"]  # in this order: clients take the first
            assert schema["container_format"]["enum"] == [None, "bare"]
        for wrong in ({"disk_format": "iso"}, {"container_format": "ovf"}, {"disk_format": "nonesuch"}):
            reply = cloud.call("POST", "/image/v2/images", wrong)
            assert reply.status == 400 and next(iter(wrong)).encode() in reply.body
        id = cloud.image()
        for headers, change in (
            (PATCH, {"op": "replace", "path": "/disk_format", "value": "iso"}),
            (PATCH_2_0, {"replace": "/container_format", "value": "ovf"}),
        ):
            assert cloud.call("PATCH", f"/image/v2/images/{id}", [change], headers=headers).status == 400
        unset = [{"op": "replace", "path": "/disk_format", "value": None}]
        assert cloud.call("PATCH", f"/image/v2/images/{id}", unset, headers=PATCH).json["disk_format"] is None


def test_an_image_keeps_a_format_that_is_closed_later(database: Database, state_dir: Path) -> None:
    with running(database, state_dir) as cloud:
        id = cloud.image(disk_format="ploop")
    with running(database, state_dir, disk_formats=("raw",)) as cloud:
        values = {"/name": "n", "/disk_format": "ploop"}
        changes = [{"op": "add", "path": path, "value": value} for path, value in values.items()]
        assert cloud.call("PATCH", f"/image/v2/images/{id}", changes, headers=PATCH).json["disk_format"] == "ploop"


def test_more_formats_than_usual_are_inspected_like_the_others(database: Database, state_dir: Path) -> None:
    with running(database, state_dir) as cloud:
        assert cloud.call("POST", "/image/v2/images", {"disk_format": "gpt"}).status == 400
    with running(database, state_dir, disk_formats=("raw", "gpt")) as cloud:
        disk, id = make.mbr(make.PROTECTIVE), cloud.image(disk_format="gpt")
        assert cloud.upload(id, bytes(1 << 20)).status == 415
        assert cloud.upload(id, disk).status == 204
        shown = cloud.show(id)
        assert (shown["disk_format"], shown["virtual_size"]) == ("gpt", len(disk))


@pytest.mark.parametrize(
    "line", ['disk_formats = ["raw", "floppy"]', "disk_formats = []", 'container_formats = ["tin"]']
)
def test_formats_that_nobody_knows_are_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "moorage.toml"
    file.write_text(f"[images]\n{line}\n")
    with pytest.raises(BadConfiguration, match=line.partition(" ")[0]):
        load(file, tmp_path)
