"""The calls that name no attachment, in the orders in which clients make them, alone and mixed with those that do."""

from typing import Any

import pytest

from moorage.core.caller import Caller
from moorage.core.errors import Unavailable
from moorage.flows.why import why
from moorage.volumes.attachments import attachment, guard
from tests.volumes.rig import CALLERS, DEMO, HOST, Reply, Rig
from tests.volumes.test_together import at_once

SERVER, ANOTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
PLACE = {"host": "h1", "ip": "127.0.0.1", "initiator": "iqn.x", "multipath": False, "nbd": True}
ELSEWHERE = {**PLACE, "host": "h2", "initiator": "iqn.y"}
NOT_DETACHABLE = (
    "Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach."
)


def act(rig: Rig, id: str, name: str, what: Any = None, as_: str = "demo") -> Reply:
    return rig.call("POST", f"/volumes/{id}/action", {f"os-{name}": what}, as_)


def does(rig: Rig, id: str, name: str, what: Any = None, as_: str = "demo") -> str:
    """Let a call that succeeds be made; the volume's status after it."""
    reply = act(rig, id, name, what, as_)
    assert reply.status == (200 if name == "initialize_connection" else 202), reply.body
    return rig.status(id)


def connect(rig: Rig, id: str, connector: dict[str, Any] = PLACE, as_: str = "demo") -> dict[str, Any]:
    reply = act(rig, id, "initialize_connection", {"connector": connector}, as_)
    assert reply.status == 200, reply.body
    info: dict[str, Any] = reply.json["connection_info"]
    return info


def to(server: str | None = None, host: str | None = None, **more: str) -> dict[str, str]:
    whom = {"instance_uuid": server} if server else {"host_name": host or "h1"}
    return {"mountpoint": "/dev/vdb", **whom, **more}


def listed(rig: Rig, id: str) -> list[dict[str, Any]]:
    return list(rig.call("GET", f"/attachments/detail?volume_id={id}", as_="nova").json["attachments"])


def shown(rig: Rig, id: str) -> list[dict[str, Any]]:
    return list(rig.call("GET", f"/volumes/{id}", as_="nova").json["volume"]["attachments"])


def doors(rig: Rig, id: str) -> int:
    """How many doors to the volume stand open."""
    served = rig.backend.survey().get(id)
    return len(served.exports) if served else 0


def held(rig: Rig, id: str) -> list[Any]:
    with rig.database.read() as tx:
        return attachment.held(tx, id)


def test_the_order_of_compute_before_attachments_had_ids(rig: Rig) -> None:
    id = rig.volume()
    assert does(rig, id, "reserve", as_="nova") == "attaching"
    assert listed(rig, id) == shown(rig, id) == []
    info = connect(rig, id, as_="nova")
    assert (info["driver_volume_type"], info["data"]["access_mode"], info["enforce_multipath"]) == ("nbd", "rw", False)
    assert (rig.status(id), listed(rig, id), doors(rig, id)) == ("attaching", [], 1)
    assert does(rig, id, "attach", to(SERVER, mode="rw"), "nova") == "in-use"
    (attached,), (one,) = shown(rig, id), listed(rig, id)
    assert (attached["server_id"], attached["host_name"], attached["device"]) == (SERVER, "h1", "/dev/vdb")
    assert (one["id"], one["status"], one["attach_mode"]) == (attached["attachment_id"], "attached", "rw")
    assert does(rig, id, "begin_detaching", as_="nova") == "detaching"
    assert len(shown(rig, id)) == 1 and doors(rig, id) == 1
    assert does(rig, id, "terminate_connection", {"connector": PLACE}, "nova") == "detaching"
    assert (doors(rig, id), len(listed(rig, id))) == (0, 1)
    assert does(rig, id, "detach", {"attachment_id": one["id"]}, "nova") == "available"
    assert listed(rig, id) == [] and held(rig, id) == []


