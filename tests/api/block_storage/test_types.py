"""Volume types, extra specs, access, defaults; quality of service."""

from tests.volumes.rig import DEMO, OTHER, Rig


def make(rig: Rig, name: str, **more: object) -> str:
    reply = rig.call("POST", "/types", {"volume_type": {"name": name, **more}}, "admin")
    assert reply.status == 200, reply.body
    id: str = reply.json["volume_type"]["id"]
    return id


def test_there_are_types_from_the_start(rig: Rig) -> None:
    types = rig.call("GET", "/types").json["volume_types"]
    assert {row["name"]: row["extra_specs"] for row in types} == {
        "files": {},
        "multiattach": {"multiattach": "<is> True"},
    }
    assert rig.call("GET", "/types/default").json["volume_type"]["name"] == "files"


def test_a_type_lives(rig: Rig) -> None:
    id = make(rig, "t", description="d", extra_specs={"a": "b"})
    seen = rig.call("GET", f"/types/{id}", as_="admin").json["volume_type"]
    assert (seen["extra_specs"], seen["is_public"], seen["qos_specs_id"]) == ({"a": "b"}, True, None)
    assert rig.call("GET", f"/types/{id}").json["volume_type"]["extra_specs"] == {}
    twin = rig.call("POST", "/types", {"volume_type": {"name": "t"}}, "admin")
    assert (twin.status, twin.message) == (409, f"Volume Type t already exists. In the way: volume-type {id}.")
    changed = rig.call("PUT", f"/types/{id}", {"volume_type": {"name": "t2", "is_public": False}}, "admin")
    assert changed.json["volume_type"]["name"] == "t2"
    assert rig.call("PUT", f"/types/{id}", {"volume_type": {"name": "files"}}, "admin").status == 409
    assert rig.call("DELETE", f"/types/{id}", as_="admin").status == 202
    assert rig.call("GET", f"/types/{id}", as_="admin").message == f"Volume type {id} could not be found."


def test_extra_specs(rig: Rig) -> None:
    at = f"/types/{make(rig, 't')}/extra_specs"
    assert rig.call("POST", at, {"extra_specs": {"a": "1", "b": "2"}}, "admin").json == {
        "extra_specs": {"a": "1", "b": "2"}
    }
    assert rig.call("PUT", f"{at}/a", {"a": "3"}, "admin").json == {"a": "3"}
    assert rig.call("PUT", f"{at}/a", {"b": "3"}, "admin").message == "Request body and URI mismatch"
    assert rig.call("PUT", f"{at}/a", {"a": "3", "b": "3"}, "admin").status == 400
    assert rig.call("PUT", f"{at}/a", None, "admin").status == 400
    assert rig.call("GET", f"{at}/a", as_="admin").json == {"a": "3"}
    assert rig.call("GET", f"{at}/a").status == 404
    assert rig.call("DELETE", f"{at}/a", as_="admin").status == 202
    assert rig.call("DELETE", f"{at}/a", as_="admin").status == 404
    assert rig.call("GET", at, as_="admin").json == {"extra_specs": {"b": "2"}}


def test_a_private_type_is_for_those_who_have_access(rig: Rig) -> None:
    id = make(rig, "secret", **{"os-volume-type-access:is_public": False})
    asked = {"volume": {"size": 1, "volume_type": "secret"}}
    refused = rig.call("POST", "/volumes", asked)
    assert (refused.status, refused.message) == (404, "Volume type with name secret could not be found.")
    assert rig.call("GET", f"/types/{id}").status == 404
    action, access = f"/types/{id}/action", f"/types/{id}/os-volume-type-access"
    grant = {"addProjectAccess": {"project": DEMO}}
    assert [rig.call("POST", action, grant, as_).status for as_ in ("demo", "admin", "admin")] == [403, 202, 409]
    listed = {"volume_type_access": [{"volume_type_id": id, "project_id": DEMO}]}
    assert rig.call("GET", access, as_="admin").json == listed
    assert (
        rig.call("POST", "/volumes", asked).status == 202 and rig.call("POST", "/volumes", asked, "other").status == 404
    )
    assert "secret" in [row["name"] for row in rig.call("GET", "/types").json["volume_types"]]
    deny = {"removeProjectAccess": {"project": DEMO}}
    assert [rig.call("POST", action, deny, "admin").status for _ in range(2)] == [202, 404]
    public = rig.call("GET", "/types/default").json["volume_type"]["id"]
    assert rig.call("POST", f"/types/{public}/action", grant, "admin").status == 400
    assert rig.call("GET", f"/types/{public}/os-volume-type-access", as_="admin").status == 404
    names = [row["name"] for row in rig.call("GET", "/types?is_public=None", as_="admin").json["volume_types"]]
    assert sorted(names) == ["files", "multiattach", "secret"]
    private = rig.call("GET", "/types?is_public=False", as_="admin").json["volume_types"]
    assert [row["id"] for row in private] == [id]


