"""What the dashboard asks of Block Storage, page by page, is answered as it expects."""

import time
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.stories.dashboard import BACKUPS, EXTEND, GROUPS, LIMITS, MESSAGES, Dashboard

FORM = {"consistencygroup_id": None, "snapshot_id": None, "source_volid": None, "backup_id": None, "imageRef": None}


@pytest.fixture(scope="module")
def user(cloud: Cloud) -> Dashboard:
    return Dashboard(cloud)


@pytest.fixture(scope="module")
def admin(cloud: Cloud) -> Dashboard:
    return Dashboard(cloud, "moorage-admin")


def created(user: Dashboard, name: str, **more: Any) -> str:
    """A volume made by the form, once its row has come to rest."""
    form = {**FORM, "name": name, "description": "", "size": 1, "metadata": {}, "availability_zone": "nova", **more}
    reply = user.volume("POST", "/volumes", {"volume": {"volume_type": None, **form}}, GROUPS)
    assert reply.status == 202, reply.body
    id: str = reply.json["volume"]["id"]
    assert refreshed(user, id) == "available"
    return id


def refreshed(user: Dashboard, id: str) -> str:
    """The status at which a row of the table comes to rest; "gone" when 404 says so."""
    for _ in range(1000):
        reply = user.volume("GET", f"/volumes/{id}", version=GROUPS)
        if reply.status == 404:
            return "gone"
        if not reply.json["volume"]["status"].endswith("ing"):
            return str(reply.json["volume"]["status"])
        time.sleep(0.01)
    raise AssertionError(f"volume {id} is still moving")


def shown(user: Dashboard, path: str, key: str, version: str | None = None) -> Any:
    """What is under `key` of the answer to a GET."""
    reply = user.volume("GET", path, version=version)
    assert reply.status == 200, (path, reply.body)
    return reply.json[key]


def test_the_create_form_is_filled(user: Dashboard) -> None:
    names = {extension["name"] for extension in shown(user, "/extensions", "extensions")}
    assert {"AvailabilityZones", "VolumeTypeEncryption"} <= names
    zones = shown(user, "/os-availability-zone", "availabilityZoneInfo")
    assert [zone["zoneName"] for zone in zones if zone["zoneState"]["available"]] == ["nova"]
    types = {row["name"] for row in shown(user, "/types?is_public=None", "volume_types")}
    assert shown(user, "/types/default", "volume_type")["name"] in types
    assert shown(user, "/volumes/detail?status=available", "volumes", GROUPS) == []
    assert shown(user, "/groups/detail", "groups", GROUPS) == []


def test_the_volumes_page(user: Dashboard) -> None:
    ids = [created(user, f"row-{n}") for n in range(3)]
    for version, path, key in (
        (GROUPS, "/snapshots/detail", "snapshots"),
        (GROUPS, "/groups/detail", "groups"),
        (None, "/os-volume-transfer/detail", "transfers"),
        (None, "/os-volume-transfer/detail?name=x&status=available&all_tenants=True", "transfers"),
    ):
        assert shown(user, path, key, version) == []
    first = user.volume("GET", "/volumes/detail?limit=2&sort=created_at:desc", version=GROUPS).json
    assert [row["id"] for row in first["volumes"]] == ids[:0:-1] and first["volumes_links"]
    after = f"/volumes/detail?limit=2&marker={ids[1]}&sort=created_at:desc"
    assert [row["id"] for row in shown(user, after, "volumes", GROUPS)] == ids[:1]
    back = f"/volumes/detail?limit=2&marker={ids[0]}&sort=created_at:asc"
    assert [row["id"] for row in shown(user, back, "volumes", GROUPS)] == ids[1:]
    for filter, found in (
        ("name=row-1", ids[1:2]),
        ("status=available&size=1&bootable=false", ids[::-1]),
        ("availability_zone=nova", ids[::-1]),
        ("bootable=true", []),
        ("group_id=x", []),
    ):
        path = f"/volumes/detail?limit=21&sort=created_at:desc&{filter}"
        assert [row["id"] for row in shown(user, path, "volumes", GROUPS)] == found, filter
    for id in ids:
        assert user.volume("DELETE", f"/volumes/{id}").status == 202
        assert refreshed(user, id) == "gone"


@pytest.mark.parametrize("query", ["", "?tenant_id=PROJECT"])
def test_the_limits_are_numbers(user: Dashboard, query: str) -> None:
    found = shown(user, "/limits" + query.replace("PROJECT", user.project_id), "limits", LIMITS)["absolute"]
    for what in ("Volumes", "VolumeGigabytes", "Snapshots"):
        assert isinstance(found[f"maxTotal{what}"], int)
    for what in ("Volumes", "Gigabytes", "Snapshots"):
        assert isinstance(found[f"total{what}Used"], int)


def test_a_volume_is_edited_extended_and_shown(user: Dashboard) -> None:
    id = created(user, "edited")
    changed = user.volume("PUT", f"/volumes/{id}", {"volume": {"name": "renamed", "description": "text"}})
    assert changed.status == 200 and changed.json["volume"]["name"] == "renamed"
    for bootable in (True, False):
        assert user.volume("POST", f"/volumes/{id}/action", {"os-set_bootable": {"bootable": bootable}}).status == 200
        assert shown(user, f"/volumes/{id}", "volume", GROUPS)["bootable"] == str(bootable).lower()
    extended = user.volume("POST", f"/volumes/{id}/action", {"os-extend": {"new_size": 2}}, EXTEND)
    assert extended.status == 202 and refreshed(user, id) == "available"
    row = shown(user, f"/volumes/{id}", "volume", GROUPS)
    assert row["size"] == 2 and row["description"] == "text" and row["os-vol-tenant-attr:tenant_id"] == user.project_id
    assert shown(user, f"/snapshots/detail?volume_id={id}", "snapshots", GROUPS) == []
    assert shown(user, f"/messages?resource_type=volume&resource_uuid={id}", "messages", MESSAGES) == []
    user.volume("DELETE", f"/volumes/{id}")
    assert refreshed(user, id) == "gone"


