"""Copies between stores, and what is done to an image meanwhile: nobody's change is undone, nothing is left over."""

from typing import Any

import pytest

from moorage.drivers.stores.files import FilesStore
from tests.api.image.test_import import DATA, cloud, ended, files, gate, start, tasks
from tests.images.cloud import PATCH, ImageCloud
from tests.patience import until

__all__ = ["cloud"]


def copy(cloud: ImageCloud, id: str, as_: str = "root", **more: Any) -> Any:
    return start(cloud, id, "copy-image", as_=as_, **({"stores": ["b"]} | more))


def held(cloud: ImageCloud) -> str:
    """An image in store a whose copy to store b stands still in the middle; its id."""
    id = cloud.filled(DATA)
    gate(cloud).hold()
    assert copy(cloud, id).status == 202
    assert gate(cloud).reached.wait(60)
    return id


def goes_on(cloud: ImageCloud, id: str) -> Any:
    gate(cloud).go_on.set()
    return ended(cloud, id)


def test_an_image_is_copied(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    assert copy(cloud, id, all_stores_must_succeed=False).status == 202
    assert ended(cloud, id)["status"] == "success"
    it = cloud.show(id)
    assert (it["status"], it["stores"]) == ("active", "b,a")
    assert (it["os_glance_importing_to_stores"], it["os_glance_failed_import"]) == ("", "")
    assert cloud.call("GET", f"/image/v2/images/{id}/file?prefer=b").body == DATA
    assert copy(cloud, id).status == 400
    assert copy(cloud, id, stores=["web"]).status == 409
    again = start(cloud, id, "copy-image", as_="root", all_stores=True)
    assert (again.status, again.body, ended(cloud, id)["status"]) == (202, b"", "success")
    assert cloud.show(id)["os_glance_importing_to_stores"] == ""


def test_a_copy_that_fails_leaves_the_image_as_it_was(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    gate(cloud).full = True
    for must in (True, False):
        assert copy(cloud, id, all_stores_must_succeed=must).status == 202
        assert ended(cloud, id)["status"] == "failure"
        it = cloud.show(id)
        assert (it["status"], it["stores"], it["os_glance_failed_import"]) == ("active", "a", "b")
        assert it["os_glance_importing_to_stores"] == ""
        assert files(cloud, id) == {"a"}


def test_what_is_changed_meanwhile_stays_changed(cloud: ImageCloud) -> None:
    """Image reference I3: a copy writes its own rows, never the image that it read at its beginning."""
    id = held(cloud)
    changes = [
        {"op": "replace", "path": "/name", "value": "other"},
        {"op": "replace", "path": "/protected", "value": True},
        {"op": "replace", "path": "/visibility", "value": "private"},
        {"op": "replace", "path": "/tags", "value": ["t"]},
        {"op": "replace", "path": "/min_disk", "value": 3},
        {"op": "add", "path": "/colour", "value": "blue"},
    ]
    assert cloud.call("PATCH", f"/image/v2/images/{id}", changes, headers=PATCH).status == 200
    assert goes_on(cloud, id)["status"] == "success"
    it = cloud.show(id)
    assert (it["name"], it["protected"], it["visibility"], it["tags"]) == ("other", True, "private", ["t"])
    assert (it["min_disk"], it["colour"], it["stores"]) == (3, "blue", "b,a")


def test_a_store_that_is_left_meanwhile_stays_left(cloud: ImageCloud) -> None:
    """Image reference I4: locations are rows, and a copy adds its own."""
    third = FilesStore("third", cloud.stores["a"].path("images/x").parents[2] / "third")  # type: ignore[union-attr]
    cloud.rooms.stores = {**cloud.stores, "third": third}
    id = cloud.filled(DATA)
    assert copy(cloud, id, stores=["third"]).status == 202
    assert ended(cloud, id)["status"] == "success"
    gate(cloud).hold()
    assert copy(cloud, id).status == 202
    assert gate(cloud).reached.wait(60)
    assert cloud.call("DELETE", f"/image/v2/stores/a/{id}", as_="root").status == 204
    assert goes_on(cloud, id)["status"] == "success"
    assert set(cloud.show(id)["stores"].split(",")) == {"b", "third"}
    assert cloud.call("GET", f"/image/v2/images/{id}/file?prefer=b").body == DATA
    assert files(cloud, id) == {"b"}
    assert any(id in name for name in third.names())


@pytest.mark.parametrize("store", ["b", "a"])
def test_the_only_store_keeps_it_while_it_is_copied(cloud: ImageCloud, store: str) -> None:
    id = held(cloud)
    assert cloud.call("DELETE", f"/image/v2/stores/{store}/{id}", as_="root").status == 403
    assert goes_on(cloud, id)["status"] == "success"


def test_an_image_may_be_deactivated_meanwhile(cloud: ImageCloud) -> None:
    """Image reference I6: the copy goes on, and its keys are empty at its end."""
    id = held(cloud)
    assert cloud.call("POST", f"/image/v2/images/{id}/actions/deactivate").status == 204
    assert goes_on(cloud, id)["status"] == "success"
    it = cloud.show(id)
    assert (it["status"], it["stores"], it["os_glance_importing_to_stores"]) == ("deactivated", "b,a", "")


def test_an_image_may_be_deleted_meanwhile(cloud: ImageCloud) -> None:
    """Image reference I20: what was written after the image went away is taken away."""
    id = held(cloud)
    reply = cloud.call("DELETE", f"/image/v2/images/{id}", headers={"moorage-wait": "0.2"})
    assert reply.status == 504
    assert cloud.call("GET", f"/image/v2/images/{id}").status == 404
    gate(cloud).go_on.set()
    until_nothing_is_left(cloud, id)


def until_nothing_is_left(cloud: ImageCloud, id: str) -> None:
    until(lambda: not any(id in name for store in cloud.stores.values() for name in store.names()))


def test_another_import_waits_for_nobody(cloud: ImageCloud) -> None:
    id = held(cloud)
    reply = copy(cloud, id, stores=["a"])
    assert reply.status == 409
    assert tasks(cloud, id)[0]["id"] in reply.body.decode()
    assert goes_on(cloud, id)["status"] == "success"


def test_bytes_that_are_not_what_was_uploaded_are_not_copied(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    assert copy(cloud, id).status == 202
    assert ended(cloud, id)["status"] == "success"
    heavier, lighter = cloud.stores["b"], cloud.stores["a"]
    third = FilesStore("third", cloud.stores["a"].path("images/x").parents[2] / "third")  # type: ignore[union-attr]
    cloud.rooms.stores = {**cloud.stores, "third": third}
    spoil(heavier, id)
    assert copy(cloud, id, stores=["third"]).status == 202
    assert ended(cloud, id)["status"] == "success"
    (name,) = (name for name in third.names() if id in name)
    assert third.path(name).read_bytes() == DATA
    assert cloud.call("DELETE", f"/image/v2/stores/third/{id}", as_="root").status == 204
    spoil(lighter, id)
    assert copy(cloud, id, stores=["third"]).status == 202
    task = ended(cloud, id)
    assert (task["status"], "is not what was uploaded" in task["message"]) == ("failure", True)
    assert not any(id in name for name in third.names())


def spoil(store: Any, id: str) -> None:
    (name,) = (name for name in store.names() if id in name)
    path = store.path(name)
    path.chmod(0o600)
    path.write_bytes(b"x" * len(DATA))


def test_owners_copy_where_they_may(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA, visibility="community")
    assert copy(cloud, id, as_="alice").status == 403
    object.__setattr__(cloud.rooms.settings.images, "copying_by_owners", True)
    assert [copy(cloud, id, as_=who).status for who in ("anna", "bob")] == [403, 403]
    assert copy(cloud, id, as_="alice").status == 202
    assert ended(cloud, id)["status"] == "success"


def test_an_image_leaves_a_store(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    path = f"/image/v2/stores/b/{id}"
    assert cloud.call("DELETE", path, as_="root").status == 403  # the only one, whichever is named
    copy(cloud, id)
    ended(cloud, id)
    assert cloud.call("DELETE", path).status == 403
    assert cloud.call("DELETE", f"/image/v2/stores/nonesuch/{id}", as_="root").status == 409
    assert cloud.call("DELETE", f"/image/v2/stores/web/{id}", as_="root").status == 404
    assert cloud.call("DELETE", "/image/v2/stores/b/nonesuch", as_="root").status == 404
    cloud.call("POST", f"/image/v2/images/{id}/actions/deactivate")
    assert cloud.call("DELETE", path, as_="root").status == 409
    cloud.call("POST", f"/image/v2/images/{id}/actions/reactivate")
    assert cloud.call("DELETE", path, as_="root").status == 204
    assert (cloud.show(id)["stores"], files(cloud, id)) == ("a", {"a"})
    assert cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
    assert cloud.call("DELETE", path, as_="root").status == 403
