"""A volume that takes its time to be made of an image is given up half-way: no byte and no row are left of that."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from moorage.drivers.backends.files.layers import Layers
from moorage.flows.images.locations import hash_image
from moorage.images.records import digests, images
from moorage.operations.records import OPEN, operations
from moorage.volumes import quota
from moorage.volumes.backend import Foreign, Layer
from moorage.volumes.records import layers, volumes
from tests.flows.far import Far, far_away
from tests.flows.test_lazy_volumes import qcow2
from tests.patience import set_in_the_end, until


@pytest.fixture
def it(state_dir: Path, database_url: str) -> Iterator[Far]:
    with far_away(state_dir, database_url, hydration_mib_per_s=0) as found:
        yield found


def under_way(it: Far, resource: str) -> str:
    path = f"/moorage/v1/operations?state=open&resource_id={resource}"
    (found,) = it.call("GET", path)["operations"]
    return str(found["id"])


def gone(it: Far, volume: str, operation: str) -> None:
    """The volume is no more than a name that says what has become of it, which its owner deletes."""
    until(lambda: it.status(volume) == "error", what="it is still being made")
    until(lambda: rows(it) == ([], [], []), what=f"there is left: {rows(it)}")
    shown = it.call("GET", f"/moorage/v1/operations/{operation}")["operation"]
    assert (shown["state"], shown["error"]["code"]) == ("undone", "operation.cancelled")
    assert "cancelled" in it.why(volume)["sentence"]
    assert files(it) == []
    over = it.cloud.call("DELETE", f"/moorage/v1/operations/{operation}")
    assert over.status == 409 and b"it is over" in over.body
    it.delete(volume)
    with it.rooms.database.read() as tx:
        project = tx.value(select(images.c.owner))
        assert quota.usage(tx, project) == quota.recount(tx, project)
        assert set(quota.usage(tx, project).values()) <= {0}


def rows(it: Far) -> tuple[list[Any], list[Any], list[Any]]:
    with it.rooms.database.read() as tx:
        doing = tx.all(select(operations.c.kind).where(operations.c.state.in_(OPEN)))
        return list(tx.all(select(layers))), it.copies(), list(doing)


def files(it: Far) -> list[Path]:
    return [path for folder in ("volumes", "copies") for path in (it.rooms.state / folder).rglob("*") if path.is_file()]


def test_a_conversion_is_cancelled_half_way(it: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def endless(self: Layers, layer: Layer, source: Foreign, check: Any) -> int:
        (self.path(layer.name).parent).mkdir(exist_ok=True)
        while True:
            begun.set()
            check()

    monkeypatch.setattr(Layers, "convert", endless)
    image = it.image(qcow2(tmp_path, "vmdk"), "vmdk", store="files")
    volume = it.begin(image)
    assert begun.wait(60)
    operation = under_way(it, volume)
    assert it.cloud.call("DELETE", f"/moorage/v1/operations/{operation}").status == 202
    gone(it, volume, operation)
    assert it.call("GET", f"/image/v2/images/{image}")["status"] == "active"


def slow(it: Far) -> tuple[threading.Event, threading.Event]:
    """The far store stands still in the middle of its objects: when it does, and when it may go on."""
    begun, go_on, opened = threading.Event(), threading.Event(), it.store.open

    def open_(name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        chunks = opened(name, offset, length)
        yield next(chunks)
        begun.set()
        assert go_on.wait(60)
        yield from chunks

    it.store.open = open_  # type: ignore[method-assign]
    return begun, go_on


@pytest.mark.parametrize("known", [False, True], ids=["read-first", "lazy"])
def test_a_copy_is_cancelled_half_way(it: Far, tmp_path: Path, known: bool) -> None:
    image = it.image(qcow2(tmp_path), "qcow2")  # of which the beginning is needed in any case
    if not known:
        with it.rooms.database.write() as tx:
            tx.run(delete(digests).where(digests.c.image_id == image))
    begun, go_on = slow(it)
    with set_in_the_end(go_on):
        volume = it.begin(image)
        assert begun.wait(60)
        operation = under_way(it, volume)
        assert it.cloud.call("DELETE", f"/moorage/v1/operations/{operation}").status == 202
        until(lambda: known or it.status(volume) == "error", what="the cancelling waits for the store")
    gone(it, volume, operation)
    assert it.call("GET", f"/image/v2/images/{image}")["status"] == "active"


def test_what_cannot_be_cancelled_says_what_to_do_instead(it: Far) -> None:
    image = it.image()
    begun, go_on = slow(it)
    with set_in_the_end(go_on):
        with it.rooms.database.write() as tx:
            tx.run(delete(digests).where(digests.c.image_id == image))
            tx.change(images, image, {"checksum": None})
            hashing = hash_image.begin(tx, tx.get(images, image) or {}, "any", "sha512")
        assert begun.wait(60)
        refused = it.cloud.call("DELETE", f"/moorage/v1/operations/{hashing}")
        assert refused.status == 409 and f"it ends when image {image} is deleted".encode() in refused.body
        it.begin(image)
        until(it.copies, what="there is no copy")
        (copy,) = it.copies()
        path = f"/moorage/v1/operations/{copy['id']}"
        refused = it.cloud.call("DELETE", path, as_="moorage-admin")
        assert refused.status == 409 and f"volumes of image {image}".encode() in refused.body


def test_a_copy_that_was_converted_leaves_no_row(it: Far, tmp_path: Path) -> None:
    volume = it.volume(it.image(qcow2(tmp_path, "vmdk"), "vmdk"))
    with it.rooms.database.read() as tx:
        (row,) = tx.all(select(volumes))
        assert [layer["id"] for layer in tx.all(select(layers))] == [row["head"]]
    assert (row["base"], it.copies()) == (None, [])
    it.delete(volume)
    assert (rows(it)[0], files(it)) == ([], [])
