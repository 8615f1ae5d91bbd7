"""How the calls that name no attachment are made: `POST /volumes/{id}/action` with os-reserve and its like."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.cloud import Reply
from tests.properties.places import Place

if TYPE_CHECKING:
    from tests.properties.world import World

Asked = Mapping[str, Any]
Answer = tuple[int, Mapping[str, Any]]
Fault = Callable[[Reply], Answer]


def body_of(verb: str, what: Asked) -> dict[str, Any]:
    """What is sent."""
    at: Place | None = what.get("at")
    connector = dict(at.connector) if at else None
    if verb == "connect":
        return {"os-initialize_connection": {"connector": connector}}
    if verb == "disconnect":
        return {"os-terminate_connection": {"connector": connector}}
    if verb == "attach":
        named = {"instance_uuid": what["instance"], "host_name": what["host"], "mode": what["mode"]}
        said = {name: value for name, value in named.items() if value is not None}
        return {"os-attach": {"mountpoint": "/dev/vdb", **said}}
    if verb == "detach":
        return {"os-detach": {"attachment_id": what["id"]} if what["id"] else {}}
    if verb == "force-detach":
        return {"os-force_detach": {"attachment_id": what["id"], "connector": connector}}
    return {f"os-{verb.replace('-', '_')}": None}


def sender(verb: str, fault: Fault) -> Callable[["World", str, Asked], Answer]:
    """What makes a call of `verb`, and reads its answer."""

    def send(world: "World", volume: str, what: Asked) -> Answer:
        reply = world.send("POST", f"/volumes/{volume}/action", body_of(verb, what), what["as_"])
        if verb != "connect" or reply.status != 200:
            return fault(reply)
        data, generation = reply.json["connection_info"]["data"], int(reply.headers["moorage-generation"])
        assert data["generation"] == generation
        return 200, {"id": data["attachment_id"], "mode": data["access_mode"], "generation": generation}

    return send


def census(world: "World", volume: str, what: Asked) -> Answer:
    """What there is, holds too; and who has begun to leave, if that is asked, which nothing shows but `why`."""
    reply = world.cloud.call("GET", f"/moorage/v1/attachments?volume_id={volume}")
    held = {}
    for one in reply.json["attachments"]:
        leaving = what["leaving"] and one["state"] == "attached" and _leaves(world, one["id"])
        held[one["id"]] = (one["state"], one["mode"], one["instance"], one["generation"], one["hold"], leaving)
    return 200, {"held": held}


def _leaves(world: "World", id: str) -> bool:
    return "begun to detach" in str(world.cloud.call("GET", f"/moorage/v1/why/attachment/{id}").json)


VERBS = (
    "reserve",
    "unreserve",
    "connect",
    "attach",
    "begin-detaching",
    "roll-detaching",
    "disconnect",
    "detach",
    "force-detach",
)
