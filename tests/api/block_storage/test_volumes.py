"""Volumes as clients see them."""

import hashlib
import json

from tests.volumes.rig import DEMO, HOST, OTHER, Rig

NULLS = dict.fromkeys(
    "consistencygroup_id snapshot_id source_volid backup_id imageRef availability_zone volume_type metadata".split()
)


def test_a_volume_lives(rig: Rig) -> None:
    made = rig.call("POST", "/volumes", {"volume": {"size": 2, "name": " a ", "description": "d", **NULLS}})
    assert made.status == 202
    shown = made.json["volume"]
    assert (shown["status"], shown["size"], shown["name"]) == ("creating", 2, "a")
    assert "os-vol-tenant-attr:tenant_id" not in shown
    assert rig.settled(shown["id"]) == "available"
    at = f"/volumes/{shown['id']}"
    seen = rig.call("GET", at).json["volume"]
    assert seen["os-vol-tenant-attr:tenant_id"] == DEMO and "migration_status" not in seen
    assert (seen["bootable"], seen["volume_type"]) == ("false", "files")
    assert not seen["created_at"].endswith("Z")
    changed = rig.call("PUT", at, {"volume": {"name": "b", "description": None, "metadata": {"k": "v"}}})
    assert (changed.status, changed.json["volume"]["name"], changed.json["volume"]["metadata"]) == (
        200,
        "b",
        {"k": "v"},
    )
    assert rig.call("DELETE", at).status == 202
    assert rig.settled(shown["id"]) == "gone"
    assert rig.call("GET", at).message == f"Volume {shown['id']} could not be found."
    assert rig.backend.layers() == frozenset()


def test_the_fields_follow_the_version_and_the_caller(rig: Rig) -> None:
    id = rig.volume()
    since = {"group_id": "3.13", "shared_targets": "3.48", "volume_type_id": "3.63", "consumes_quota": "3.65"}
    for field, version in since.items():
        before = f"3.{int(version[2:]) - 1}"
        assert field not in rig.call("GET", f"/volumes/{id}", version=before).json["volume"]
        assert field in rig.call("GET", f"/volumes/{id}", version=version).json["volume"]
    seen = rig.call("GET", f"/volumes/{id}", as_="admin").json["volume"]
    assert seen["os-vol-host-attr:host"] == f"{HOST}@files#files"
    assert {"provider_id", "cluster_name", "migration_status"} <= seen.keys()


def test_both_forms_of_the_url_and_their_links(rig: Rig) -> None:
    id = rig.volume()
    for form, base in (("", ""), (f"/{DEMO}", f"/{DEMO}")):
        links = rig.call("GET", f"{form}/volumes/{id}").json["volume"]["links"]
        assert [link["href"] for link in links] == [
            f"http://cloud:8790/volume/v3{base}/volumes/{id}",
            f"http://cloud:8790/volume{base}/volumes/{id}",
        ]
    foreign = rig.call("GET", f"/{OTHER}/volumes/{id}")
    assert (foreign.status, foreign.message) == (400, "Malformed request url")


def test_another_project_does_not_see_it(rig: Rig) -> None:
    id = rig.volume()
    for method, path, body in (
        ("GET", f"/volumes/{id}", None),
        ("PUT", f"/volumes/{id}", {"volume": {"name": "x"}}),
        ("DELETE", f"/volumes/{id}", None),
        ("POST", f"/volumes/{id}/action", {"os-extend": {"new_size": 5}}),
        ("GET", f"/volumes/{id}/metadata", None),
        ("POST", "/attachments", {"attachment": {"volume_uuid": id}}),
        ("POST", "/volumes", {"volume": {"source_volid": id}}),
    ):
        assert rig.call(method, path, body, "other").status == 404, (method, path)
    assert rig.call("GET", "/volumes/detail", as_="other").json == {"volumes": []}
    assert [v["id"] for v in rig.call("GET", "/volumes?all_tenants=1", as_="admin").json["volumes"]] == [id]
    assert rig.call("GET", "/volumes?all_tenants=1", as_="other").json == {"volumes": []}


def test_extending(rig: Rig) -> None:
    id = rig.volume()
    action = f"/volumes/{id}/action"
    assert rig.call("POST", action, {"os-extend": {"new_size": "3"}}).status == 202
    assert rig.settled(id) == "available"
    assert rig.call("GET", f"/volumes/{id}").json["volume"]["size"] == 3
    small = rig.call("POST", action, {"os-extend": {"new_size": 3}})
    assert small.status == 400 and "New size for extend must be greater than current size." in small.message
    claim = rig.attach(id, host="h")
    refused = rig.call("POST", action, {"os-extend": {"new_size": 4}})
    assert refused.status == 400 and refused.message.endswith(f"In the way: attachment {claim['id']}.")
    used = rig.call("GET", "/limits").json["limits"]["absolute"]
    assert (used["totalVolumesUsed"], used["totalGigabytesUsed"]) == (1, 3)


def test_the_flags(rig: Rig) -> None:
    id = rig.volume()
    action = f"/volumes/{id}/action"
    assert rig.call("POST", action, {"os-set_bootable": {"bootable": "True"}}).status == 200
    assert rig.call("POST", action, {"os-update_readonly_flag": {"readonly": True}}).status == 202
    seen = rig.call("GET", f"/volumes/{id}").json["volume"]
    assert (seen["bootable"], seen["metadata"]) == ("true", {"readonly": "True"})
    assert rig.attach(id, host="h")["attach_mode"] == "ro"
    refused = rig.call("POST", action, {"os-update_readonly_flag": {"readonly": False}})
    assert refused.status == 400 and "In the way: attachment" in refused.message


