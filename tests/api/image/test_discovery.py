"""What clients find out: versions, schemas, stores, ways to import; and how a fault looks to each of them."""

import json
from typing import Any

import jsonschema

from moorage.drivers.stores.memory import MemoryStore
from tests.images.cloud import ImageCloud, running


def test_the_versions_document(cloud: ImageCloud) -> None:
    for path in ("/image/", "/image", "/image/v1/images", "/image/v1", "/image/v3", "/image/x/y"):
        reply = cloud.call("GET", path, as_=None)
        assert (path, reply.status) == (path, 300)
    assert cloud.call("GET", "/image/versions", as_=None).json == reply.json
    assert cloud.call("GET", "/image/versions", as_=None).status == 200
    rows = reply.json["versions"]
    listed = "v2.17 v2.15 v2.13 v2.12 v2.11 v2.10 v2.9 v2.8 v2.7 v2.6 v2.5 v2.4 v2.3 v2.2 v2.1 v2.0".split()
    assert [row["id"] for row in rows] == listed
    assert [row["status"] for row in rows] == ["CURRENT"] + ["SUPPORTED"] * 15
    assert {row["links"][0]["href"] for row in rows} == {"http://cloud/image/v2/"}


def test_every_listed_version_is_served(cloud: ImageCloud) -> None:
    for version in ("v2", "v2.0", "v2.7", "v2.17"):
        assert cloud.call("GET", f"/image/{version}/images").status == 200
    assert cloud.call("GET", "/image/v2.99/images").status == 300
    assert cloud.call("GET", "/image/v2").status == 404
    assert cloud.call("GET", "/image/v2/nonesuch").status == 404
    assert cloud.call("GET", "/image/healthcheck", as_=None).body == b"OK"


def test_the_schema_that_is_served_fits_what_is_shown(cloud: ImageCloud) -> None:
    schema = cloud.call("GET", "/image/v2/schemas/image").json
    id = cloud.filled(tags=["t"], p="q")
    jsonschema.validate(cloud.show(id), schema)
    assert set(cloud.show(id)) - {"p"} <= set(schema["properties"])
    images = cloud.call("GET", "/image/v2/images?limit=1").json
    jsonschema.validate(images, cloud.call("GET", "/image/v2/schemas/images").json)
    cloud.call("POST", f"/image/v2/images/{id}/members", {"member": "m"})
    members = cloud.call("GET", f"/image/v2/images/{id}/members").json
    jsonschema.validate(members, cloud.call("GET", "/image/v2/schemas/members").json)
    jsonschema.validate(members["members"][0], cloud.call("GET", "/image/v2/schemas/member").json)


def test_all_schemas_are_there(cloud: ImageCloud) -> None:
    metadefs = "namespace namespaces object objects property properties resource_type resource_types tag tags".split()
    for name in ("images", "members", "task", "tasks", *(f"metadefs/{name}" for name in metadefs)):
        schema = cloud.call("GET", f"/image/v2/schemas/{name}").json
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["properties"]
    assert cloud.call("GET", "/image/v2/schemas/nonesuch").status == 404
    assert cloud.call("GET", "/image/v2/schemas").status == 404
    assert cloud.call("GET", "/image/v2/schemas/image", as_=None).status == 401


def test_stores(database: Any, state_dir: Any) -> None:
    with running(database, state_dir, {"one": MemoryStore("one"), "two": MemoryStore("two")}) as cloud:
        stores = [
            {"id": "one", "description": "about one", "default": "true"},
            {"id": "two", "description": "about two"},
        ]
        assert cloud.call("GET", "/image/v2/info/stores").json == {"stores": stores}
        assert cloud.call("GET", "/image/v2/info/stores/detail").status == 403
        for who in ("root", "cinder"):
            detail = cloud.call("GET", "/image/v2/info/stores/detail", as_=who).json["stores"]
            assert [(s["id"], s["type"], s["weight"], s["properties"]) for s in detail] == [
                ("one", "memory", 0, {}),
                ("two", "memory", 1, {}),
            ]


