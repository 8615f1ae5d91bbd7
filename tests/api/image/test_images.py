"""Images: created, shown, listed by id, deleted, deactivated; what each refuses."""

from typing import Any

from tests.images.cloud import JSON, PATCH, ImageCloud

ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
NONE = "11111111-1111-4111-8111-111111111111"


def test_an_empty_body_makes_a_queued_image(cloud: ImageCloud) -> None:
    reply = cloud.call("POST", "/image/v2/images", {})
    assert reply.status == 201
    image = reply.json
    assert reply.headers["location"] == f"http://cloud/image/v2/images/{image['id']}"
    assert reply.headers["openstack-image-store-ids"] == "files"
    assert reply.headers["openstack-image-import-methods"] == "glance-direct,copy-image"
    assert reply.headers["x-openstack-request-id"].startswith("req-")
    expected = {
        "name": None, "status": "queued", "visibility": "shared", "protected": False, "os_hidden": False,
        "owner": "project-a", "disk_format": None, "container_format": None, "min_disk": 0, "min_ram": 0, "size": None,
        "virtual_size": None, "checksum": None, "os_hash_algo": None, "os_hash_value": None, "tags": [],
        "self": f"/v2/images/{image['id']}", "file": f"/v2/images/{image['id']}/file", "schema": "/v2/schemas/image",
    }  # fmt: skip
    times = {"created_at": image.pop("created_at"), "updated_at": image.pop("updated_at"), "id": image.pop("id")}
    assert image == expected
    assert all(len(times[name]) == 20 and times[name].endswith("Z") for name in ("created_at", "updated_at"))
    assert cloud.call("GET", image["self"].replace("/v2", "/image/v2")).json == {**expected, **times}


def test_everything_that_may_be_said_is_kept(cloud: ImageCloud) -> None:
    said = {
        "id": ID, "name": "n", "visibility": "private", "protected": True, "os_hidden": True, "disk_format": "qcow2",
        "container_format": "bare", "min_disk": 1, "min_ram": 2147483647, "tags": ["b", "a"], "hw_disk_bus": "virtio",
        "owner": "project-a", "kernel_id": None, "description": "ein Bild 🖼",
    }  # fmt: skip
    assert cloud.call("POST", "/image/v2/images", said).status == 201
    image = cloud.show(ID)
    assert {**{name: image[name] for name in said}, "tags": sorted(image["tags"])} == {**said, "tags": ["a", "b"]}


# fmt: off
REFUSED = (
    # status  body
    (400, "{"), (400, "[]"), (400, '"x"'), (400, "5"), (400, "null"), (400, ""), (400, '{"name": "\\u0000"}'),
    (400, '{"\\u0000": "x"}'), (400, '{"name": 5}'),
    (400, f'{{"name": "{"x" * 256}"}}'), (400, '{"protected": "true"}'),
    (400, '{"p": 1}'), (400, f'{{"tags": ["{"x" * 256}"]}}'), (400, '{"tags": "a"}'), (400, '{"tags": [1]}'),
    (400, '{"id": "x"}'), (400, f'{{"id": "{ID}\\n"}}'), (400, '{"disk_format": "nonsense"}'),
    (400, '{"container_format": "nonsense"}'), (400, '{"visibility": "zz"}'), (400, '{"min_disk": -1}'),
    (400, '{"min_ram": 2147483648}'), (400, '{"min_ram": 1.5}'), (400, f'{{"min_ram": {"9" * 400}}}'),
    (400, '{"kernel_id": "x"}'), (400, '{"": "x"}'), (400, f'{{"{"x" * 256}": "x"}}'),
    (403, '{"status": "active"}'), (403, '{"size": 1}'), (403, '{"checksum": "x"}'), (403, '{"self": "x"}'),
    (403, '{"stores": "x"}'), (403, '{"direct_url": "x"}'), (403, '{"os_hash_algo": "md5"}'),
    (403, '{"created_at": "x"}'), (403, '{"locations": []}'), (403, '{"location": "x"}'), (403, '{"deleted": "x"}'),
    (403, '{"deleted_at": "x"}'), (403, '{"os_glance_x": "x"}'), (403, '{"os_glance": "x"}'),
    (403, '{"visibility": "public"}'), (403, '{"owner": "project-b"}'),
)
# fmt: on


def test_what_cannot_be_created_is_refused(cloud: ImageCloud) -> None:
    headers = {"content-type": "application/json", **JSON}
    for status, body in REFUSED:
        reply = cloud.call("POST", "/image/v2/images", content=body.encode(), headers=headers)
        assert (reply.status, body) == (status, body), reply.body
    assert cloud.call("GET", "/image/v2/images").json["images"] == []


def test_quotas_are_kept(cloud: ImageCloud) -> None:
    assert cloud.call("POST", "/image/v2/images", {f"p{n}": "v" for n in range(129)}).status == 413
    assert cloud.call("POST", "/image/v2/images", {"tags": [f"t{n}" for n in range(129)]}).status == 413
    assert cloud.call("POST", "/image/v2/images", {f"p{n}": "v" for n in range(128)}).status == 201


