"""Changes of images, in both dialects: what each row of the rules allows, and that nothing gets lost."""

import threading
import time
from typing import Any

from tests.images.cloud import JSON, PATCH, PATCH_2_0, ImageCloud


def patch(cloud: ImageCloud, id: str, *changes: Any, as_: str = "alice", kind: Any = PATCH) -> Any:
    return cloud.call("PATCH", f"/image/v2/images/{id}", list(changes), headers={**kind, **JSON}, as_=as_)


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def replace(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def remove(path: str) -> dict[str, Any]:
    return {"op": "remove", "path": path}


def test_all_kinds_of_changes_at_once(cloud: ImageCloud) -> None:
    id = cloud.image(name="n", tags=["a", "b"], p="1", q="2", r="3")
    before = cloud.show(id)
    time.sleep(1.1)  # times are shown in whole seconds
    reply = patch(
        cloud, id, replace("/name", None), add("/tags", ["b", "c", "c"]), replace("/p",
        "one"), remove("/q"), add("/r", "three"),
        add("/s~1t~0", "new"), replace("/visibility", "private"), replace("/protected", True), replace("/min_disk", 5),
        replace("/min_ram", 6), add("/os_hidden", True), replace("/disk_format", "qcow2"), add("/kernel_id", None),
    )  # fmt: skip
    assert reply.status == 200, reply.body
    image = reply.json
    assert image == cloud.show(id)
    changed = {name: value for name, value in image.items() if before.get(name) != value}
    assert changed.pop("updated_at") > before["updated_at"]
    assert changed == {
        "name": None, "tags": ["b", "c"], "p": "one", "r": "three", "s/t~": "new", "visibility": "private",
        "protected": True, "min_disk": 5, "min_ram": 6, "os_hidden": True, "disk_format": "qcow2",
    }  # fmt: skip
    assert ("q" in image, image["kernel_id"]) == (False, None)


def test_nothing_asked_changes_nothing(cloud: ImageCloud) -> None:
    id = cloud.image()
    before = cloud.show(id)
    time.sleep(1.1)
    assert patch(cloud, id).status == 200
    assert cloud.show(id) == before


READ_ONLY = (
    "id status size virtual_size checksum created_at updated_at direct_url self file schema os_hash_algo os_hash_value"
).split()

# fmt: off
REFUSED: tuple[tuple[int, Any], ...] = (
    (400, 5), (400, "x"), (400, []), (400, {}), (400, {"op": "add"}), (400, {"op": "add", "path": "/x"}),
    (400, {"path": "/x", "value": "y"}), (400, {"op": "test", "path": "/p", "value": "1"}),
    (400, {"op": "move", "from": "/p", "path": "/x"}), (400, {"op": ["add"], "path": "/x", "value": "y"}),
    (400, add("x", "y")), (400, add("/x/", "y")), (400, add("//x", "y")), (400, add("/x//y", "y")),
    (400, add("/x~2", "y")),
    (400, add("/x~", "y")), (400, add("", "y")), (400, add("/", "y")), (400, add("/tags/-", "y")),
    (400, add("/tags/0", "y")),
    (400, add("/a/b", "y")), (400, add(5, "y")), (400, add("/" + "x" * 256, "y")),  # type: ignore[arg-type]
    (400, add("/x", 5)), (400, add("/x", None)), (400, replace("/p", {})), (400, replace("/protected", "true")),
    (400, replace("/protected", 1)), (400, replace("/name", 5)), (400, replace("/name", "x" * 256)),
    (400, replace("/tags", "x")), (400, replace("/tags", ["x" * 256])), (400, replace("/min_disk", -1)),
    (400, replace("/min_ram", "1")), (400, replace("/min_ram", 2**31)), (400, replace("/visibility", "zz")),
    (400, replace("/disk_format", "zz")), (400, add("/kernel_id", "zz")), (400, add("/x", "a\0b")),
    (400, add("/cinder_encryption_key_deletion_policy", "zz")),
    (409, replace("/absent", "x")), (409, remove("/absent")),
    (403, remove("/name")), (403, remove("/tags")), (403, remove("/visibility")), (403, remove("/owner")),
    *((403, replace(f"/{name}", "x")) for name in READ_ONLY),
    (403, remove("/status")), (403, remove("/id")), (403, add("/stores", "x")), (403, add("/location", "x")),
    (403, remove("/location")),
    (403, add("/deleted", "x")), (403, add("/deleted_at", "x")), (403, add("/os_glance_x", "x")),
    (403, add("/os_glance", "x")),
    (403, add("/locations/-", {})), (403, add("/locations", [])), (403, remove("/locations/0")),
    (403, replace("/locations", [])),
    (403, replace("/visibility", "public")), (403, add("/visibility", "public")), (403, replace("/owner", "project-b")),
    (403, add("/owner", "project-b")), (403, add("/owner", None)),
)
# fmt: on


def test_what_may_not_be_changed_is_refused_and_takes_the_rest_along(cloud: ImageCloud) -> None:
    id = cloud.image(p="1")
    before = cloud.show(id)
    for status, change in REFUSED:
        reply = patch(cloud, id, add("/before", "x"), change)
        assert (reply.status, change) == (status, change), reply.body
        assert reply.json["message"]
    assert cloud.show(id) == before


def test_removing_what_is_derived_does_nothing(cloud: ImageCloud) -> None:
    id = cloud.filled()
    before = cloud.show(id)
    assert patch(cloud, id, remove("/stores"), remove("/os_glance_failed_import")).status == 200
    assert {**cloud.show(id), "updated_at": ""} == {**before, "updated_at": ""}


def test_the_old_dialect(cloud: ImageCloud) -> None:
    id = cloud.image(p="1", q="2")

    def old(*changes: Any) -> int:
        return int(patch(cloud, id, *changes, kind=PATCH_2_0).status)

    assert old({"add": "/x", "value": "y"}, {"replace": "/p", "value": "one"}, {"remove": "/q"}) == 200
    image = cloud.show(id)
    assert (image["x"], image["p"], "q" in image) == ("y", "one", False)
    assert old({"add": "/x", "value": "z"}) == 409
    assert old({"add": "/name", "value": "z"}) == 409
    assert old({"replace": "/name", "value": "z"}) == 200
    assert old({"add": "/a", "replace": "/x", "value": "z"}) == 400
    assert old({"op": "add", "path": "/a", "value": "z"}) == 400
    assert old({"add": "/a"}) == 400
    assert old({}) == 400


def test_the_kind_of_patch_must_be_known(cloud: ImageCloud) -> None:
    id = cloud.image()
    for kind in ("application/json", "application/json-patch+json", "text/plain", ""):
        reply = patch(cloud, id, kind={"content-type": kind})
        assert reply.status == 415
        if kind == "application/json":
            assert "v2.1-json-patch" in reply.headers["accept-patch"]
    whole = cloud.call("PATCH", f"/image/v2/images/{id}", {}, headers=PATCH)
    assert whole.status == 400


def test_formats_are_fixed_with_the_data(cloud: ImageCloud) -> None:
    id = cloud.filled()
    for name, value in (("disk_format", "qcow2"), ("container_format", "ovf"), ("disk_format", "raw")):
        assert patch(cloud, id, replace(f"/{name}", value)).status == 403
    assert patch(cloud, id, replace("/name", "x")).status == 200


def test_quotas_hold_for_what_grows(cloud: ImageCloud) -> None:
    id = cloud.image(**{f"p{n}": "v" for n in range(128)}, tags=[f"t{n}" for n in range(128)])
    assert patch(cloud, id, add("/one", "more")).status == 413
    assert patch(cloud, id, add("/tags", [f"t{n}" for n in range(129)])).status == 413
    assert cloud.call("PUT", f"/image/v2/images/{id}/tags/more").status == 413
    assert cloud.call("PUT", f"/image/v2/images/{id}/tags/t0").status == 204
    assert patch(cloud, id, add("/one", "for"), remove("/p0")).status == 200


def test_who_may_change_what(cloud: ImageCloud) -> None:
    id = cloud.image(visibility="community")
    assert [patch(cloud, id, add("/x", "y"), as_=who).status for who in ("anna", "bob", "nobody", "system")] == [
        403
    ] * 4
    assert patch(cloud, id, replace("/visibility", "public"), replace("/owner", "project-b"), as_="root").status == 200
    assert patch(cloud, id, add("/x", "y")).status == 403
    assert patch(cloud, id, replace("/visibility", "public"), add("/x", "y"), as_="bob").status == 200  # it is already
    assert patch(cloud, id, replace("/visibility", "private"), as_="bob").status == 200
    assert patch(cloud, id, add("/x", "y")).status == 404
    assert patch(cloud, id, replace("/visibility", "community"), as_="bob").status == 200


def test_sixteen_at_once_lose_nothing(cloud: ImageCloud) -> None:
    id, statuses = cloud.image(), []
    start = threading.Barrier(16)

    def change(number: int) -> None:
        start.wait(20)
        tag = cloud.call("PUT", f"/image/v2/images/{id}/tags/t{number}").status
        statuses.append((patch(cloud, id, add(f"/p{number}", "v")).status, tag))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [(200, 204)] * 16
    image = cloud.show(id)
    assert [image[f"p{number}"] for number in range(16)] == ["v"] * 16
    assert len(image["tags"]) == 16