def test_the_order_of_terraform(rig: Rig) -> None:
    id = rig.volume()
    assert connect(rig, id)["data"]["tls_psk"]
    assert does(rig, id, "attach", to(host="h1", mode="rw")) == "in-use"
    (one,) = listed(rig, id)
    assert does(rig, id, "terminate_connection", {"connector": PLACE}) == "detaching"
    assert does(rig, id, "detach", {"attachment_id": one["id"]}) == "available"
    assert does(rig, id, "detach", {"attachment_id": one["id"]}) == "available"  # again, as after a lost answer
    assert doors(rig, id) == 0


def test_the_order_of_tempest(rig: Rig) -> None:
    id = rig.volume()
    assert does(rig, id, "attach", to(SERVER)) == "in-use"
    assert does(rig, id, "attach", to(SERVER)) == "in-use" and len(listed(rig, id)) == 1
    assert does(rig, id, "detach", {}) == "available"


def test_a_walk_that_was_recorded(rig: Rig) -> None:
    """Each call of the walk through the real service, and what that answered."""
    id = rig.volume()
    # fmt: off
    walk = (
        ("reserve",               None,                             202),
        ("reserve",               None,                             400),
        ("unreserve",             None,                             202),
        ("unreserve",             None,                             202),
        ("reserve",               {},                               202),
        ("initialize_connection", {"connector": PLACE},             200),
        ("attach",                to(SERVER, mode="rw"),            202),
        ("begin_detaching",       None,                             202),
        ("roll_detaching",        None,                             202),
        ("begin_detaching",       {},                               202),
        ("terminate_connection",  {"connector": PLACE},             202),
        ("detach",                {},                               202),
        ("attach",                to(host="h9", mode="ro"),         202),
        ("detach",                {"attachment_id": SERVER},        409),
        ("detach",                {},                               202),
        ("force_detach",          {},                               403),
    )
    # fmt: on
    for name, what, status in walk:
        assert act(rig, id, name, what).status == status, name
    assert rig.status(id) == "available" and held(rig, id) == []


def test_what_is_said_of_a_volume_that_is_held(fast: Rig) -> None:
    id = fast.volume()
    does(fast, id, "reserve")
    (hold,) = held(fast, id)
    refused = act(fast, id, "reserve")
    said = "Invalid volume: Volume status must be available to reserve, but the status is attaching."
    assert (refused.status, refused.message) == (400, f"{said} In the way: attachment {hold['id']}.")
    refused = fast.call("POST", "/attachments", {"attachment": {"volume_uuid": id}})
    assert refused.status == 400 and "but the current status is attaching." in refused.message
    assert hold["id"] in refused.message
    assert fast.call("DELETE", f"/volumes/{id}").status == 400
    assert act(fast, id, "initialize_connection", {"connector": PLACE}, "other").status == 404
    assert act(fast, id, "reserve", as_="reader").status == 403
    does(fast, id, "unreserve")
    refused = act(fast, id, "begin_detaching")
    assert (refused.status, refused.message) == (400, f"Invalid volume: {NOT_DETACHABLE}")


def test_why_tells_of_a_hold_and_of_what_is_leaving(fast: Rig) -> None:
    id = fast.volume()
    does(fast, id, "reserve")
    (hold,) = held(fast, id)
    with fast.database.read() as tx:
        assert "os-reserve keeps the volume" in why(tx, CALLERS["demo"], "attachment", hold["id"]).sentence
        (blocker,) = why(tx, CALLERS["demo"], "volume", id).blockers
        assert (blocker.kind, blocker.id) == ("attachment", hold["id"])
    connect(fast, id)
    with fast.database.read() as tx:
        told = why(tx, CALLERS["demo"], "attachment", hold["id"])
        assert "os-initialize_connection" in told.sentence and "os-terminate_connection" in told.next
    does(fast, id, "attach", to(host="h1"))
    does(fast, id, "begin_detaching")
    with fast.database.read() as tx:
        assert "begun to detach" in why(tx, CALLERS["demo"], "attachment", hold["id"]).sentence


