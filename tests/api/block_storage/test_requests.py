"""Versions, faults, headers, and bad input of every kind: the documented code, never a 5xx."""

import json

import pytest

from moorage.api.block_storage.routes import ROUTES
from tests.volumes.rig import DEMO, Rig

NOWHERE = "99999999-9999-4999-8999-999999999999"


def test_discovery_needs_no_token(fast: Rig) -> None:
    for path, status in (("/volume", 300), ("/volume/", 300), ("/volume/v3", 200), ("/volume/v3/", 200)):
        reply = fast.call("GET", path if path != "/volume" else "/volume/", as_=None, version=None)
        (version,) = reply.json["versions"]
        assert reply.status == status
        assert (version["min_version"], version["version"], version["status"]) == ("3.0", "3.71", "CURRENT")
        keys = {"id", "status", "version", "min_version", "updated", "links", "media-types"}
        assert version.keys() == keys and version["links"][1]["href"] == "http://cloud:8790/volume/v3/"
    assert fast.call("GET", "/volume/healthcheck", as_=None).body == b"OK"


@pytest.mark.parametrize(
    ("header", "status", "answered"),
    [
        (None, 200, "3.0"),
        ("volume 3.27", 200, "3.27"),
        ("volume latest", 200, "3.71"),
        ("compute 2.1,volume 3.27", 200, "3.27"),
        ("compute 2.1", 200, "3.0"),
        ("volume x", 400, "3.0"),
        ("volume 3.72", 406, "3.0"),
        ("volume 2.0", 406, "3.0"),
    ],
)
def test_versions_are_negotiated(fast: Rig, header: str | None, status: int, answered: str) -> None:
    more = {"openstack_api_version": header} if header else {}
    reply = fast.call("GET", "/volumes", version=None, **more)
    assert (reply.status, reply.headers["openstack-api-version"]) == (status, f"volume {answered}")
    assert reply.headers["vary"] == "OpenStack-API-Version"
    assert reply.headers["x-compute-request-id"] == reply.headers["x-openstack-request-id"]
    if status == 406:
        assert "Minimum is 3.0 and maximum is 3.71" in reply.json["computeFault"]["message"]


FAULTS = (
    ("GET", f"/volumes/{NOWHERE}", None, "demo", 404, "itemNotFound"),
    ("GET", "/os-services", None, "demo", 403, "forbidden"),
    ("POST", "/volumes", {}, "demo", 400, "badRequest"),
    ("PATCH", "/volumes", {}, "demo", 405, "badMethod"),
    ("POST", "/snapshots", {"snapshot": {}}, "demo", 501, "notImplemented"),
    ("GET", "/volumes", None, None, 401, "error"),
    ("GET", "/volumes", None, "expired", 401, "error"),
    ("GET", "/nonesuch", None, "demo", 404, "itemNotFound"),
    ("GET", f"/{DEMO}", None, "demo", 404, "itemNotFound"),
    ("GET", "/volume/volumes", None, "demo", 404, "itemNotFound"),
    ("GET", "/nonesuch", None, None, 401, "error"),
    ("GET", "/volumes/a%00b", None, "demo", 400, "badRequest"),
    ("POST", "/volumes", {"volume": {"size": 1}}, "reader", 403, "forbidden"),
    ("POST", "/volumes", {"volume": {"size": 1}}, "nowhere", 403, "forbidden"),
)


@pytest.mark.parametrize(("method", "path", "body", "as_", "status", "name"), FAULTS)
def test_faults(fast: Rig, method: str, path: str, body: object, as_: str | None, status: int, name: str) -> None:
    reply = fast.call(method, path, body, as_)
    assert (reply.status, list(reply.json)) == (status, [name]), reply.body
    assert reply.json[name]["code"] == status
    if status == 401:
        assert reply.headers["www-authenticate"].startswith("Keystone uri=")


SIZES = (0, -1, "0", "-1", "1.5", "x", "", 1.5, True, [], {}, 2**31, str(2**31), "9" * 40, 10**400, None)
WRONG_VOLUMES = [
    *({"size": size} for size in SIZES),
    *({"size": 1, "name": name} for name in ("x" * 256, 5, ["x"], {"a": "b"}, "a\0b", "\0")),
    *(
        {"size": 1, "metadata": value}
        for value in ("x", ["x"], {"k": 1}, {"k": "v" * 256}, {"k" * 256: "v"}, {"": "v"})
    ),
    *({"size": 1, "metadata": value} for value in ({"k": "\0"}, {"k\0": "v"}, {str(n): "v" for n in range(200)})),
    *({"size": 1, key: "not-a-uuid"} for key in ("snapshot_id", "source_volid", "backup_id", "group_id")),
    {"size": 1, "multiattach": True},
    {"size": 1, "multiattach": "perhaps"},
    {"size": 1, "availability_zone": "nonesuch"},
    {"size": 1, "imageRef": "nonesuch"},
    {"size": 1, "imageRef": NOWHERE},
    {"size": 1, "imageRef": "http://elsewhere/v2/images/" + NOWHERE},
    {"size": 1, "source_volid": NOWHERE, "imageRef": NOWHERE},
    {"size": 1, "bogus": 1},
    {},
    None,
    [],
    "x",
]


