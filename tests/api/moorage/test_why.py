"""Why in full: owners, times, hosts and types; and that what it says of actions is what the actions do."""

from typing import Any

from sqlalchemy import func, select

from moorage.api.moorage.trial import ACTIONS
from moorage.core.caller import Caller
from moorage.operations import journal
from moorage.operations.records import events, operations
from moorage.volumes.attachments import queue
from moorage.volumes.attachments.queue import Asked
from moorage.volumes.records import attachments, volumes
from tests.cloud import Cloud

V = {"OpenStack-API-Version": "volume 3.71"}


def why(cloud: Cloud, path: str, as_: str = "moorage", status: int = 200) -> Any:
    reply = cloud.call("GET", f"/moorage/v1/why/{path}", as_=as_)
    assert reply.status == status, reply.body
    return reply.json["why"] if status == 200 else reply.json["error"]


def volume(cloud: Cloud) -> str:
    id = cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1}}, headers=V).json["volume"]["id"]
    while cloud.call("GET", f"/volume/v3/volumes/{id}", headers=V).json["volume"]["status"] == "creating":
        pass
    return str(id)


def reserve(cloud: Cloud, id: str) -> str:
    reply = cloud.call("POST", "/volume/v3/attachments", {"attachment": {"volume_uuid": id}}, headers=V)
    return str(reply.json["attachment"]["id"])


def counted(cloud: Cloud) -> list[int]:
    with cloud.app.database.read() as tx:
        tables = (volumes, attachments, operations, events)
        return [tx.value(select(func.count()).select_from(table)) for table in tables]


def test_actions_are_tried_and_nothing_is_left_of_it(cloud: Cloud) -> None:
    id = volume(cloud)
    before = counted(cloud)
    free = {action["action"]: action for action in why(cloud, f"volume/{id}")["actions"]}
    assert counted(cloud) == before
    assert set(free) == {action.name for action in ACTIONS["volume"]}
    assert {name for name, action in free.items() if action["allowed"]} == {"attach", "extend", "readonly", "delete"}
    assert free["reset-status"]["refusal"]["status"] == 403
    as_admin = why(cloud, f"volume/{id}", "moorage-admin")["actions"]
    assert [action for action in as_admin if not action["allowed"]] == []


def test_a_refusal_is_the_one_that_the_call_gives(cloud: Cloud) -> None:
    id = volume(cloud)
    claim = reserve(cloud, id)
    told = {action["action"]: action["refusal"] for action in why(cloud, f"volume/{id}")["actions"]}
    calls = {
        "attach": ("POST", "/attachments", {"attachment": {"volume_uuid": id}}),
        "extend": ("POST", f"/volumes/{id}/action", {"os-extend": {"new_size": 2}}),
        "readonly": ("POST", f"/volumes/{id}/action", {"os-update_readonly_flag": {"readonly": True}}),
        "delete": ("DELETE", f"/volumes/{id}", None),
    }
    for name, (method, path, body) in calls.items():
        reply = cloud.call(method, f"/volume/v3{path}", body, headers=V)
        (fault,) = reply.json.values()
        assert reply.status == told[name]["status"] == 400
        assert fault["message"] == f"{told[name]['message']} In the way: attachment {claim}."
        assert told[name]["blockers"] == [{"kind": "attachment", "id": claim}]


def test_one_action_may_be_asked_for(cloud: Cloud) -> None:
    id = volume(cloud)
    (only,) = why(cloud, f"volume/{id}?action=delete")["actions"]
    assert (only["action"], only["allowed"], only["refusal"]) == ("delete", True, None)
    assert why(cloud, f"volume/{id}?action=fly", status=400)["code"] == "malformed"
    assert why(cloud, f"operation/{id}?action=delete", status=400)["code"] == "malformed"