def test_a_hold_ends_with_its_connection(rig: Rig) -> None:
    id = rig.volume()
    first, again = connect(rig, id), connect(rig, id, {**PLACE, "mountpoint": "/mnt"})
    assert first == again and doors(rig, id) == 1
    assert act(rig, id, "initialize_connection", {"connector": ELSEWHERE}).status == 400
    assert does(rig, id, "terminate_connection", {"connector": ELSEWHERE}) == "attaching" and doors(rig, id) == 1
    assert does(rig, id, "terminate_connection", {"connector": PLACE}) == "available" and doors(rig, id) == 0
    assert does(rig, id, "terminate_connection", {"connector": PLACE}) == "available"
    connect(rig, id)
    assert does(rig, id, "unreserve") == "available" and doors(rig, id) == 0
    connect(rig, id)
    assert does(rig, id, "detach", {}) == "available" and doors(rig, id) == 0


def test_a_connection_that_fails_leaves_what_there_was(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: object) -> None:
        raise Unavailable(reason="broken")

    fresh, reserved = rig.volume(), rig.volume()
    does(rig, reserved, "reserve")
    with monkeypatch.context() as patched:
        patched.setattr(rig.backend, "publish", broken)
        for id in (fresh, reserved):
            assert act(rig, id, "initialize_connection", {"connector": PLACE}).status == 503
    assert (rig.status(fresh), held(rig, fresh)) == ("available", [])
    assert (rig.status(reserved), [claim["state"] for claim in held(rig, reserved)]) == ("attaching", ["reserved"])
    connect(rig, reserved)
    assert does(rig, reserved, "attach", to(host="h1")) == "in-use"


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ({"mountpoint": "/dev/vdb"}, 400),
        ({"mountpoint": "/dev/vdb", "instance_uuid": SERVER, "host_name": "h"}, 400),
        ({"mountpoint": "/dev/vdb", "instance_uuid": "x"}, 400),
        ({"instance_uuid": SERVER}, 400),
        ({"mountpoint": "", "instance_uuid": SERVER}, 400),
        ({"mountpoint": "/dev/vdb", "instance_uuid": SERVER, "mode": "wr"}, 400),
        ({"mountpoint": "/dev/vdb", "instance_uuid": None, "host_name": "h"}, 202),
    ],
)
def test_to_whom_a_volume_is_attached_is_said_once(fast: Rig, what: dict[str, Any], status: int) -> None:
    assert act(fast, fast.volume(), "attach", what).status == status


@pytest.mark.parametrize(
    ("readonly", "connector", "asked", "status", "mode"),
    [
        (True, None, "rw", 400, None),
        (True, None, "ro", 202, "ro"),
        (True, None, None, 202, "ro"),
        (True, {}, None, 202, "ro"),
        (False, {"mode": "ro"}, "rw", 400, None),
        (False, {"mode": "ro"}, "ro", 202, "ro"),
        (False, {}, "ro", 400, None),
        (False, {}, None, 202, "rw"),
        (False, None, "ro", 202, "ro"),
    ],
)
def test_an_attachment_never_has_another_mode_than_its_door(
    fast: Rig, readonly: bool, connector: dict[str, Any] | None, asked: str | None, status: int, mode: str | None
) -> None:
    id = fast.volume()
    if readonly:
        act(fast, id, "update_readonly_flag", {"readonly": True})
    if connector is not None:
        connect(fast, id, {**PLACE, **connector})
    whom = to(host="h1", **({"mode": asked} if asked else {}))
    reply = act(fast, id, "attach", whom)
    assert reply.status == status, reply.body
    assert [one["attach_mode"] for one in listed(fast, id)] == ([mode] if mode else [])
    if status == 400:
        assert "Invalid attaching mode" in reply.message


