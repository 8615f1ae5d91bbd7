"""What the dashboard asks of Identity and Image, page by page, is answered as it expects."""

from typing import Any

import pytest

from tests.cloud import Cloud
from tests.stories.dashboard import PATCH, Dashboard

BYTES = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def user(cloud: Cloud) -> Dashboard:
    return Dashboard(cloud)


def test_the_way_in(user: Dashboard) -> None:
    assert user.domain_login() == 401  # the normal answer to whoever has no role on the domain
    assert user.ask("GET", "/identity/v3/").status == user.ask("GET", "/identity/v3").status == 200
    assert {e["region_id"] for service in user.catalog for e in service["endpoints"]} == {"RegionOne"}
    for _ in range(2):  # the project menu asks on every page
        mine = user.identity(f"/v3/users/{user.user_id}/projects").json["projects"]
        assert [p["name"] for p in mine] == ["demo"]
    assert user.identity("/v3/domains/default").status in (200, 403)
    assert user.identity(f"/v3/users/{user.user_id}").status == 200
    assert user.identity(f"/v3/users/{user.user_id}/application_credentials").json["application_credentials"] == []
    assert user.identity("/v3/credentials").json["credentials"] == []


def test_the_administrators_identity_pages(cloud: Cloud) -> None:
    admin = Dashboard(cloud, "moorage-admin")
    for path, key in (
        ("/v3/projects", "projects"),
        ("/v3/roles", "roles"),
        ("/v3/users?domain_id=default", "users"),
        ("/v3/groups?domain_id=default", "groups"),
    ):
        assert isinstance(admin.identity(path).json[key], list)
    form = {"domain_id": "default", "name": "paged", "description": "", "enabled": True}
    made = admin.ask("POST", "/identity/v3/projects", {"project": form}, admin.token)
    assert made.status == 201
    owner = f"/identity/v3/projects/{made.json['project']['id']}"
    assert Dashboard(cloud).ask("GET", owner, token=Dashboard(cloud).token).status == 403
    assert admin.ask("DELETE", owner, token=admin.token).status == 204
    assert admin.ask("GET", owner, token=admin.token).status == 404


def image(user: Dashboard, **asked: Any) -> str:
    """An image made by the form: its record, then its file."""
    form = {"name": "pic", "disk_format": "raw", "container_format": "bare", "min_disk": 0, "min_ram": 0}
    made = user.image("POST", "/v2/images", {**form, "visibility": "shared", "protected": False, **asked})
    assert made.status == 201, made.body
    id: str = made.json["id"]
    sent = user.cloud.call(
        "PUT",
        f"/image/v2/images/{id}/file",
        as_=None,
        headers={"x-auth-token": user.token, **BYTES},
        content=[b"x" * 1024] * 4,
    )
    assert sent.status == 204, sent.body
    return id


def test_the_images_page_and_the_forms(user: Dashboard) -> None:
    ids = [image(user, name=f"pic-{n}") for n in range(3)]
    order = "sort_key=created_at&sort_dir=desc"
    everything = user.image("GET", f"/v2/images?limit=1000&{order}").json
    assert [row["id"] for row in everything["images"]] == ids[::-1] and "next" not in everything
    page = user.image("GET", f"/v2/images?limit=2&{order}").json
    assert len(page["images"]) == 2 and f"marker={ids[1]}" in page["next"]
    for query, count in (
        ("visibility=public&status=active", 0),
        ("visibility=shared&status=active", 3),
        ("visibility=community&status=active", 0),
        (f"owner={user.project_id}&status=active", 3),
    ):
        assert len(user.image("GET", f"/v2/images?{query}&limit=1000&{order}").json["images"]) == count, query
    assert all(row["size"] == 4096 and row["status"] == "active" for row in everything["images"])
    for id in ids:
        assert user.image("DELETE", f"/v2/images/{id}").status == 204


def test_an_image_is_described_and_edited_one_property_at_a_time(user: Dashboard) -> None:
    id = image(user, description="as typed")
    assert user.image("GET", f"/v2/images/{id}").json["description"] == "as typed"
    for op, path, value in (
        ("replace", "/name", "renamed"),
        ("replace", "/description", "again"),
        ("add", "/os_distro", "debian"),
        ("replace", "/os_distro", "other"),
        ("replace", "/min_disk", 1),
        ("replace", "/visibility", "private"),
    ):
        reply = user.image("PATCH", f"/v2/images/{id}", [{"op": op, "path": path, "value": value}], PATCH)
        assert reply.status == 200 and reply.json[path[1:]] == value, reply.body
    assert user.image("DELETE", f"/v2/images/{id}").status == 204


def test_models_are_built_from_schemas_and_no_namespaces_are_fine(user: Dashboard) -> None:
    properties = user.image("GET", "/v2/schemas/image").json["properties"]
    assert {"id", "name", "min_disk", "min_ram", "disk_format", "visibility", "protected", "tags"} <= properties.keys()
    assert {"raw", "qcow2"} <= set(properties["disk_format"]["enum"])
    assert user.image("GET", "/v2/schemas/metadefs/namespace").json["properties"]
    path = "/v2/metadefs/namespaces?resource_types=OS::Glance::Image&limit=1000&sort_dir=asc&sort_key=namespace"
    assert user.image("GET", path).json["namespaces"] == []
    assert user.image("GET", "/v2/metadefs/namespaces/OS::X?resource_type=OS::Glance::Image").status == 404


def test_metadata_is_offered_by_namespaces(cloud: Cloud, user: Dashboard) -> None:
    """The create, edit and metadata dialogs: the namespaces for images, then one call for each of them."""
    admin = Dashboard(cloud, "moorage-admin")
    made = {
        "namespace": "OS::Story",
        "display_name": "A story",
        "visibility": "public",
        "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_"}, {"name": "OS::Nova::Flavor"}],
        "properties": {"bus": {"title": "Bus", "type": "string", "enum": ["ide", "scsi"]}},
    }
    assert admin.image("POST", "/v2/metadefs/namespaces", made).status == 201
    path = "/v2/metadefs/namespaces?resource_types=OS::Glance::Image&limit=21&sort_dir=asc&sort_key=namespace"
    (listed,) = user.image("GET", path).json["namespaces"]
    assert listed["display_name"] == "A story"
    shown = user.image("GET", f"/v2/metadefs/namespaces/{listed['namespace']}?resource_type=OS::Glance::Image").json
    assert shown["properties"] == {"hw_bus": made["properties"]["bus"]}  # type: ignore[index]
    assert user.image("GET", path.replace("Glance::Image", "Cinder::Volume")).json["namespaces"] == []
    assert user.image("DELETE", "/v2/metadefs/namespaces/OS::Story").status == 403
    assert admin.image("DELETE", "/v2/metadefs/namespaces/OS::Story").status == 204
