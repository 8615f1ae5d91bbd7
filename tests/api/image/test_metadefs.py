"""Metadata definitions: who sees and who writes them, what is refused, and what dashboards are shown of them."""

from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from tests.images.cloud import JSON, ImageCloud, Reply

ALL = "/image/v2/metadefs/namespaces"
IMAGE = "OS::Glance::Image"


def ask(cloud: ImageCloud, method: str, path: str = "", body: Any = None, as_: str = "root", **headers: str) -> Reply:
    return cloud.call(method, ALL + path, body, as_=as_, headers={**JSON, **headers})


def made(cloud: ImageCloud, name: str = "ns", **more: Any) -> str:
    reply = ask(cloud, "POST", "", {"namespace": name, "visibility": "public", **more})
    assert reply.status == 201, reply.body
    return f"/{name}"


def names(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [one["namespace"] for one in reply.json["namespaces"]]


def test_a_namespace_is_made_shown_replaced_and_deleted(cloud: ImageCloud) -> None:
    body = {"namespace": "ns", "display_name": "shown", "description": "why", "protected": False}
    reply = ask(cloud, "POST", "", body)
    assert reply.status == 201
    assert reply.headers["location"] == "http://cloud/image/v2/metadefs/namespaces/ns"
    times = {"created_at": reply.json["created_at"], "updated_at": reply.json["updated_at"]}
    links = {"self": "/v2/metadefs/namespaces/ns", "schema": "/v2/schemas/metadefs/namespace"}
    assert reply.json == {**body, "visibility": "private", "owner": "project-r", **times, **links}
    assert ask(cloud, "GET", "/ns").json == reply.json
    sent = {**reply.json, "namespace": "renamed", "visibility": "public"}  # clients send back what they were told
    del sent["description"]
    changed = ask(cloud, "PUT", "/ns", sent)
    assert changed.status == 200
    assert "description" not in changed.json  # it is replaced, not patched
    assert ask(cloud, "GET", "/ns").status == 404
    assert ask(cloud, "GET", "/renamed").json["visibility"] == "public"
    assert ask(cloud, "DELETE", "/renamed").status == 204
    assert ask(cloud, "DELETE", "/renamed").status == 404


@pytest.mark.parametrize("name", ["😀", "a\r\nSet-Cookie: b", "OS::Compute::Trust", "50 %?#"])
def test_whatever_a_namespace_is_called_its_place_is_a_url(cloud: ImageCloud, name: str) -> None:
    reply = ask(cloud, "POST", "", {"namespace": name, "objects": [{"name": "first"}]})
    assert (reply.status, reply.json["namespace"]) == (201, name)
    place = reply.headers["location"]
    assert (
        unquote(place) == f"http://cloud{ALL}/{name}" and place.isascii() and place.isprintable() and " " not in place
    )
    path = place.removeprefix(f"http://cloud{ALL}")
    assert ask(cloud, "GET", path).json["namespace"] == name
    other = ask(cloud, "POST", f"{path}/objects", {"name": name})
    assert (other.status, ask(cloud, "GET", other.headers["location"].removeprefix(f"http://cloud{ALL}")).status) == (
        201,
        200,
    )


def test_who_sees_and_who_writes(cloud: ImageCloud) -> None:
    public, private = made(cloud, "open"), made(cloud, "hidden", visibility="private", owner="project-a")
    assert [ask(cloud, "GET", path, as_="alice").status for path in (public, private)] == [200, 200]
    assert [ask(cloud, "GET", path, as_="bob").status for path in (public, private)] == [200, 404]
    assert names(ask(cloud, "GET", as_="bob")) == ["open"]
    assert names(ask(cloud, "GET", as_="anna")) == ["hidden", "open"]
    assert names(ask(cloud, "GET", as_="root")) == ["hidden", "open"]
    assert ask(cloud, "POST", "", {"namespace": "mine"}, as_="alice").status == 403
    for method, path, body in (
        ("PUT", "", {"namespace": "x"}),
        ("DELETE", "", None),
        ("POST", "/tags/t", None),
        ("POST", "/objects", {"name": "o"}),
        ("POST", "/properties", {"name": "p", "title": "P", "type": "string"}),
        ("POST", "/resource_types", {"name": IMAGE}),
        ("DELETE", "/tags", None),
    ):
        assert ask(cloud, method, public + path, body, as_="alice").status == 403, (method, path)
        assert ask(cloud, method, private + path, body, as_="bob").status == 404, (method, path)
    assert ask(cloud, "GET", public, as_="nobody").status == 403
    assert cloud.call("GET", ALL, as_=None).status == 401


def test_what_is_refused_of_namespaces(cloud: ImageCloud) -> None:
    path = made(cloud, protected=True)
    assert ask(cloud, "POST", "", {"namespace": "ns"}).status == 409
    assert ask(cloud, "DELETE", path).status == 403
    other = made(cloud, "other")
    assert ask(cloud, "PUT", other, {"namespace": "ns"}).status == 409
    for body in ({}, {"namespace": 1}, {"namespace": "n" * 81}, {"namespace": "a", "x": 1}, [], {"namespace": "a/b"}):
        assert ask(cloud, "POST", "", body).status == 400, body
    assert ask(cloud, "POST", "", {"namespace": "a", "visibility": "shared"}).status == 400
    for name in ("created_at", "updated_at", "self", "schema"):
        assert ask(cloud, "POST", "", {"namespace": "a", name: "x"}).status == 403
    assert ask(cloud, "GET", "?limit=-1").status == 400
    assert ask(cloud, "GET", "?marker=nonesuch").status == 400
    assert ask(cloud, "GET", "?sort_key=owner").status == 400
    assert ask(cloud, "GET", "?visibility=all").status == 400
    assert ask(cloud, "GET", "?colour=red").status == 400


def test_lists_come_in_pages_and_are_filtered(cloud: ImageCloud) -> None:
    for n in range(5):
        path = made(cloud, f"ns{n}", visibility="private" if n % 2 else "public")
        assert ask(cloud, "POST", path + "/resource_types", {"name": f"Kind{n}"}).status == 201
    first = ask(cloud, "GET", "?limit=2&sort_key=namespace&sort_dir=asc")
    assert names(first) == ["ns0", "ns1"]
    assert first.json["schema"] == "/v2/schemas/metadefs/namespaces"
    second = cloud.call("GET", "/image" + first.json["next"], as_="root")
    assert names(second) == ["ns2", "ns3"]
    third = cloud.call("GET", "/image" + second.json["next"], as_="root")
    assert names(third) == ["ns4"]
    assert "next" not in third.json
    assert names(ask(cloud, "GET")) == ["ns4", "ns3", "ns2", "ns1", "ns0"]
    assert names(ask(cloud, "GET", "?visibility=private")) == ["ns3", "ns1"]
    assert names(ask(cloud, "GET", "?resource_types=Kind1,Kind4")) == ["ns4", "ns1"]
    assert names(ask(cloud, "GET", "?limit=0")) == []


def test_resource_types_and_prefixes(cloud: ImageCloud) -> None:
    path = made(cloud)
    known = cloud.call("GET", "/image/v2/metadefs/resource_types", as_="anna").json["resource_types"]
    assert {IMAGE, "OS::Cinder::Volume", "OS::Nova::Flavor"} <= {one["name"] for one in known}
    asked = {"name": IMAGE, "prefix": "hw_", "properties_target": "image"}
    made_ = ask(cloud, "POST", path + "/resource_types", asked)
    assert made_.status == 201
    assert {key: made_.json[key] for key in asked} == asked
    assert ask(cloud, "POST", path + "/resource_types", {"name": IMAGE}).status == 409
    assert ask(cloud, "POST", path + "/resource_types", {"name": "New::Kind"}).json["name"] == "New::Kind"
    known = cloud.call("GET", "/image/v2/metadefs/resource_types").json["resource_types"]
    assert "New::Kind" in {one["name"] for one in known}
    ask(cloud, "POST", path + "/properties", {"name": "bus", "title": "Bus", "type": "string"})
    cpu = {"name": "cpu", "required": ["sockets"], "properties": {"sockets": {"title": "S", "type": "integer"}}}
    assert ask(cloud, "POST", path + "/objects", cpu).status == 201
    plain, prefixed = ask(cloud, "GET", path).json, ask(cloud, "GET", f"{path}?resource_type={IMAGE}").json
    assert list(plain["properties"]) == ["bus"]
    assert list(prefixed["properties"]) == ["hw_bus"]
    (shown,) = prefixed["objects"]
    assert (shown["required"], list(shown["properties"])) == (["hw_sockets"], ["hw_sockets"])
    one = f"{path}/properties/hw_bus?resource_type={IMAGE}"
    assert ask(cloud, "GET", one).json["name"] == "hw_bus"
    assert ask(cloud, "GET", f"{path}/properties/bus?resource_type={IMAGE}").status == 404
    assert ask(cloud, "DELETE", f"{path}/resource_types/{IMAGE}").status == 204
    assert ask(cloud, "DELETE", f"{path}/resource_types/{IMAGE}").status == 404
    left = ask(cloud, "GET", path + "/resource_types").json["resource_type_associations"]
    assert [one["name"] for one in left] == ["New::Kind"]


def test_properties(cloud: ImageCloud) -> None:
    path = made(cloud) + "/properties"
    assert ask(cloud, "GET", path).json == {"properties": {}}
    body = {"name": "hw:mem", "title": "Memory", "type": "integer", "default": 5, "minimum": 1, "enum": [1, 5]}
    reply = ask(cloud, "POST", path, body)
    assert reply.status == 201
    assert reply.json == {**body, "default": "5"}
    assert ask(cloud, "GET", path).json == {"properties": {"hw:mem": reply.json}}
    assert ask(cloud, "POST", path, body).status == 409
    for bad in ({"name": "x", "title": "t"}, {"name": "x", "title": "t", "type": "uuid"}, {"title": "t", "type": None}):
        assert ask(cloud, "POST", path, bad).status == 400
    new = {"name": "renamed", "title": "Other", "type": "string"}
    assert ask(cloud, "PUT", path + "/hw:mem", new).json == new
    assert ask(cloud, "GET", path + "/hw:mem").status == 404
    assert ask(cloud, "GET", path + "/renamed").json == new
    assert ask(cloud, "DELETE", path + "/renamed").status == 204
    assert ask(cloud, "DELETE", path + "/renamed").status == 404
    ask(cloud, "POST", path, body)
    assert ask(cloud, "DELETE", path).status == 204
    assert ask(cloud, "GET", path).json == {"properties": {}}


def test_objects(cloud: ImageCloud) -> None:
    path = made(cloud) + "/objects"
    reply = ask(cloud, "POST", path, {"name": "one"})
    assert reply.status == 201
    links = {"self": "/v2/metadefs/namespaces/ns/objects/one", "schema": "/v2/schemas/metadefs/object"}
    assert {key: reply.json[key] for key in links} == links
    assert "properties" not in reply.json
    assert ask(cloud, "GET", path + "/one").json == {**reply.json, "required": [], "properties": {}}
    assert ask(cloud, "POST", path, {"name": "one"}).status == 409
    assert ask(cloud, "POST", path, {}).status == 400
    assert ask(cloud, "PUT", path + "/one", {"name": "two", "description": "d"}).json["description"] == "d"
    listed = ask(cloud, "GET", path).json
    assert ([one["name"] for one in listed["objects"]], listed["schema"]) == (["two"], "/v2/schemas/metadefs/objects")
    assert ask(cloud, "DELETE", path + "/one").status == 404
    assert ask(cloud, "DELETE", path + "/two").status == 204
    assert ask(cloud, "DELETE", path).status == 204


def test_tags(cloud: ImageCloud) -> None:
    path = made(cloud) + "/tags"

    def listed() -> list[str]:
        return [tag["name"] for tag in ask(cloud, "GET", path).json["tags"]]

    def tags(*names: str) -> dict[str, Any]:
        return {"tags": [{"name": name} for name in names]}

    assert ask(cloud, "POST", path, tags("a", "b", "c")).status == 201
    assert listed() == ["c", "b", "a"]  # the newest first
    assert ask(cloud, "POST", path, tags("d")).json == tags("d")
    assert listed() == ["d"]
    appended = {"x-openstack-append": "True"}
    assert ask(cloud, "POST", path, tags("d", "e"), **appended).status == 201
    assert listed() == ["e", "d"]
    assert ask(cloud, "POST", path, tags("x", "x")).status == 409
    assert listed() == ["e", "d"]  # all or nothing
    one = ask(cloud, "POST", path + "/one")
    assert (one.status, set(one.json)) == (201, {"name", "created_at", "updated_at"})
    assert ask(cloud, "POST", path + "/one").status == 409
    assert ask(cloud, "POST", path + "/" + "x" * 81).status == 400
    assert ask(cloud, "PUT", path + "/one", {"name": "two"}).json["name"] == "two"
    assert ask(cloud, "GET", path + "/one").status == 404
    assert ask(cloud, "GET", path + "/two").status == 200
    assert ask(cloud, "DELETE", path + "/two").status == 204
    assert ask(cloud, "DELETE", path).status == 204
    assert listed() == []


def test_a_namespace_comes_with_all_that_is_in_it(cloud: ImageCloud) -> None:
    whole = {
        "resource_type_associations": [{"name": IMAGE, "prefix": "hw_"}],
        "properties": {"bus": {"title": "Bus", "type": "string"}},
        "objects": [{"name": "o", "properties": {"p": {"title": "P", "type": "string"}}}],
        "tags": [{"name": "t"}],
    }
    path = made(cloud, **whole)
    shown = ask(cloud, "GET", path).json
    assert shown["properties"] == whole["properties"]
    assert shown["tags"] == whole["tags"]
    assert shown["objects"][0]["properties"] == whole["objects"][0]["properties"]  # type: ignore[index]
    assert shown["resource_type_associations"][0]["prefix"] == "hw_"
    sent = {**shown, "description": "new"}
    assert ask(cloud, "PUT", path, sent).status == 200  # what is in it stays as it is
    assert ask(cloud, "GET", path).json["tags"] == whole["tags"]
    assert ask(cloud, "DELETE", path).status == 204
    again = made(cloud)
    assert "tags" not in ask(cloud, "GET", again).json  # nothing of the old one has stayed


def test_what_a_namespace_comes_with_is_checked_like_what_comes_later(cloud: ImageCloud) -> None:
    title = {"title": "t", "type": "string"}
    for part in (
        {"tags": [{}]},
        {"tags": [{"name": "x" * 81}]},
        {"tags": [{"name": ""}]},
        {"tags": [{"name": "a/b"}]},
        {"objects": [{"description": "d"}]},
        {"objects": [{"name": "x" * 81}]},
        {"properties": {"x" * 81: title}},
        {"properties": {"p": {"title": "t"}}},
        {"resource_type_associations": [{"prefix": "hw_"}]},
        {"resource_type_associations": [{"name": "A", "prefix": "x" * 81}]},
    ):
        assert ask(cloud, "POST", "", {"namespace": "ns", **part}).status == 400, part
    path = made(cloud, properties={"p": {**title, "name": "other"}})
    assert list(ask(cloud, "GET", path).json["properties"]) == ["p"]
    for tags in ({"tags": [None]}, {"tags": [{}]}, {"tags": None}):
        assert ask(cloud, "POST", f"{path}/tags", tags).status == 400


def test_a_refused_part_leaves_no_namespace(cloud: ImageCloud) -> None:
    body = {"namespace": "ns", "tags": [{"name": "t"}, {"name": "t"}]}
    assert ask(cloud, "POST", "", body).status == 409
    assert ask(cloud, "GET", "/ns").status == 404


@pytest.mark.parametrize(
    "path, schema",
    [
        ("", "namespaces"),
        ("/ns", "namespace"),
        ("/ns/objects", "objects"),
        ("/ns/objects/o", "object"),
        ("/ns/properties/bus", "property"),
        ("/ns/properties", "properties"),
        ("/ns/tags", "tags"),
        ("/ns/tags/t", "tag"),
        ("/ns/resource_types", "resource_types"),
    ],
)
def test_what_is_shown_fits_the_schemas_that_are_served(cloud: ImageCloud, path: str, schema: str) -> None:
    made(
        cloud,
        resource_type_associations=[{"name": IMAGE, "prefix": "hw_"}],
        properties={"bus": {"title": "Bus", "type": "string", "enum": ["ide"], "default": "ide"}},
        objects=[{"name": "o", "properties": {"p": {"title": "P", "type": "string"}}, "required": ["p"]}],
        tags=[{"name": "t"}],
    )
    served = cloud.call("GET", f"/image/v2/schemas/metadefs/{schema}").json
    jsonschema.validate(ask(cloud, "GET", path).json, served)