def test_a_volume_that_another_has_is_not_attached(rig: Rig) -> None:
    id = rig.volume()
    does(rig, id, "attach", to(SERVER))
    (one,) = listed(rig, id)
    refused = act(rig, id, "attach", to(ANOTHER))
    assert refused.status == 400 and "already attached" in refused.message and one["id"] in refused.message
    assert act(rig, id, "attach", to(host="h1")).status == 400
    rig.call("POST", f"/volumes/{id}/action", {"os-reset_status": {"status": "error"}}, "admin")
    assert act(rig, id, "attach", to(SERVER)).status == 400
    assert act(rig, id, "detach", {}).status == 202


def test_siblings_are_not_locked_out(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")
    does(rig, id, "reserve")
    assert does(rig, id, "reserve") == "attaching"
    sibling = rig.attach(id, host="s1")
    assert rig.status(id) == "in-use"
    connect(rig, id)
    connect(rig, id, ELSEWHERE)
    assert doors(rig, id) == 3 and all(claim["connector"] for claim in held(rig, id))
    does(rig, id, "attach", to(host="h1"))
    assert does(rig, id, "begin_detaching") == "in-use"
    assert rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id}}).status == 200
    does(rig, id, "attach", to(host="h2"))
    for place in (PLACE, ELSEWHERE):
        does(rig, id, "terminate_connection", {"connector": place})
    assert rig.backend.survey()[id].exports == {sibling["id"]}
    refused = act(rig, id, "detach", {})
    assert refused.status == 409 and sibling["id"] in refused.message
    for one in listed(rig, id):
        does(rig, id, "detach", {"attachment_id": one["id"]})
    assert rig.status(id) == "available" and doors(rig, id) == 0


