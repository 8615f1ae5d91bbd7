"""Quotas, limits, services, pools; and what clients poll that there is none of yet."""

import pytest

from moorage.api.block_storage import later
from moorage.api.versions import shown
from tests.volumes.rig import DEMO, HOST, OTHER, Rig


def test_quotas_are_shown_set_and_enforced(rig: Rig) -> None:
    at = f"/os-quota-sets/{DEMO}"
    before = rig.call("GET", at).json["quota_set"]
    assert (before["volumes"], before["volumes_files"], before["id"]) == (100, -1, DEMO)
    assert rig.call("GET", at, as_="other").status == 403
    assert rig.call("PUT", at, {"quota_set": {"volumes": 2}}).status == 403
    limits = {"quota_set": {"volumes": 3, "gigabytes": "4", "per_volume_gigabytes": 3, "gigabytes_multiattach": 1}}
    after = rig.call("PUT", at, limits, "admin").json["quota_set"]
    assert (after["gigabytes"], after["gigabytes_multiattach"]) == (4, 1) and "id" not in after
    rig.volume(size=3)
    large = rig.call("POST", "/volumes", {"volume": {"size": 4}})
    assert large.status == 413 and "larger than maximum allowed limit 3G" in large.message
    full = rig.call("POST", "/volumes", {"volume": {"size": 2}})
    text = "Requested 2G, quota is 4G and 3G has been consumed."
    assert full.status == 413 and full.message.endswith(text) and full.headers["retry-after"] == "0"
    assert full.json["overLimit"]["retryAfter"] == "0"
    typed = {"volume": {"size": 1, "volume_type": "multiattach"}}
    assert [rig.call("POST", "/volumes", typed).status for _ in range(2)] == [202, 413]
    used = rig.call("GET", f"{at}?usage=True").json["quota_set"]
    assert used["gigabytes"] == {"limit": 4, "in_use": 4, "reserved": 0}
    assert used["gigabytes_multiattach"] == {"limit": 1, "in_use": 1, "reserved": 0}
    assert rig.call("DELETE", at, as_="admin").status == 200
    assert rig.call("GET", at).json["quota_set"]["volumes"] == 100


def test_extending_is_charged_and_given_back(rig: Rig) -> None:
    rig.call("PUT", f"/os-quota-sets/{DEMO}", {"quota_set": {"gigabytes": 3}}, "admin")
    id = rig.volume()
    action = f"/volumes/{id}/action"
    assert rig.call("POST", action, {"os-extend": {"new_size": 4}}).status == 413
    assert rig.call("POST", action, {"os-extend": {"new_size": 3}}).status == 202
    assert rig.settled(id) == "available"
    assert rig.call("POST", "/volumes", {"volume": {"size": 1}}).status == 413
    rig.call("DELETE", f"/volumes/{id}")
    assert rig.settled(id) == "gone"
    assert rig.call("POST", "/volumes", {"volume": {"size": 3}}).status == 202


def test_the_default_quotas(rig: Rig) -> None:
    change = {"quota_class_set": {"volumes": 7}}
    assert rig.call("PUT", "/os-quota-class-sets/default", change, "admin").json["quota_class_set"]["volumes"] == 7
    assert rig.call("PUT", "/os-quota-class-sets/other", change, "admin").status == 400
    assert rig.call("GET", "/os-quota-class-sets/default", as_="admin").json["quota_class_set"]["id"] == "default"
    assert rig.call("GET", f"/os-quota-sets/{OTHER}/defaults", as_="other").json["quota_set"]["volumes"] == 7
    assert rig.call("GET", "/limits").json["limits"]["absolute"]["maxTotalVolumes"] == 7


@pytest.mark.parametrize(
    "limits", [{"bogus": 1}, {"volumes": -2}, {"volumes": "x"}, {"volumes": 2**31}, {"volumes": None}]
)
def test_quotas_that_make_no_sense(fast: Rig, limits: dict[str, object]) -> None:
    assert fast.call("PUT", f"/os-quota-sets/{OTHER}", {"quota_set": limits}, "admin").status == 400


def test_the_limits_of_another_project(rig: Rig) -> None:
    rig.volume()
    for as_, version, used in (("admin", "3.39", 1), ("admin", "3.38", 0), ("other", "3.71", 0)):
        seen = rig.call("GET", f"/limits?project_id={DEMO}", as_=as_, version=version).json["limits"]["absolute"]
        assert seen["totalVolumesUsed"] == used


