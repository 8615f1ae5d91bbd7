"""The calls that name no attachment, made again, made late, and made of what other calls have opened."""

from types import SimpleNamespace
from typing import Any

import pytest

from moorage.api.block_storage import actions_attachment
from moorage.flows.attachments.publish_attachment import Overtaken
from tests.api.block_storage.test_old_calls import (
    ELSEWHERE,
    PLACE,
    SERVER,
    act,
    connect,
    does,
    doors,
    held,
    listed,
    to,
)
from tests.volumes.rig import CALLERS, Rig


def test_what_is_only_open_is_reserved_again_once_its_connection_is_terminated(rig: Rig) -> None:
    id = rig.volume()
    asked = {"volume_uuid": id, "instance_uuid": SERVER, "connector": PLACE}
    claim = rig.call("POST", "/attachments", {"attachment": asked}, "nova").json["attachment"]
    assert act(rig, id, "terminate_connection", {"connector": PLACE}).status == 409 and doors(rig, id) == 1
    assert does(rig, id, "terminate_connection", {"connector": PLACE}, "nova") == "reserved"
    (one,) = listed(rig, id)
    assert (one["id"], one["status"], one["connection_info"], doors(rig, id)) == (claim["id"], "reserved", {}, 0)
    again = rig.call("PUT", f"/attachments/{claim['id']}", {"attachment": {"connector": PLACE}}, "nova")
    assert (again.status, again.headers["moorage-generation"], doors(rig, id)) == (200, "2", 1)


def test_one_who_connects_again_is_closed_again(rig: Rig) -> None:
    id = rig.volume()
    for _ in range(2):
        connect(rig, id)
        if not listed(rig, id):
            does(rig, id, "attach", to(host="h1"))
        assert does(rig, id, "terminate_connection", {"connector": PLACE}) == "detaching" and doors(rig, id) == 0
    assert does(rig, id, "attach", to(host="h1")) == "in-use"


def test_a_call_that_is_made_again_does_not_end_a_neighbours_hold(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")
    connect(rig, id)
    does(rig, id, "attach", to(host="h1"))
    does(rig, id, "reserve", as_="admin")
    does(rig, id, "reserve")
    for _ in range(2):
        does(rig, id, "terminate_connection", {"connector": PLACE})
        assert len(held(rig, id)) == 3
    for left in (2, 2):
        does(rig, id, "unreserve")
        assert len(held(rig, id)) == left
    does(rig, id, "terminate_connection", {"connector": ELSEWHERE})
    assert len(held(rig, id)) == 2


def test_who_attaches_again_does_not_leave(rig: Rig) -> None:
    id = rig.volume()
    does(rig, id, "attach", to(SERVER))
    assert does(rig, id, "begin_detaching") == "detaching"
    assert does(rig, id, "attach", to(SERVER)) == "in-use"
    assert does(rig, id, "begin_detaching") == "detaching"


def test_a_way_in_that_is_closed_already_is_not_shown(fast: Rig) -> None:
    id = fast.volume()
    connect(fast, id)
    (hold,) = held(fast, id)
    request: Any = SimpleNamespace(read=fast.database.read, caller=CALLERS["demo"])
    assert actions_attachment._opened(request, hold["id"], PLACE).status == 200
    for connector in ({**ELSEWHERE, "moorage": False}, {**PLACE, "nbd": False}):
        with pytest.raises(Overtaken):
            actions_attachment._opened(request, hold["id"], connector)
    does(fast, id, "attach", to(host="h1"))
    does(fast, id, "terminate_connection", {"connector": PLACE})
    with pytest.raises(Overtaken):
        actions_attachment._opened(request, hold["id"], PLACE)