@pytest.mark.parametrize("volume", WRONG_VOLUMES, ids=lambda volume: str(volume)[:48])
def test_volumes_that_make_no_sense(fast: Rig, volume: object) -> None:
    reply = fast.call("POST", "/volumes", {"volume": volume})
    assert reply.status == 400, reply.body
    assert len(reply.body) < 2000


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"volume_type": "nonesuch"}, "Volume type with name nonesuch could not be found."),
        ({"volume_type": NOWHERE}, "Volume type"),
        ({"source_volid": NOWHERE}, f"Volume {NOWHERE} could not be found."),
        ({"snapshot_id": NOWHERE}, f"Snapshot {NOWHERE} could not be found."),
        ({"backup_id": NOWHERE}, f"Backup {NOWHERE} could not be found."),
        ({"group_id": NOWHERE}, f"Group {NOWHERE} could not be found."),
    ],
)
def test_what_a_volume_is_made_of_must_be_there(fast: Rig, asked: dict[str, str], said: str) -> None:
    reply = fast.call("POST", "/volumes", {"volume": {"size": 1, **asked}})
    assert reply.status == 404 and said in reply.message


def test_bodies_became_strict(fast: Rig) -> None:
    assert fast.call("POST", "/volumes", {"volume": {"size": 1, "bogus": 1}}, version="3.52").status == 202
    at = f"/volumes/{fast.volume()}"
    assert fast.call("PUT", at, {"volume": {"bogus": 1}}, version="3.52").status == 200
    assert fast.call("PUT", at, {"volume": {"bogus": 1}}).status == 400
    assert fast.call("PUT", at, {"volume": {}}).status == 400


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100000, "application/json", 400),
        (b'"\\ud800"', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b'{"volume": {"size": 1}}', "application/vnd.openstack.volume+json", 202),
        (b'{"volume": {"size": 1}, "volume": {"size": 1}}', "application/json; charset=utf-8", 202),
        (b" " * (2 << 20), "application/json", 413),
    ],
    ids=range(8),
)
def test_bodies_that_are_none(fast: Rig, content: bytes, kind: str, status: int) -> None:
    assert fast.call("POST", "/volumes", content=content, content_type=kind).status == status


ACTIONS = (
    {}, {"bogus": {}}, {"os-extend": {"new_size": 2}, "os-set_bootable": {"bootable": True}}, [], "x", 5,
    {"os-extend": {}}, {"os-extend": {"new_size": None}}, {"os-extend": {"new_size": 0}},
    {"os-extend": {"new_size": "x"}},
    {"os-extend": None}, {"os-set_bootable": {"bootable": "maybe"}}, {"os-set_bootable": {}}, {"os-set_bootable": None},
    {"os-update_readonly_flag": {"readonly": None}}, {"os-set_image_metadata": {"metadata": {"a": 1}}},
    {"os-set_image_metadata": {"metadata": {"a": "\0"}}}, {"os-unset_image_metadata": {}},
    {"os-unset_image_metadata": {"key": ""}},
)  # fmt: skip


@pytest.mark.parametrize("body", ACTIONS, ids=lambda body: str(body)[:40])
def test_actions_that_make_no_sense(fast: Rig, body: object) -> None:
    assert fast.call("POST", f"/volumes/{_one(fast)}/action", body).status == 400


def _one(fast: Rig) -> str:
    found = fast.call("GET", "/volumes?limit=1&status=available").json["volumes"]
    return str(found[0]["id"]) if found else fast.volume()


ATTACHMENTS = (
    {}, {"volume_uuid": "x"}, {"volume_uuid": None}, {"volume_uuid": 5}, {"volume_uuid": NOWHERE, "mode": "x"},
    {"volume_uuid": NOWHERE, "connector": "x"}, {"volume_uuid": NOWHERE, "connector": []},
    {"volume_uuid": NOWHERE, "bogus": 1},
    {"volume_uuid": NOWHERE, "instance_uuid": "x"}, {"volume_uuid": NOWHERE, "connector": {"host": "a\0b"}},
    {"volume_uuid": NOWHERE, "connector": {str(n): 1 for n in range(100)}},
)  # fmt: skip


@pytest.mark.parametrize("asked", ATTACHMENTS, ids=lambda asked: str(asked)[:60])
def test_attachments_that_make_no_sense(fast: Rig, asked: object) -> None:
    assert fast.call("POST", "/attachments", {"attachment": asked}).status == 400


def test_a_connector_may_hold_anything(rig: Rig) -> None:
    odd = {"host": "h", "nested": {"deep": [1, None, "\u2603", "a\\u0000b"]}, "system uuid": "x", "mode": 5}
    id = rig.volume()
    reply = rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id, "instance_uuid": "", "connector": odd}})
    assert reply.status in (200, 400)


VALUES = ("nonesuch", NOWHERE, "%2e%2e", "a%20b", "%F0%9F%92%A3", "x" * 3000, "'; DROP TABLE volumes; --", "%00")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:20])
def test_no_path_breaks_anything(rig: Rig, value: str) -> None:
    """
    Every route with a parameter, asked with what no client should ask: never a 5xx but the 501 of what is to come.
    """
    for route in ROUTES:
        if "{" not in route.path:
            continue
        path = "/".join(value if part.startswith("{") else part for part in route.path.split("/"))
        body = {route.action: None} if route.action else {"x": None} if route.method in ("POST", "PUT") else None
        reply = rig.call(route.method, path.replace(" ", "%20"), body, "admin")
        assert reply.status < 500, (route.method, route.path, reply.body)
        if reply.body and reply.headers["content-type"] == "application/json":
            json.loads(reply.body)
