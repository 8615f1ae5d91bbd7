"""
A whole Moorage with real daemons, the calls that are made of it, and their histories, volume by volume.

`at_once` sends calls from as many threads behind a barrier; `rest` waits until nothing is under way any more.
"""

import itertools
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from moorage.operations import journal
from moorage.operations.records import operations
from tests.cloud import Cloud, Reply
from tests.properties import old_calls
from tests.properties.checker import Unexplained, explain
from tests.properties.history import Call, History
from tests.properties.model import Volume
from tests.properties.places import ADMIN, USER, Place
from tests.properties.plans import plans

VERSION = {"OpenStack-API-Version": "volume 3.71"}
STATUS = re.compile(
    r"(?:current status is:? |currently (?!has)|has a status of: |the status is |its status, |volume in status )"
    r"(\w[\w-]*)"
)
CLAIM = re.compile(r"(?:attachment_id = |Attachment )([0-9a-f-]{36})")
PATIENCE_S = 60


@dataclass(frozen=True)
class Asked:
    """One call that is to be made."""

    volume: str
    verb: str
    what: Mapping[str, Any]


class World:
    """What the machine acts on. Ids of all volumes that ever were are kept: those that are gone must stay so."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.tick = itertools.count(1).__next__
        self.histories: dict[str, History] = {}
        self.ends: dict[str, set[Volume]] = {}
        self.failure: Exception | None = None  #: the first one
        for who in (USER, ADMIN):
            cloud.token(who)

    def volume(self, *, shared: bool) -> str:
        """A new volume."""
        asked = {"size": 1, "volume_type": "multiattach" if shared else "files"}
        reply = self.send("POST", "/volumes", {"volume": asked})
        assert reply.status == 202, reply.body
        id = str(reply.json["volume"]["id"])
        self.histories[id], self.ends[id] = History(self.tick), {Volume(shared=shared)}
        self.rest()
        return id

    def send(self, method: str, path: str, body: Any = None, as_: str = USER) -> Reply:
        return self.cloud.call(method, f"/volume/v3{path}", body, as_=as_, headers=VERSION)

    def at_once(self, calls: Sequence[Asked]) -> None:
        """Make the calls, all of them beginning at the same moment; then wait for the rest of their work."""
        barrier = threading.Barrier(len(calls) or 1)

        def one(asked: Asked) -> None:
            barrier.wait()
            self.make(asked)

        with ThreadPoolExecutor(len(calls) or 1) as pool:
            list(pool.map(one, calls))
        self.rest()

    def make(self, asked: Asked) -> Call:
        """Make one call, and write it down."""
        sender = SENDERS[asked.verb]
        return self.histories[asked.volume].perform(
            asked.verb, asked.what, lambda: sender(self, asked.volume, asked.what)
        )

    def rest(self) -> None:
        """Wait until no operation is under way; what was answered before has had all its effects then."""
        until = time.monotonic() + PATIENCE_S
        while under_way := self.under_way():
            assert time.monotonic() < until, f"stuck: {[dict(row) for row in under_way]}"
            time.sleep(0.005)
        for history in self.histories.values():
            history.settle()

    def under_way(self) -> list[Mapping[str, Any]]:
        with self.cloud.app.rooms.database.read() as tx:
            return list(tx.all(select(operations).where(journal.is_open())))

    def explain(self, volumes: Sequence[str]) -> list[str]:
        """
        Look at each volume once more, and find an order that explains what everybody has seen of it; what that was.
        """
        told = []
        for id in volumes:
            self.make(Asked(id, "show", {}))
            self.make(Asked(id, "list", {}))
            self.make(Asked(id, "census", {"leaving": False}))
            told += [f"volume {id}", *self._explained(id)]
            if len(self.ends[id]) > 1:  # who is leaving is not seen otherwise
                self.make(Asked(id, "census", {"leaving": True}))
                told += self._explained(id)
        return told

    def _explained(self, id: str) -> list[str]:
        """What was called of the volume since it was explained last, which is explained now, too."""
        calls = self.histories[id].calls
        try:
            self.ends[id] = explain(self.ends[id], calls, plans)
        except Unexplained as problem:
            was = sorted(map(str, self.ends[id]))
            raise Unexplained(f"volume {id}, which was one of {was}: {problem}") from None
        told = [*map(str, calls)]
        calls.clear()
        return told

    def now(self, volume: str) -> Volume:
        """What the volume is, as the history has it; in doubt is at most what nobody has asked for."""
        return min(self.ends[volume], key=str)


def _claim(reply: Reply) -> tuple[int, Mapping[str, Any]]:
    """What an answer says of its attachment, or why there is none."""
    if reply.status != 200:
        return _fault(reply)
    said = reply.json["attachment"]
    return 200, {
        "id": said["id"],
        "state": said["status"],
        "mode": None if said["attach_mode"] == "null" else said["attach_mode"],
        "ready": bool(said["connection_info"]),
        "generation": int(reply.headers["moorage-generation"]),
    }


def _fault(reply: Reply) -> tuple[int, Mapping[str, Any]]:
    if reply.status < 400:
        return reply.status, {}
    message = str(next(iter(reply.json.values()))["message"])
    status, claim = STATUS.search(message), CLAIM.search(message)
    named = {"status": status[1] if status else None, "id": claim[1] if claim else None}
    return reply.status, {"message": message, **{name: value for name, value in named.items() if value}}


Answer = tuple[int, Mapping[str, Any]]


def create(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    at: Place | None = what["at"]
    asked = {"volume_uuid": volume, "instance_uuid": what["instance"], "mode": what["mode"]}
    asked["connector"] = dict(at.connector) if at else None
    body = {name: value for name, value in asked.items() if value is not None}
    return _claim(world.send("POST", "/attachments", {"attachment": body}, at.as_ if at else USER))


def update(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    at: Place = what["at"]
    body = {"attachment": {"connector": dict(at.connector)}}
    return _claim(world.send("PUT", f"/attachments/{what['id']}", body, at.as_))


def complete(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    return _fault(world.send("POST", f"/attachments/{what['id']}/action", {"os-complete": None}))


def delete(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    reply = world.send("DELETE", f"/attachments/{what['id']}", as_=ADMIN if what["trusted"] else USER)
    if reply.status != 200:
        return _fault(reply)
    return 200, {"remaining": {one["id"]: one["status"] for one in reply.json["attachments"]}}


def delete_volume(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    return _fault(world.send("DELETE", f"/volumes/{volume}"))


def extend(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    return _act(world, volume, {"os-extend": {"new_size": what["size_gib"]}})


def reset(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    return _act(world, volume, {"os-reset_status": {"status": what["to"]}}, ADMIN)


def readonly(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    return _act(world, volume, {"os-update_readonly_flag": {"readonly": what["readonly"]}})


def _act(world: World, volume: str, body: Any, as_: str = USER) -> Answer:
    return _fault(world.send("POST", f"/volumes/{volume}/action", body, as_))


def show(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    reply = world.send("GET", f"/volumes/{volume}")
    if reply.status != 200:
        return _fault(reply)
    said = reply.json["volume"]
    attached = {one["attachment_id"] for one in said["attachments"]}
    return 200, {"status": said["status"], "size_gib": said["size"], "attached": attached}


def listing(world: World, volume: str, what: Mapping[str, Any]) -> Answer:
    reply = world.send("GET", f"/attachments/detail?volume_id={volume}")
    if reply.status != 200:
        return _fault(reply)
    said = reply.json["attachments"]
    mode = {one["id"]: None if one["attach_mode"] == "null" else one["attach_mode"] for one in said}
    return 200, {"held": {one["id"]: (one["status"], mode[one["id"]], one["instance"]) for one in said}}


SENDERS: Mapping[str, Callable[[World, str, Mapping[str, Any]], Answer]] = {
    "create": create,
    "update": update,
    "complete": complete,
    "delete": delete,
    "delete-volume": delete_volume,
    "extend": extend,
    "reset": reset,
    "readonly": readonly,
    "show": show,
    "list": listing,
    "census": old_calls.census,
    **{verb: old_calls.sender(verb, _fault) for verb in old_calls.VERBS},
}