def test_an_id_is_used_once(cloud: ImageCloud) -> None:
    cloud.image(id=ID)
    assert cloud.call("POST", "/image/v2/images", {"id": ID}).status == 409
    assert cloud.call("POST", "/image/v2/images", {"id": ID}, as_="bob").status == 409
    assert cloud.call("DELETE", f"/image/v2/images/{ID}").status == 204
    assert cloud.call("POST", "/image/v2/images", {"id": ID}).status == 409


def test_an_administrator_creates_for_others_and_for_everybody(cloud: ImageCloud) -> None:
    id = cloud.image(as_="root", owner="project-b", visibility="public")
    assert cloud.show(id)["owner"] == "project-b"
    assert cloud.show(id, as_="alice")["visibility"] == "public"


# fmt: off
CALLS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "", None), ("DELETE", "", None), ("GET", "/file", None), ("POST", "/actions/deactivate", None),
    ("POST", "/actions/reactivate", None), ("GET", "/members", None), ("POST", "/members", {"member": "x"}),
    ("GET", "/members/x", None), ("PUT", "/members/x", {"status": "accepted"}), ("DELETE", "/members/x", None),
    ("PUT", "/tags/x", None), ("DELETE", "/tags/x", None), ("GET", "/tasks", None), ("GET", "/locations", None),
    ("POST", "/locations", {"url": "http://x"}),
)
# fmt: on


def test_what_is_not_there_is_404_everywhere(cloud: ImageCloud) -> None:
    secret = cloud.image(as_="bob")
    for id in (NONE, "x", "%20", "a" * 300, secret.replace("-", ""), secret):
        for method, rest, body in CALLS:
            reply = cloud.call(method, f"/image/v2/images/{id}{rest}", body, headers=JSON)
            assert (reply.status, reply.json["title"], rest) == (404, "Not Found", rest)
        assert cloud.upload(id, b"x").status == 404
        assert cloud.call("PATCH", f"/image/v2/images/{id}", [], headers=PATCH).status == 404


def test_calls_without_a_body_take_none(cloud: ImageCloud) -> None:
    id = cloud.image()
    for method, rest in [("GET", ""), ("DELETE", ""), ("POST", "/actions/deactivate"), ("PUT", "/tags/x")]:
        assert cloud.call(method, f"/image/v2/images/{id}{rest}", {"a": 1}).status == 400
    empty = {"content-type": "application/octet-stream", "content-length": "0"}
    assert cloud.call("GET", f"/image/v2/images/{id}", headers=empty).status == 200


def test_a_deleted_image_is_gone_for_everybody(cloud: ImageCloud) -> None:
    id = cloud.filled(tags=["t"], visibility="private")
    assert cloud.call("DELETE", f"/image/v2/images/{id}", headers=JSON).status == 204
    for as_ in ("alice", "root"):
        assert cloud.call("GET", f"/image/v2/images/{id}", as_=as_).status == 404
        assert cloud.call("DELETE", f"/image/v2/images/{id}", as_=as_).status == 404
        assert cloud.call("GET", f"/image/v2/images/{id}/file", as_=as_).status == 404
        assert cloud.call("GET", "/image/v2/images", as_=as_).json["images"] == []
    assert cloud.stores["files"].names() == frozenset()


def test_a_protected_image_stays(cloud: ImageCloud) -> None:
    id = cloud.filled(protected=True)
    for as_ in ("alice", "root"):
        assert cloud.call("DELETE", f"/image/v2/images/{id}", as_=as_).status == 403
    assert cloud.call("GET", f"/image/v2/images/{id}/file").body == b"some data"


def test_an_id_left_out_is_no_list(cloud: ImageCloud) -> None:
    for method in ("GET", "DELETE"):
        assert cloud.call(method, "/image/v2/images/").status == 404
        assert cloud.call(method, "/image/v2/images//file").status == 404


def test_deactivating_keeps_the_data_from_all_but_administrators(cloud: ImageCloud) -> None:
    id = cloud.filled()
    act = f"/image/v2/images/{id}/actions"
    assert [cloud.call("POST", f"{act}/deactivate").status for _ in range(2)] == [204, 204]
    assert cloud.show(id)["status"] == "deactivated"
    assert cloud.call("GET", f"/image/v2/images/{id}/file").status == 403
    assert cloud.call("GET", f"/image/v2/images/{id}/file", as_="root").body == b"some data"
    assert "stores" not in cloud.show(id, as_="alice")
    assert cloud.show(id)["stores"] == "files"
    assert [cloud.call("POST", f"{act}/reactivate").status for _ in range(2)] == [204, 204]
    assert cloud.call("GET", f"/image/v2/images/{id}/file").status == 200


def test_what_has_no_data_is_not_deactivated(cloud: ImageCloud) -> None:
    id = cloud.image()
    for action in ("deactivate", "reactivate"):
        assert cloud.call("POST", f"/image/v2/images/{id}/actions/{action}").status == 403