def test_the_owner_is_told_with_its_times(cloud: Cloud) -> None:
    id = volume(cloud)
    with cloud.app.database.write() as tx:
        project = tx.get(volumes, id)["project_id"]  # type: ignore[index]
        asked = {"backend": "files", "size_gib": 2, "more_gib": 1}
        operation = journal.begin(
            tx, "extend-volume", "volume", id, queue="host:away", project_id=project, input=asked, deadline_s=60
        )
        tx.change(operations, operation, {"attempts": 2, "not_before": tx.now + 30_000_000})
    owner = why(cloud, f"volume/{id}")["operation"]
    assert (owner["id"], owner["what"], owner["step"]) == (operation, "extend-volume", "extend")
    assert (owner["state"], owner["failures"], owner["going_back"]) == ("queued", 2, False)
    assert owner["tried_again_at"] < owner["deadline"]
    assert owner["lease_until"] is None


def test_since_is_when_the_state_changed_not_the_name(cloud: Cloud) -> None:
    id = volume(cloud)
    since = why(cloud, f"volume/{id}")["since"]
    cloud.call("PUT", f"/volume/v3/volumes/{id}", {"volume": {"name": "other"}}, headers=V)
    assert why(cloud, f"volume/{id}")["since"] == since
    reserve(cloud, id)
    assert why(cloud, f"volume/{id}")["since"] > since


def test_a_type_names_the_volumes_of_it(cloud: Cloud) -> None:
    id = volume(cloud)
    types = cloud.call("GET", "/volume/v3/types/default", headers=V).json["volume_type"]
    found = why(cloud, f"volume-type/{types['id']}", "moorage-admin")
    assert id in [blocker["id"] for blocker in found["blockers"]]
    (delete,) = found["actions"]
    assert not delete["allowed"]
    unseen = why(cloud, f"volume-type/{'0' * 32}", status=404)
    assert unseen["code"] == "why.not-found"


def test_a_host_says_who_looks_after_it_and_what_waits(cloud: Cloud) -> None:
    name = cloud.app.config.host
    assert why(cloud, f"host/{name}", status=404)["code"] == "why.not-found"
    found = why(cloud, f"host/{name}", "moorage-admin")
    assert (found["state"], found["waiting"]) == ("up", [])
    assert "looks after it" in found["sentence"]


def test_an_image_says_which_volumes_lie_on_it(cloud: Cloud) -> None:
    asked = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    id = cloud.call("POST", "/image/v2/images", asked).json["id"]
    queued = {action["action"]: action for action in why(cloud, f"image/{id}")["actions"]}
    assert queued["make-volume"]["refusal"]["code"] == "image.unacceptable"
    assert queued["delete"]["allowed"]
    kind = {"content-type": "application/octet-stream"}
    assert cloud.call("PUT", f"/image/v2/images/{id}/file", headers=kind, content=b"x" * 4096).status == 204
    body = {"volume": {"size": 1, "imageRef": id}}
    lying = cloud.call("POST", "/volume/v3/volumes", body, headers=V).json["volume"]["id"]
    found = why(cloud, f"image/{id}")
    assert [blocker["id"] for blocker in found["blockers"]] == [lying]
    assert "make volumes of it" in found["you_may"]


def test_who_waits_is_told_and_why(cloud: Cloud) -> None:
    id = volume(cloud)
    mine = reserve(cloud, id)
    with cloud.app.database.write() as tx:
        row = tx.lock(volumes, [id])[0]
        caller = Caller(row["user_id"], row["project_id"])
        one, two = (queue.join(tx, caller, row, Asked(), 300, cloud.app.me.id)[0] for _ in range(2))
    found = why(cloud, f"volume/{id}")
    assert [waiting["id"] for waiting in found["waiting"]] == [one, two]
    place = why(cloud, f"attachment/{two}")
    assert (place["state"], place["operation"]["what"]) == ("queued", "queue-attachment")
    assert place["sentence"].endswith("with 1 ahead of it.")
    assert place["next"].startswith("It goes on when its turn comes; it gives up in ")
    assert [blocker["id"] for blocker in place["blockers"]] == [mine]
    listed = cloud.call("GET", f"/moorage/v1/queue?volume_id={id}").json["queue"]
    assert [(place["id"], place["state"]) for place in listed] == [(one, "waiting"), (two, "waiting")]
    cloud.call("DELETE", f"/volume/v3/attachments/{mine}", headers=V)
    assert why(cloud, f"attachment/{one}")["state"] == "reserved"
    assert [waiting["id"] for waiting in why(cloud, f"volume/{id}")["waiting"]] == [two]
