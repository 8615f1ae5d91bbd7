"""Another type for a volume: what it changes at once, and what attachments keep it from changing."""

from typing import Any

import pytest

from moorage.volumes import quota
from tests.api.block_storage.test_old_calls import act, does
from tests.volumes.rig import DEMO, Reply, Rig
from tests.volumes.test_together import at_once

SHARED = {"multiattach": "<is> True"}


def kind(rig: Rig, name: str, qos: dict[str, str] | None = None, **specs: str) -> str:
    """A new volume type of this name."""
    body = {"volume_type": {"name": name, "extra_specs": specs}}
    id = str(rig.call("POST", "/types", body, "admin").json["volume_type"]["id"])
    if qos:
        made = rig.call("POST", "/qos-specs", {"qos_specs": {"name": f"qos-{name}", **qos}}, "admin").json["qos_specs"]
        associated = rig.call("GET", f"/qos-specs/{made['id']}/associate?vol_type_id={id}", as_="admin")
        assert associated.status == 202, associated.body
    return id


def to(rig: Rig, id: str, name: str, as_: str = "demo", policy: str | None = "never") -> Reply:
    return act(rig, id, "retype", {"new_type": name, "migration_policy": policy}, as_)


def shown(rig: Rig, id: str) -> dict[str, Any]:
    volume: dict[str, Any] = rig.call("GET", f"/volumes/{id}").json["volume"]
    return volume


def test_a_type_brings_its_flag_and_its_quota(rig: Rig) -> None:
    kind(rig, "plain")
    many = kind(rig, "many", **SHARED)
    id = rig.volume(volume_type="plain", size=2)
    assert to(rig, id, many).status == 202
    assert (shown(rig, id)["volume_type"], shown(rig, id)["multiattach"]) == ("many", True)
    with rig.database.read() as tx:
        assert quota.usage(tx, DEMO) == quota.recount(tx, DEMO)
        assert quota.usage(tx, DEMO)[f"gigabytes:{many}"] == 2
    first, second = rig.attach(id, host="h1"), rig.attach(id, host="h2")
    refused = to(rig, id, "plain")
    assert refused.status == 400 and first["id"] in refused.message and second["id"] in refused.message
    assert shown(rig, id)["multiattach"] is True
    for claim in (first, second):
        rig.call("DELETE", f"/attachments/{claim['id']}")
    assert to(rig, id, "plain").status == 202 and shown(rig, id)["multiattach"] is False


def test_an_attached_volume_changes_to_what_its_holders_were_told(fast: Rig) -> None:
    slow, same = {"consumer": "front-end", "read_iops_sec": "10"}, {"consumer": "back-end", "x": "y"}
    kind(fast, "first")
    kind(fast, "slow", slow)
    kind(fast, "inside", same)
    id = fast.volume(volume_type="first")
    fast.attach(id, host="h1")
    assert to(fast, id, "slow").status == 400
    assert to(fast, id, "inside", policy=None).status == 202
    assert shown(fast, id)["volume_type"] == "inside" and fast.status(id) == "in-use"


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"new_type": "nonesuch"}, 404, "Volume type with name nonesuch could not be found."),
        ({"new_type": "files"}, 400, "requested type has to be different"),
        ({"new_type": "large"}, 400, "GiB"),
        ({"new_type": "elsewhere", "migration_policy": "on-demand"}, 400, "No backend is called nowhere"),
        ({}, 400, "new_type"),
        ({"new_type": ""}, 400, "new_type"),
        ({"new_type": "large", "migration_policy": "always"}, 400, "migration_policy"),
    ],
)
def test_what_is_refused(fast: Rig, asked: dict[str, Any], status: int, said: str) -> None:
    for name, specs in (
        ("large", {"provisioning:min_vol_size": "5", "provisioning:max_vol_size": "9"}),
        ("elsewhere", {"volume_backend_name": "nowhere"}),
    ):
        fast.call("POST", "/types", {"volume_type": {"name": name, "extra_specs": specs}}, "admin")
    id = fast.volume()
    refused = act(fast, id, "retype", asked)
    assert refused.status == status and said in refused.message, refused.message
    assert shown(fast, id)["volume_type"] == "files"


def test_a_volume_in_another_state_keeps_its_type(fast: Rig) -> None:
    kind(fast, "other")
    id = fast.volume()
    does(fast, id, "reserve")
    refused = to(fast, id, "other")
    assert refused.status == 400 and "In the way: attachment" in refused.message
    assert to(fast, id, "other", "other").status == 404 and to(fast, id, "other", "reader").status == 403


def test_a_type_without_room_is_refused(fast: Rig) -> None:
    kind(fast, "scarce")
    limit = {"quota_set": {"volumes_scarce": 0}}
    assert fast.call("PUT", f"/os-quota-sets/{DEMO}", limit, "admin").status == 200
    id = fast.volume()
    assert to(fast, id, "scarce").status == 413 and shown(fast, id)["volume_type"] == "files"
    with fast.database.read() as tx:
        assert quota.usage(tx, DEMO) == quota.recount(tx, DEMO)


def test_a_second_holder_and_a_type_for_one_do_not_both_win(rig: Rig) -> None:
    kind(rig, "single")
    for _ in range(5):
        id = rig.volume(volume_type="multiattach")
        asked = {"attachment": {"volume_uuid": id}}
        calls = [lambda id=id: to(rig, id, "single")] + [
            lambda asked=asked: rig.call("POST", "/attachments", asked)
        ] * 3
        retyped, *made = at_once(lambda n, calls=calls: calls[n](), 4)
        won = sum(reply.status == 200 for reply in made)
        assert won == (1 if retyped.status == 202 else 3), (retyped.status, [reply.status for reply in made])
        assert shown(rig, id)["multiattach"] is (retyped.status != 202)


def test_a_bootable_volume_is_attached_once_more_by_whoever_may(fast: Rig) -> None:
    id = fast.volume(volume_type="multiattach")
    assert act(fast, id, "set_bootable", {"bootable": True}).status == 200
    fast.attach(id, host="h1")
    asked = {"attachment": {"volume_uuid": id}}
    assert fast.call("POST", "/attachments", asked, "reader").status == 403
    assert fast.call("POST", "/attachments", asked).status == 200
    assert act(fast, id, "set_bootable", {"bootable": False}).status == 200
    assert act(fast, id, "update_readonly_flag", {"readonly": True}).status == 400