def test_which_store_an_upload_goes_to(database: Any, state_dir: Any) -> None:
    stores = {"one": MemoryStore("one"), "two": MemoryStore("two"), "three": MemoryStore("three")}
    with running(database, state_dir, stores) as cloud:
        base = cloud.image(visibility="community", as_="bob")
        cloud.upload(base, b"x", as_="bob", headers={"x-image-meta-store": "three"})
        hidden = cloud.image(visibility="private", as_="bob")
        cloud.upload(hidden, b"x", as_="bob", headers={"x-image-meta-store": "two"})

        def lands_in(**headers: str) -> str:
            id = cloud.image()
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            assert cloud.upload(id, b"x", headers=named).status == 204
            return str(cloud.show(id)["stores"])

        assert lands_in() == "one"
        assert lands_in(x_image_meta_store="two") == "two"
        assert lands_in(x_openstack_base_image_ref=base) == "three"
        assert lands_in(x_openstack_base_image_ref=base, x_image_meta_store="two") == "two"
        assert lands_in(x_openstack_base_image_ref=hidden) == "one"
        assert lands_in(x_openstack_base_image_ref="nonesuch") == "one"
        cloud.call("DELETE", f"/image/v2/images/{base}", as_="bob")
        assert lands_in(x_openstack_base_image_ref=base) == "one"


def test_what_is_not_there_yet_answers_clearly(cloud: ImageCloud) -> None:
    methods = cloud.call("GET", "/image/v2/info/import").json["import-methods"]
    assert (methods["type"], methods["value"]) == ("array", ["glance-direct", "copy-image"])
    id = cloud.filled()
    assert cloud.call("GET", f"/image/v2/images/{id}/tasks").json == {"tasks": []}
    assert cloud.call("GET", "/image/v2/tasks").status == 403
    assert cloud.call("GET", "/image/v2/tasks", as_="root").json["tasks"] == []
    assert cloud.call("GET", f"/image/v2/tasks/{id}", as_="root").status == 404
    assert cloud.call("GET", "/image/v2/cache", as_="root").status == 404


def test_locations_are_for_services(cloud: ImageCloud) -> None:
    id = cloud.filled(visibility="community")
    locations = f"/image/v2/images/{id}/locations"
    assert cloud.call("GET", locations).status == 403
    for who in ("root", "cinder"):
        (found,) = cloud.call("GET", locations, as_=who).json
        assert (found["metadata"], found["url"].startswith("file:///")) == ({"store": "files"}, True)


def test_a_fault_looks_as_the_client_wants_it(cloud: ImageCloud) -> None:
    path = "/image/v2/images/nonesuch<b>"
    reply = cloud.call("GET", path, headers={"accept": "application/json"})
    message = "No image found with ID nonesuch<b>"
    assert reply.json == {"message": message, "code": "404 Not Found", "title": "Not Found"}
    for headers in ({}, {"accept": ""}, {"accept": "*/*"}, {"accept": "text/html"}):
        page = cloud.call("GET", path, headers=headers)
        assert page.headers["content-type"] == "text/html; charset=UTF-8"
        text = page.body.decode()
        assert "<title>404 Not Found</title>" in text
        assert "No image found with ID nonesuch&lt;b&gt;<br />" in text
    text = cloud.call("GET", path, headers={"accept": "text/plain"}).body.decode()
    assert text.startswith(f"404 Not Found\n\n{message}")


def test_faults_outside_the_handlers(cloud: ImageCloud) -> None:
    anonymous = cloud.call("GET", "/image/v2/images", as_=None, headers={"accept": "application/json"})
    assert (anonymous.status, anonymous.json["code"]) == (401, "401 Unauthorized")
    assert anonymous.headers["www-authenticate"] == 'Keystone uri="http://cloud/identity/v3"'
    wrong = cloud.call("PUT", "/image/v2/images", headers={"accept": "application/json"})
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, POST")
    assert json.loads(wrong.body)["title"] == "Method Not Allowed"
    assert wrong.headers["x-openstack-request-id"].startswith("req-")