def test_what_could_be_anothers_is_not_touched(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")
    connect(rig, id)
    connect(rig, id, ELSEWHERE)
    does(rig, id, "attach", to(SERVER))  # which of the two doors is this server's? it gets neither
    (one,) = listed(rig, id)
    assert one["connection_info"] == {} and doors(rig, id) == 2
    does(rig, id, "unreserve")
    does(rig, id, "detach", {"attachment_id": one["id"]})
    assert doors(rig, id) == 2
    for place in (PLACE, ELSEWHERE):
        does(rig, id, "terminate_connection", {"connector": place})
    assert rig.status(id) == "available" and doors(rig, id) == 0


def test_all_of_several_that_mean_to_leave(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")
    for host in ("h1", "h2"):
        does(rig, id, "attach", to(host=host))
    assert does(rig, id, "begin_detaching") == "in-use"
    assert does(rig, id, "begin_detaching") == "detaching"
    assert act(rig, id, "begin_detaching").status == 400
    assert does(rig, id, "roll_detaching") == "in-use"
    assert does(rig, id, "roll_detaching") == "in-use"
    assert does(rig, id, "roll_detaching") == "in-use"


def test_old_and_new_calls_mixed(rig: Rig) -> None:
    id = rig.volume()
    connect(rig, id)
    (hold,) = held(rig, id)
    at = f"/attachments/{hold['id']}"
    assert rig.call("GET", at).json["attachment"]["status"] == "attaching"
    assert rig.call("POST", f"{at}/action", {"os-complete": None}).status == 204
    assert [one["id"] for one in listed(rig, id)] == [hold["id"]] and rig.status(id) == "in-use"
    does(rig, id, "begin_detaching")
    moved = rig.call("PUT", at, {"attachment": {"connector": ELSEWHERE}}).json["attachment"]
    assert moved["status"] == "attaching" and rig.status(id) == "attaching"
    assert does(rig, id, "terminate_connection", {"connector": PLACE}) == "attaching" and doors(rig, id) == 1
    assert does(rig, id, "attach", to(host="h2")) == "in-use"
    assert rig.call("DELETE", at).json == {"attachments": []}
    assert rig.status(id) == "available"
    claim = rig.attach(id, host="h1")
    assert does(rig, id, "detach", {"attachment_id": claim["id"]}) == "available"
    does(rig, id, "reserve")
    (hold,) = held(rig, id)
    assert rig.call("DELETE", f"/attachments/{hold['id']}").status == 200 and rig.status(id) == "available"


def test_one_whose_door_was_closed_is_given_another(rig: Rig) -> None:
    id = rig.volume()
    first = connect(rig, id)["data"]["uri"]
    does(rig, id, "attach", to(host="h1"))
    does(rig, id, "terminate_connection", {"connector": PLACE})
    assert does(rig, id, "roll_detaching") == "in-use"
    assert connect(rig, id)["data"]["uri"] != first
    assert rig.status(id) == "attaching" and doors(rig, id) == 1 and len(listed(rig, id)) == 1
    assert does(rig, id, "attach", to(host="h1")) == "in-use" and len(listed(rig, id)) == 1


def test_a_device_for_who_may_have_one(fast: Rig) -> None:
    id = fast.volume()
    brick = {**PLACE, "host": HOST, "nbd": False}
    info = connect(fast, id, brick, "nova")
    (device,) = [device for claim, device in fast.devices.present().items() if claim == held(fast, id)[0]["id"]]
    assert (info["driver_volume_type"], info["data"]["device_path"]) == ("local", device.path)
    does(fast, id, "terminate_connection", {"connector": brick}, "nova")
    assert device not in fast.devices.present().values()
    assert act(fast, id, "initialize_connection", {"connector": brick}).status == 400
    assert fast.status(id) == "available"


def test_force_is_safe(rig: Rig) -> None:
    id, other = rig.volume(volume_type="multiattach"), rig.volume()
    first, second = rig.attach(id, host="h1"), rig.attach(id, host="h2")
    elsewhere = rig.attach(other, host="h1")
    assert act(rig, id, "force_detach", {"attachment_id": first["id"]}).status == 403
    refused = act(rig, id, "force_detach", {"attachment_id": elsewhere["id"], "connector": PLACE}, "admin")
    assert refused.status == 400 and doors(rig, id) == 2 and doors(rig, other) == 1
    assert act(rig, id, "force_detach", {"connector": None}, "admin").status == 409
    rig.call("POST", f"/volumes/{id}/action", {"os-reset_status": {"status": "error"}}, "admin")
    does(rig, id, "force_detach", {"attachment_id": first["id"], "connector": None}, "admin")
    assert rig.backend.survey()[id].exports == {second["id"]}


# fmt: off
GUARDED = (
    # who       what of the row                             the call                            status
    ("demo",    {"instance": SERVER, "host": "h1"},         ("detach", {}),                     409),
    ("service", {"instance": SERVER, "host": "h1"},         ("detach", {}),                     404),
    ("nova",    {"instance": SERVER, "host": "h1"},         ("detach", {}),                     202),
    ("admin",   {"instance": SERVER, "host": "h1"},         ("detach", {}),                     202),
    ("admin",   {"instance": SERVER, "host": "h1"},         ("force_detach", {}),               202),
    ("demo",    {"instance": SERVER},                       ("detach", {}),                     202),
    ("demo",    {"host": "h1"},                             ("detach", {}),                     202),
    ("demo",    {"instance": SERVER, **PLACE},              ("terminate_connection", {"connector": PLACE}), 409),
    ("nova",    {"instance": SERVER, **PLACE},              ("terminate_connection", {"connector": PLACE}), 202),
    ("demo",    {"instance": SERVER, "host": "h1"},         ("detach", {"attachment_id": ANOTHER}), 409),
    ("nova",    {"instance": SERVER, "host": "h1"},         ("detach", {"attachment_id": ANOTHER}), 202),
)
# fmt: on


@pytest.mark.parametrize(("as_", "row", "call", "status"), GUARDED, ids=str)
def test_who_may_take_a_server_its_volume(
    fast: Rig, as_: str, row: dict[str, Any], call: tuple[str, Any], status: int
) -> None:
    id = fast.volume()
    claim = fast.attach(id, **row)
    reply = act(fast, id, *call, as_=as_)
    assert reply.status == status, reply.body
    if status == 409 and ANOTHER not in str(call):
        said = f"ConflictNovaUsingAttachment: Detach volume from instance {SERVER} using the Compute API"
        assert reply.message == f"{said} In the way: attachment {claim['id']}."
        assert doors(fast, id) == 1 and fast.status(id) == "in-use"


def test_several_and_none_named(fast: Rig) -> None:
    id = fast.volume(volume_type="multiattach")
    claims = [fast.attach(id, host=f"h{n}", instance=server) for n, server in enumerate((SERVER, ANOTHER))]
    for as_ in ("demo", "nova"):
        refused = act(fast, id, "detach", {}, as_)
        assert refused.status == 409 and all(claim["id"] in refused.message for claim in claims)


def test_one_of_many_reserves_a_volume_for_one(rig: Rig) -> None:
    id = rig.volume()
    assert sorted(reply.status for reply in at_once(lambda n: act(rig, id, "reserve"))) == [202] + [400] * 7
    assert len(held(rig, id)) == 1
    replies = at_once(lambda n: act(rig, id, "attach", to(f"{n}1111111-1111-4111-8111-111111111111")))
    assert sorted(reply.status for reply in replies) == [202] + [400] * 7
    assert rig.status(id) == "in-use" and len(listed(rig, id)) == 1


def test_a_detach_and_a_terminate_at_once_leave_nothing(rig: Rig) -> None:
    for _ in range(5):
        id = rig.volume()
        connect(rig, id)
        does(rig, id, "attach", to(host="h1"))
        (one,) = listed(rig, id)
        calls = (
            lambda id=id: act(rig, id, "terminate_connection", {"connector": PLACE}),
            lambda id=id, one=one: act(rig, id, "detach", {"attachment_id": one["id"]}),
            lambda id=id: act(rig, id, "terminate_connection", {"connector": PLACE}),
        )
        assert [reply.status for reply in at_once(lambda n, calls=calls: calls[n](), 3)] == [202] * 3
        assert (rig.status(id), held(rig, id), doors(rig, id)) == ("available", [], 0)


def test_another_tenants_attachment_is_nobodys(fast: Rig) -> None:
    theirs = fast.attach(fast.volume("other"), as_="other", host="h1")
    id = fast.volume()
    refused = act(fast, id, "detach", {"attachment_id": theirs["id"]})
    assert refused.status == 409 and theirs["id"] not in refused.message


def test_a_services_user_without_its_token_is_a_user() -> None:
    member = frozenset({"member", "service"})
    assert not guard.passes(Caller("u", DEMO, roles=member))
    assert guard.passes(Caller("u", DEMO, roles=frozenset({"member"}), service_roles=frozenset({"service"})))


@pytest.mark.parametrize("call", ["os-detach", "os-force_detach"])
def test_a_stale_holder_does_not_detach_what_was_taken_over(rig: Rig, call: str) -> None:
    id = rig.volume()
    claim = rig.attach(id, host="h1")
    taken = {"attachment": {"connector": {"host": "h2", "nbd": True}}}
    assert rig.call("PUT", f"/attachments/{claim['id']}", taken).headers["moorage-generation"] == "2"
    path = f"/volumes/{id}/action"
    for asked in ({"attachment_id": claim["id"]}, {}):
        stale = rig.call("POST", path, {call: asked}, "admin", moorage_generation="1")
        assert stale.status == 409 and "generation 2 now" in stale.message
    assert len(rig.backend.survey()[id].exports) == 1
    assert rig.call("POST", path, {call: {}}, "admin", moorage_generation="2").status == 202
    assert rig.status(id) == "available"