def test_an_attached_volume_says_where(user: Dashboard, admin: Dashboard) -> None:
    id, server = created(user, "attached", volume_type="multiattach"), "11111111-1111-4111-8111-111111111111"
    asked = {"attachment": {"volume_uuid": id, "instance_uuid": server}}
    claim = user.volume("POST", "/attachments", asked, "3.44").json["attachment"]["id"]
    assert user.volume("POST", f"/attachments/{claim}/action", {"os-complete": None}, "3.44").status == 204
    row = next(r for r in shown(user, "/volumes/detail?limit=21&sort=created_at:desc", "volumes", GROUPS))
    assert row["status"] == "in-use" and row["multiattach"] is True
    attached = row["attachments"][0]
    assert (attached["server_id"], attached["attachment_id"], attached["volume_id"]) == (server, claim, id)
    assert attached["device"] and attached["host_name"] is None
    everybody = shown(admin, "/volumes/detail?all_tenants=True&limit=21&sort=created_at:desc", "volumes", GROUPS)
    assert everybody[0]["id"] == id and everybody[0]["os-vol-host-attr:host"]
    assert user.volume("DELETE", f"/volumes/{id}").status == 400
    assert user.volume("DELETE", f"/attachments/{claim}", version="3.44").status == 200
    user.volume("DELETE", f"/volumes/{id}")
    assert refreshed(user, id) == "gone"


def test_pages_of_what_is_not_delivered_yet_are_empty(user: Dashboard, admin: Dashboard) -> None:
    backups = user.volume("GET", "/backups/detail?limit=21&sort=created_at:desc&with_count=True", version=BACKUPS)
    assert backups.json["backups"] == [] and backups.json["count"] == 0
    assert shown(user, "/group_snapshots/detail", "group_snapshots", GROUPS) == []
    assert shown(user, "/snapshots/detail?limit=21&sort=created_at:desc", "snapshots", GROUPS) == []
    for path, key, version in (
        ("/snapshots/detail?all_tenants=True&limit=21&sort=created_at:desc", "snapshots", GROUPS),
        ("/groups/detail?all_tenants=True", "groups", GROUPS),
        ("/group_snapshots/detail?all_tenants=True", "group_snapshots", GROUPS),
        ("/os-volume-transfer/detail?all_tenants=True", "transfers", None),
        ("/backups/detail?all_tenants=True", "backups", BACKUPS),
        ("/group_types?is_public=None", "group_types", GROUPS),
    ):
        assert shown(admin, path, key, version) == []
    missing = "11111111-1111-4111-8111-111111111111"
    for path, version in ((f"/snapshots/{missing}", GROUPS), (f"/backups/{missing}", "3.18")):
        assert user.volume("GET", path, version=version).status == 404


def test_the_administrators_types_page(admin: Dashboard) -> None:
    form = {"name": "gold", "description": "shiny", "os-volume-type-access:is_public": True}
    made = admin.volume("POST", "/types", {"volume_type": form})
    assert made.status == 200, made.body
    type = made.json["volume_type"]["id"]
    for row in shown(admin, "/types?is_public=None", "volume_types"):
        reply = admin.volume("GET", f"/types/{row['id']}/encryption")
        assert reply.status == 200 and not reply.json
    assert shown(admin, "/qos-specs", "qos_specs") == []
    edit = {"name": "gold", "description": "dull", "is_public": False}
    assert admin.volume("PUT", f"/types/{type}", {"volume_type": edit}).json["volume_type"]["is_public"] is False
    for pair in ({"multiattach": "<is> True"}, {"volume_backend_name": "files"}):
        assert admin.volume("POST", f"/types/{type}/extra_specs", {"extra_specs": pair}).status == 200
        assert pair.items() <= shown(admin, f"/types/{type}/extra_specs", "extra_specs").items()
    assert admin.volume("DELETE", f"/types/{type}").status == 202


def test_the_administrators_quotas_and_services(admin: Dashboard, user: Dashboard) -> None:
    project = user.project_id
    defaults = shown(admin, f"/os-quota-sets/{project}/defaults", "quota_set")
    assert {"volumes", "gigabytes", "snapshots", "volumes_multiattach"} <= defaults.keys()
    quota = shown(admin, f"/os-quota-sets/{project}?usage=False", "quota_set")
    assert quota["volumes"] == defaults["volumes"]
    changed = admin.volume("PUT", f"/os-quota-sets/{project}", {"quota_set": {"volumes": 77}})
    assert changed.status == 200 and changed.json["quota_set"]["volumes"] == 77
    assert admin.volume("DELETE", f"/os-quota-sets/{project}").status == 200
    services = shown(admin, "/os-services", "services")
    assert {"cinder-volume", "cinder-scheduler"} <= {row["binary"] for row in services}
    assert all(row.keys() >= {"binary", "host", "zone", "status", "state", "updated_at"} for row in services)


def test_an_administrator_resets_a_status(user: Dashboard, admin: Dashboard) -> None:
    id = created(user, "stuck")
    for status in ("error", "available"):
        assert admin.volume("POST", f"/volumes/{id}/action", {"os-reset_status": {"status": status}}).status == 202
        assert refreshed(user, id) == status
    user.volume("DELETE", f"/volumes/{id}")
    assert refreshed(user, id) == "gone"
