"""Attachments as clients see them: Compute's order of calls, several holders, secrets, and who may take one away."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from moorage.volumes.attachments import loss
from tests.volumes.rig import HOST, Rig, running

SERVER, ANOTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
CONNECTOR = {
    "host": "h1",
    "ip": "127.0.0.1",
    "platform": "x86_64",
    "os_type": "linux",
    "multipath": False,
    "initiator": "iqn.x",
    "nbd": True,
}
BRICK = {name: value for name, value in CONNECTOR.items() if name != "nbd"}  # as os-brick makes it


def reserve(rig: Rig, id: str, as_: str = "demo", **more: object) -> dict[str, object]:
    reply = rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id, **more}}, as_)
    assert reply.status == 200, reply.body
    claim: dict[str, object] = reply.json["attachment"]
    return claim


def test_the_order_of_compute(rig: Rig) -> None:
    id = rig.volume()
    claim = reserve(rig, id, instance_uuid=SERVER)
    assert claim["connection_info"] == {} and claim["attach_mode"] == "null" and claim["attached_at"] == ""
    assert (claim["status"], rig.status(id)) == ("reserved", "reserved")
    at = f"/attachments/{claim['id']}"
    updated = rig.call("PUT", at, {"attachment": {"connector": CONNECTOR}}, version="3.44").json["attachment"]
    info = updated["connection_info"]
    assert (info["driver_volume_type"], info["attachment_id"], info["access_mode"]) == ("nbd", claim["id"], "rw")
    assert (updated["status"], rig.status(id)) == ("attaching", "attaching")
    assert rig.call("POST", f"{at}/action", {"os-complete": None}, version="3.44").status == 204
    seen = rig.call("GET", f"/volumes/{id}", as_="nova").json["volume"]
    assert seen["status"] == "in-use"
    (attached,) = seen["attachments"]
    assert (attached["id"], attached["attachment_id"], attached["server_id"]) == (id, claim["id"], SERVER)
    assert attached["host_name"] == "h1"
    assert rig.call("GET", f"/volumes/{id}").json["volume"]["attachments"][0]["host_name"] is None
    gone = rig.call("DELETE", at, as_="nova", version="3.44")
    assert (gone.status, gone.json) == (200, {"attachments": []})
    assert rig.status(id) == "available" and rig.backend.survey() == {}
    assert rig.call("DELETE", at).message.endswith(f"attachment_id = {claim['id']}.")


def test_a_user_does_not_take_a_server_its_volume(rig: Rig) -> None:
    id = rig.volume()
    claim = rig.attach(id, instance=SERVER, host="h")
    at = f"/attachments/{claim['id']}"
    refused = rig.call("DELETE", at)
    assert refused.status == 409 and f"Detach volume from instance {SERVER} using the Compute API" in refused.message
    assert rig.call("DELETE", at, as_="friend").status == 409
    assert rig.call("DELETE", at, as_="admin").status == 200
    only_reserved = reserve(rig, id, instance_uuid=SERVER)
    assert rig.call("DELETE", f"/attachments/{only_reserved['id']}").status == 200


def test_a_cloud_without_compute_may_allow_it(database_url: str, state_dir: object) -> None:
    with running(database_url, state_dir, no_compute="allow") as rig:  # type: ignore[arg-type]
        claim = rig.attach(rig.volume(), instance=SERVER, host="h")
        assert rig.call("DELETE", f"/attachments/{claim['id']}").status == 200


def test_the_refusal_that_clients_parse(rig: Rig) -> None:
    id = rig.volume()
    claim = reserve(rig, id)
    refused = rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id}})
    text = f"Invalid volume: Volume {id} status must be available or downloading to reserve, "
    text += "but the current status is reserved."
    assert (refused.status, refused.message) == (400, f"{text} In the way: attachment {claim['id']}.")


def test_a_server_may_hold_its_volume_twice_and_another_may_not(rig: Rig) -> None:
    id = rig.volume()
    rig.attach(id, instance=SERVER, host="h1")
    moved = reserve(rig, id, instance_uuid=SERVER, connector={**CONNECTOR, "host": "h2"})
    assert moved["connection_info"] and rig.status(id) == "in-use"
    refused = rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id, "instance_uuid": ANOTHER}})
    assert refused.status == 400 and "the current status is in-use" in refused.message


def test_siblings_come_and_go_by_themselves(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")
    first, second = rig.attach(id, host="h1"), reserve(rig, id, mode="ro", connector={**CONNECTOR, "host": "h2"})
    assert (rig.status(id), second["attach_mode"]) == ("in-use", "ro")
    assert second["connection_info"]["access_mode"] == "ro"  # type: ignore[index]
    assert len(rig.backend.survey()[id].exports) == 2
    left = rig.call("DELETE", f"/attachments/{first['id']}").json["attachments"]
    assert [one["id"] for one in left] == [second["id"]]
    assert rig.backend.survey()[id].exports == {second["id"]}
    assert rig.call("DELETE", f"/volumes/{id}").status == 400


def test_the_same_connector_keeps_its_export_and_another_gets_a_new_one(rig: Rig) -> None:
    id = rig.volume()
    at = f"/attachments/{reserve(rig, id)['id']}"
    first = rig.call("PUT", at, {"attachment": {"connector": CONNECTOR}})
    again = rig.call("PUT", at, {"attachment": {"connector": CONNECTOR}})
    assert first.json == again.json and first.headers["moorage-generation"] == "1"
    other = rig.call("PUT", at, {"attachment": {"connector": {**CONNECTOR, "host": "h2"}}})
    assert other.headers["moorage-generation"] == "2"
    assert (
        other.json["attachment"]["connection_info"]["export"] != first.json["attachment"]["connection_info"]["export"]
    )
    assert len(rig.backend.survey()[id].exports) == 1
    done = rig.call("POST", f"{at}/action", {"os-complete": None}, moorage_generation="2")
    assert (done.status, done.headers["moorage-generation"]) == (204, "2")


def test_a_stale_holders_calls_are_refused_with_the_reason(rig: Rig) -> None:
    id = rig.volume()
    at = f"/attachments/{reserve(rig, id, connector=CONNECTOR)['id']}"
    stolen = {"attachment": {"connector": {**CONNECTOR, "host": "h2"}}}
    assert rig.call("PUT", at, stolen).headers["moorage-generation"] == "2"
    door = rig.backend.survey()[id].exports
    for method, path, body in (
        ("POST", f"{at}/action", {"os-complete": None}),
        ("PUT", at, {"attachment": {"connector": CONNECTOR}}),
        ("DELETE", at, None),
    ):
        stale = rig.call(method, path, body, moorage_generation="1")
        assert (stale.status, list(stale.json)) == (409, ["conflictingRequest"])
        assert "generation 2 now, and 1 is over: somebody else was given a door" in stale.message
    assert rig.call("GET", at).headers["moorage-generation"] == "2" and rig.backend.survey()[id].exports == door
    assert rig.call("PUT", at, stolen, moorage_generation="2").status == 200
    assert rig.call("DELETE", at, moorage_generation="x").status == 400
    assert rig.call("DELETE", at, moorage_generation="2").status == 200


def test_who_lost_his_door_learns_why(rig: Rig) -> None:
    id = rig.volume()
    claim = rig.attach(id, **CONNECTOR)
    with rig.database.write() as tx:
        loss.lose(tx, id, [claim["id"]], "The machine burnt down.")
    stale = rig.call("DELETE", f"/attachments/{claim['id']}", moorage_generation="1")
    assert stale.status == 409 and "The machine burnt down." in stale.message


def test_of_two_who_take_over_one_is_told_that_he_was_late(rig: Rig) -> None:
    at = f"/attachments/{reserve(rig, rig.volume(), connector=CONNECTOR)['id']}"
    barrier = threading.Barrier(4)

    def take(host: str) -> int:
        barrier.wait()
        body = {"attachment": {"connector": {**CONNECTOR, "host": host}}}
        return rig.call("PUT", at, body, moorage_generation="1").status

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take, ["h2", "h3", "h4", "h5"])) == [200, 409, 409, 409]
    assert rig.call("GET", at).headers["moorage-generation"] == "2"


def test_one_that_completes_without_a_connector(rig: Rig) -> None:
    id = rig.volume()
    claim = reserve(rig, id, instance_uuid=SERVER)
    at = f"/attachments/{claim['id']}"
    assert rig.call("POST", f"{at}/action", {"os-complete": claim["id"]}).status == 204
    assert rig.call("POST", f"{at}/action", {"os-complete": None}).status == 204
    assert rig.status(id) == "in-use"
    assert rig.call("DELETE", at).status == 200
    assert rig.status(id) == "available"


def test_the_secret_is_for_its_creator(rig: Rig) -> None:
    claim = reserve(rig, rig.volume(), connector={"nbd": True})
    at = f"/attachments/{claim['id']}"
    assert claim["connection_info"]["tls_psk"]  # type: ignore[index]
    for as_, sees in (("demo", True), ("admin", True), ("friend", False), ("reader", False), ("nova", True)):
        shown = rig.call("GET", at, as_=as_)
        info = shown.json["attachment"]["connection_info"]
        assert ("tls_psk" in info, "uri" in info, "export" in info) == (sees, sees, sees), as_
        listed = rig.call("GET", "/attachments/detail?all_tenants=1", as_=as_)
        assert claim["connection_info"]["tls_psk"].encode() not in listed.body  # type: ignore[index]
        assert b"uri" not in listed.body
    with rig.database.read() as tx:
        from sqlalchemy import text

        assert claim["connection_info"]["tls_psk"] not in str(tx.all(text("SELECT facts FROM events")))  # type: ignore[index]
        assert claim["connection_info"]["tls_psk"] not in str(tx.all(text("SELECT input, results FROM operations")))  # type: ignore[index]


@pytest.mark.parametrize(
    ("as_", "connector", "door"),
    [
        ("demo", {"nbd": True}, "tls"),
        ("demo", {"nbd": True, "host": HOST}, "tls"),
        ("admin", {"nbd": True, "host": HOST}, "socket"),
        ("admin", {"nbd": True, "host": "elsewhere"}, "tls"),
        ("nova", {"nbd": True, "host": HOST}, "socket"),
        ("nova", {"nbd": True, "local": True, "host": HOST}, "socket"),
        ("nova", {"moorage": True, "host": HOST}, "private"),
    ],
)
def test_who_gets_which_door(fast: Rig, as_: str, connector: dict[str, object], door: str) -> None:
    owner = "admin" if as_ == "admin" else "demo"
    claim = reserve(fast, fast.volume(owner), as_, connector=connector)
    info = claim["connection_info"]
    assert info["door"] == door and ("tls_psk" in info) == (door == "tls")  # type: ignore[index,operator]
    assert info["driver_volume_type"] == "nbd" and "device_path" not in info  # type: ignore[index,operator]


@pytest.mark.parametrize("as_", ["admin", "nova"])
@pytest.mark.parametrize("more", [{}, {"local": True}, {"nbd": False}, {"mountpoint": "/dev/vdb", "mode": "ro"}])
def test_what_os_brick_takes_from_whoever_may_have_a_device(fast: Rig, as_: str, more: dict[str, object]) -> None:
    claim = reserve(fast, fast.volume("admin" if as_ == "admin" else "demo"), as_)
    asked = {"attachment": {"connector": {**BRICK, "host": HOST, **more}}}
    updated = fast.call("PUT", f"/attachments/{claim['id']}", asked, as_).json["attachment"]
    info, device = updated["connection_info"], fast.devices.present()[str(claim["id"])]
    assert (info["driver_volume_type"], info["device_path"]) == ("local", device.path)
    assert (info["access_mode"] == "ro", updated["attach_mode"] == "ro") == (device.read_only, device.read_only)
    assert not {"uri", "export", "socket", "port", "tls_psk", "data"} & set(info)
    assert (info["attachment_id"], info["encrypted"], info["qos_specs"]) == (claim["id"], False, None)
    assert fast.call("DELETE", f"/attachments/{claim['id']}", as_=as_).status == 200
    assert str(claim["id"]) not in fast.devices.present()


def test_each_attachment_has_a_device_of_its_own(fast: Rig) -> None:
    id = fast.volume(volume_type="multiattach")
    claims = [reserve(fast, id, "nova", connector={**BRICK, "host": HOST}) for _ in range(3)]
    paths = [claim["connection_info"]["device_path"] for claim in claims]  # type: ignore[index]
    assert len(set(paths)) == 3
    assert fast.call("DELETE", f"/attachments/{claims[1]['id']}", as_="nova").status == 200
    present = fast.devices.present()
    assert [present[str(claim["id"])].path for claim in claims[::2]] == paths[::2]
    assert str(claims[1]["id"]) not in present


@pytest.mark.parametrize(
    "connector",
    [
        {"ip": "127.0.0.1"},
        {"nbd": False},
        {"nbd": "yes"},
        {"host": ""},
        {"host": None},
        {"moorage": True},
        {"moorage": True, "host": HOST},
        {"local": True, "host": HOST},
        {**BRICK, "host": HOST},
        BRICK,
    ],
)
def test_a_connector_that_offers_nothing_is_told_what_there_is(fast: Rig, connector: dict[str, object]) -> None:
    id = fast.volume()
    at = f"/attachments/{reserve(fast, id)['id']}"
    refused = fast.call("PUT", at, {"attachment": {"connector": connector}})
    assert refused.status == 400 and 'It offers nbd, to a connector with "nbd": true.' in refused.message
    unmade = fast.volume()
    made = fast.call("POST", "/attachments", {"attachment": {"volume_uuid": unmade, "connector": connector}})
    assert made.status == 400 and fast.status(unmade) == "available"


def test_only_who_may_have_a_device_is_told_on_which_host(fast: Rig) -> None:
    asked = {"attachment": {"connector": BRICK}}
    at = f"/attachments/{reserve(fast, fast.volume())['id']}"
    assert f'local, to a connector with "host": "{HOST}"' in fast.call("PUT", at, asked, "nova").message
    assert "local" not in fast.call("PUT", at, asked).message


def test_a_second_holder_of_a_volume_for_one_is_a_duplicate(rig: Rig) -> None:
    id = rig.volume()
    rig.attach(id, instance=SERVER, host="h1")
    second = reserve(rig, id, instance_uuid=SERVER)
    refused = rig.call("PUT", f"/attachments/{second['id']}", {"attachment": {"connector": CONNECTOR}})
    assert refused.status == 409 and "duplicate connectors" in refused.message


def test_a_volume_in_error_takes_no_update_and_gives_its_attachments_back(rig: Rig) -> None:
    id = rig.volume()
    claim = reserve(rig, id)
    rig.call("POST", f"/volumes/{id}/action", {"os-reset_status": {"status": "error"}}, "admin")
    at = f"/attachments/{claim['id']}"
    assert rig.call("PUT", at, {"attachment": {"connector": CONNECTOR}}).status == 409
    assert rig.call("DELETE", at).status == 200


def test_lists_of_attachments(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")
    claims = [str(reserve(rig, id, instance_uuid=SERVER)["id"]) for _ in range(3)]
    summary = rig.call("GET", "/attachments").json["attachments"]
    assert [row["id"] for row in summary] == claims[::-1]
    assert set(summary[0]) == {"id", "status", "instance", "volume_id"}
    assert (
        len(rig.call("GET", f"/attachments?volume_id={id}&status=reserved&instance_id={SERVER}").json["attachments"])
        == 3
    )
    page = rig.call("GET", f"/attachments?limit=1&marker={claims[1]}").json
    assert [row["id"] for row in page["attachments"]] == [claims[0]] and "attachments_links" not in page
    assert rig.call("GET", "/attachments?bogus=1").message == "Invalid filters bogus are found in query options."
    assert rig.call("GET", "/attachments?marker=nonesuch").status == 404
    assert rig.call("GET", "/attachments", as_="other").json == {"attachments": []}
    assert rig.call("GET", f"/attachments/{claims[0]}", as_="other").status == 404
    assert len(rig.call("GET", "/attachments?all_tenants=True", as_="admin").json["attachments"]) == 3


def test_the_calls_that_came_later(fast: Rig) -> None:
    id = fast.volume()
    assert fast.call("POST", "/attachments", {"attachment": {"volume_uuid": id}}, version="3.26").status == 404
    moded = {"attachment": {"volume_uuid": id, "mode": "ro"}}
    assert fast.call("POST", "/attachments", moded, version="3.53").status == 400
    claim = reserve(fast, id, mode="ro")
    assert fast.call("POST", f"/attachments/{claim['id']}/action", {"os-complete": None}, version="3.43").status == 404