def test_metadata(rig: Rig) -> None:
    at = f"/volumes/{rig.volume(metadata={'a': '1'})}/metadata"
    assert rig.call("POST", at, {"metadata": {"b": "2"}}).json == {"metadata": {"a": "1", "b": "2"}}
    shown = rig.call("GET", at)
    etag = hashlib.md5(json.dumps(shown.json, sort_keys=True).encode()).hexdigest()
    assert shown.headers["etag"] == etag and "etag" not in rig.call("GET", at, version="3.14").headers
    assert rig.call("PUT", at, {"metadata": {"c": "3"}}, if_match='"nonsense"').status == 412
    assert rig.call("PUT", at, {"metadata": {"c": "3"}}, if_match=etag).json == {"metadata": {"c": "3"}}
    assert rig.call("GET", f"{at}/c").json == {"meta": {"c": "3"}}
    assert rig.call("PUT", f"{at}/d", {"meta": {"d": "4"}}).json == {"meta": {"d": "4"}}
    assert rig.call("PUT", f"{at}/d", {"meta": {"e": "4"}}).status == 400
    assert rig.call("PUT", f"{at}/d", {"meta": {"e": "4", "d": "1"}}).status == 400
    assert rig.call("DELETE", f"{at}/c").status == 200
    assert [rig.call(method, f"{at}/c").status for method in ("GET", "DELETE")] == [404, 404]


def test_image_metadata(rig: Rig) -> None:
    id = rig.volume()
    action = f"/volumes/{id}/action"
    assert rig.call("POST", action, {"os-show_image_metadata": None}).status == 404
    pairs = {"image_name": "i", "p": "q" * 300}
    assert rig.call("POST", action, {"os-set_image_metadata": {"metadata": pairs}}).json == {"metadata": pairs}
    assert rig.call("GET", "/volumes/detail").json["volumes"][0]["volume_image_metadata"] == pairs
    found = rig.call("GET", "/volumes?glance_metadata=%7B%27image_name%27%3A%27i%27%7D")
    assert [row["id"] for row in found.json["volumes"]] == [id]
    assert rig.call("POST", action, {"os-unset_image_metadata": {"key": "p"}}).status == 200
    assert rig.call("POST", action, {"os-unset_image_metadata": {"key": "p"}}).status == 404
    assert rig.call("POST", action, {"os-show_image_metadata": {}}).json == {"metadata": {"image_name": "i"}}


def test_an_administrator_says_the_status_and_takes_it_back(rig: Rig) -> None:
    id = rig.volume()
    action = f"/volumes/{id}/action"

    def reset(**status: str) -> int:
        return rig.call("POST", action, {"os-reset_status": status}, "admin").status

    assert rig.call("POST", action, {"os-reset_status": {"status": "error"}}).status == 403
    assert reset(status="error") == 202 and rig.status(id) == "error"
    refused = rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id}})
    assert refused.status == 400 and "error state" in refused.message
    assert reset(status="available") == 202 and rig.status(id) == "available"
    assert [reset(status=word) for word in ("nonsense", "in-use", "deleting", "detaching")] == [400] * 4
    assert reset() == 400
    rig.attach(id, host="h")
    assert reset(status="maintenance") == 202 and rig.status(id) == "maintenance"
    assert rig.call("PUT", f"/volumes/{id}", {"volume": {"name": "x"}}).status == 400
    assert reset(status="available") == 202 and rig.status(id) == "available"
    assert rig.backend.survey() == {} and rig.call("GET", "/attachments").json == {"attachments": []}


def test_saying_detached_fences_what_is_attached(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")
    for n in range(3):
        rig.attach(id, host=f"h{n}")
    action = {"os-reset_status": {"attach_status": "detached"}}
    assert rig.call("POST", f"/volumes/{id}/action", action, "admin").status == 202
    assert (rig.status(id), rig.backend.survey()) == ("available", {})


def test_force_deletes_in_any_status_but_not_what_is_attached(rig: Rig) -> None:
    id, held = rig.volume(), rig.volume()
    claim = rig.attach(held, host="h")
    for one in (id, held):
        rig.call("POST", f"/volumes/{one}/action", {"os-reset_status": {"status": "maintenance"}}, "admin")
    assert rig.call("DELETE", f"/volumes/{id}").status == 400
    assert rig.call("DELETE", f"/volumes/{id}?force=True").status == 403
    assert rig.call("POST", f"/volumes/{id}/action", {"os-force_delete": {}}).status == 403
    refused = rig.call("DELETE", f"/volumes/{held}?force=True", as_="admin")
    assert refused.status == 400 and claim["id"] in refused.message
    assert rig.call("DELETE", f"/volumes/{id}?force=True", as_="admin").status == 202
    assert rig.settled(id) == "gone"


def test_a_copy_is_like_its_source(rig: Rig) -> None:
    source = rig.volume(volume_type="multiattach", size=2)
    rig.call("POST", f"/volumes/{source}/action", {"os-set_bootable": {"bootable": True}})
    copy = rig.volume(source_volid=source, size=None)
    seen = rig.call("GET", f"/volumes/{copy}").json["volume"]
    same = (seen["size"], seen["bootable"], seen["multiattach"], seen["source_volid"])
    assert same == (2, "true", True, source)
    small = rig.call("POST", "/volumes", {"volume": {"source_volid": source, "size": 1}})
    assert small.status == 400 and "cannot be smaller than original volume size  2GB" in small.message
    claim = rig.attach(source, host="h")
    refused = rig.call("POST", "/volumes", {"volume": {"source_volid": source}})
    assert refused.status == 400 and claim["id"] in refused.message