def test_services_are_listed_and_switched(rig: Rig) -> None:
    rows = rig.call("GET", "/os-services", as_="admin").json["services"]
    assert [(row["binary"], row["host"], row["state"]) for row in rows] == [
        ("cinder-scheduler", HOST, "up"),
        ("cinder-volume", f"{HOST}@files", "up"),
    ]
    assert "cluster" not in rig.call("GET", "/os-services", as_="admin", version="3.6").json["services"][0]
    assert rig.call("GET", "/os-services").message.startswith("Policy doesn't allow volume_extension:services:index")
    off = {"binary": "cinder-volume", "host": f"{HOST}@files", "disabled_reason": "why"}
    assert rig.call("PUT", "/os-services/disable-log-reason", off, "admin").json["disabled_reason"] == "why"
    (row,) = rig.call("GET", "/os-services?binary=cinder-volume", as_="admin").json["services"]
    assert (row["status"], row["disabled_reason"]) == ("disabled", "why")
    assert rig.call("PUT", "/os-services/enable", {**off, "binary": "x"}, "admin").status == 404
    assert rig.call("PUT", "/os-services/enable", off, "admin").json["status"] == "enabled"
    assert rig.call("PUT", "/os-services/freeze", {"host": "x"}, "admin").status == 400
    assert rig.call("PUT", "/os-services/get-log", {"binary": ""}, "admin").json["log_levels"]


def test_where_volumes_are_kept(rig: Rig) -> None:
    rig.volume()
    pool = f"{HOST}@files#files"
    assert rig.call("GET", "/scheduler-stats/get_pools", as_="admin").json == {"pools": [{"name": pool}]}
    (detail,) = rig.call("GET", "/scheduler-stats/get_pools?detail=True", as_="admin").json["pools"]
    assert detail["capabilities"]["multiattach"] is True
    assert rig.call("GET", f"/capabilities/{HOST}@files", as_="admin").json["storage_protocol"] == "nbd"
    assert rig.call("GET", "/capabilities/nonesuch", as_="admin").status == 404
    assert len(rig.call("GET", "/os-hosts", as_="admin").json["hosts"]) == 2
    total, demo = rig.call("GET", f"/os-hosts/{HOST}@files", as_="admin").json["host"]
    assert total["resource"]["volume_count"] == demo["resource"]["total_volume_gb"] == "1"
    assert rig.call("GET", "/os-hosts/nonesuch", as_="admin").status == 404
    for path in ("/scheduler-stats/get_pools", f"/capabilities/{HOST}@files", "/os-hosts"):
        assert rig.call("GET", path).status == 403


def test_zones_extensions_and_filters(fast: Rig) -> None:
    zones = fast.call("GET", "/os-availability-zone").json["availabilityZoneInfo"]
    assert zones == [{"zoneName": "nova", "zoneState": {"available": True}}]
    extensions = fast.call("GET", "/extensions").json["extensions"]
    assert {"AvailabilityZones", "VolumeTypeEncryption"} <= {row["name"] for row in extensions}
    (only,) = fast.call("GET", "/resource_filters?resource=backup").json["resource_filters"]
    assert only["filters"] == ["name", "status", "volume_id"]


def test_nothing_is_encrypted(fast: Rig) -> None:
    id = fast.volume()
    type_id = fast.call("GET", "/types/default").json["volume_type"]["id"]
    assert fast.call("GET", f"/volumes/{id}/encryption").json == {}
    assert fast.call("GET", f"/volumes/{id}/encryption/cipher").status == 200
    assert fast.call("GET", f"/types/{type_id}/encryption", as_="admin").json == {}


@pytest.mark.parametrize("noun", later.NOUNS, ids=lambda noun: noun[0])
def test_what_there_is_none_of_yet(fast: Rig, noun: tuple[str, str, str, tuple[int, int]]) -> None:
    path, key, kind, since = noun
    assert fast.call("GET", f"/{path}").json == {key: []}
    assert fast.call("GET", f"/{path}?with_count=true&all_tenants=True", as_="admin").json == {key: [], "count": 0}
    missing = fast.call("GET", f"/{path}/abc")
    assert (missing.status, missing.message) == (404, f"{kind} abc could not be found.")
    assert fast.call("DELETE", f"/{path}/abc").status == 404
    assert fast.call("POST", f"/{path}", {"x": {}}).status == 501
    if since > (3, 0):
        assert fast.call("GET", f"/{path}", version=shown((3, since[1] - 1))).status == 404


def test_nothing_new_is_put_on_a_backend_that_is_switched_off(rig: Rig) -> None:
    there = rig.volume()
    service = {"binary": "cinder-volume", "host": f"{HOST}@files"}
    assert rig.call("PUT", "/os-services/disable", service, "admin").status == 200
    for asked in ({"size": 1}, {"size": 1, "source_volid": there}):
        refused = rig.call("POST", "/volumes", {"volume": asked})
        assert refused.status == 503 and f"No new volumes are put on {HOST}@files" in refused.message
    assert [row["id"] for row in rig.call("GET", "/volumes").json["volumes"]] == [there]
    assert rig.call("GET", "/limits").json["limits"]["absolute"]["totalVolumesUsed"] == 1
    rig.attach(there, host="h")  # what is there goes on
    assert rig.call("PUT", "/os-services/enable", service, "admin").status == 200
    rig.volume()