def test_a_type_in_use_or_by_default_stays(rig: Rig) -> None:
    id = make(rig, "t")
    volume = rig.volume(volume_type=id)
    assert rig.call("DELETE", f"/types/{id}", as_="admin").status == 400
    rig.call("DELETE", f"/volumes/{volume}")
    assert rig.settled(volume) == "gone"
    chosen = {"default_type": {"volume_type": "t"}}
    assert rig.call("PUT", f"/default-types/{DEMO}", chosen, "admin").json["default_type"]["volume_type_id"] == id
    assert rig.call("GET", f"/volumes/{rig.volume()}").json["volume"]["volume_type"] == "t"
    assert rig.call("GET", "/default-types", as_="admin").json["default_types"][0]["project_id"] == DEMO
    assert rig.call("GET", f"/default-types/{OTHER}", as_="admin").status == 404
    assert rig.call("DELETE", f"/default-types/{DEMO}", as_="admin").status == 204
    assert rig.call("DELETE", f"/default-types/{DEMO}", as_="admin").status == 404
    default = rig.call("GET", "/types/default").json["volume_type"]["id"]
    assert rig.call("DELETE", f"/types/{default}", as_="admin").status == 400


def test_a_type_limits_the_size_and_its_volumes_keep_what_it_said(rig: Rig) -> None:
    limits = {"provisioning:min_vol_size": "2", "provisioning:max_vol_size": "3"}
    id = make(rig, "t", extra_specs={**limits, "multiattach": "<is> True"})
    sizes = [rig.call("POST", "/volumes", {"volume": {"size": n, "volume_type": id}}).status for n in (1, 2, 4)]
    assert sizes == [400, 202, 400]
    volume = rig.volume(size=2, volume_type=id)
    assert rig.call("DELETE", f"/types/{id}/extra_specs/multiattach", as_="admin").status == 202
    assert rig.call("GET", f"/volumes/{volume}").json["volume"]["multiattach"] is True
    nowhere = make(rig, "nowhere", extra_specs={"volume_backend_name": "nonesuch"})
    assert rig.call("POST", "/volumes", {"volume": {"size": 1, "volume_type": nowhere}}).status == 400


def test_pages_of_types(rig: Rig) -> None:
    first = rig.call("GET", "/types?limit=1&sort=name:asc").json
    assert [row["name"] for row in first["volume_types"]] == ["files"] and first["volume_type_links"]
    rest = rig.call("GET", f"/types?sort=name:asc&marker={first['volume_types'][0]['id']}").json["volume_types"]
    assert [row["name"] for row in rest] == ["multiattach"]
    assert rig.call("GET", "/types?marker=nonesuch").status == 404


def test_quality_of_service(rig: Rig) -> None:
    asked = {"qos_specs": {"name": "q", "consumer": "front-end", "read_iops_sec": "100"}}
    made = rig.call("POST", "/qos-specs", asked, "admin").json
    id, type_id = made["qos_specs"]["id"], make(rig, "t")
    assert made["qos_specs"]["specs"] == {"read_iops_sec": "100"} and len(made["links"]) == 2
    twin = rig.call("POST", "/qos-specs", asked, "admin")
    assert twin.message == f"QoS Specs q already exists. In the way: qos {id}."
    assert rig.call("POST", "/qos-specs", asked).status == 403
    at = f"/qos-specs/{id}"
    assert rig.call("PUT", at, {"qos_specs": {"x": "1"}}, "admin").json == {"qos_specs": {"x": "1"}}
    assert rig.call("PUT", f"{at}/delete_keys", {"keys": ["x"]}, "admin").status == 202
    assert rig.call("PUT", f"{at}/delete_keys", {"keys": ["x"]}, "admin").status == 404
    assert rig.call("GET", f"{at}/associate?vol_type_id={type_id}", as_="admin").status == 202
    assert rig.call("GET", f"/types/{type_id}", as_="admin").json["volume_type"]["qos_specs_id"] == id
    seen = rig.call("GET", f"{at}/associations", as_="admin").json["qos_associations"]
    assert seen == [{"association_type": "volume_type", "name": "t", "id": type_id}]
    assert rig.call("DELETE", at, as_="admin").message == f"Qos specs still in use. In the way: volume-type {type_id}."
    assert rig.call("GET", f"{at}/disassociate?vol_type_id={type_id}", as_="admin").status == 202
    assert rig.call("GET", f"{at}/disassociate_all", as_="admin").status == 202
    assert rig.call("GET", f"{at}/associate", as_="admin").status == 400
    assert rig.call("DELETE", at, as_="admin").status == 202
    assert rig.call("GET", at, as_="admin").message == f"No such QoS spec {id}."
    assert rig.call("GET", "/qos-specs", as_="admin").json == {"qos_specs": []}
