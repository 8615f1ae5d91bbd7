"""
Take an image out of one of its stores: from the call on nobody begins to read it there; the bytes follow.

The last store keeps it. Bytes that volumes lie on are left to them, as when the image is deleted: which is decided
under the lock of the image's row.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.images.clear import needed
from moorage.flows.images.of_volumes import beneath
from moorage.flows.images.stores import store_of
from moorage.flows.rooms import Rooms
from moorage.images import service
from moorage.images.access import rules
from moorage.images.access.visibility import find_locked
from moorage.images.errors import NotInStore, OnlyLocation, StoreMissing, TransitionRefused
from moorage.images.image import State
from moorage.images.locations import location
from moorage.operations import events, journal
from moorage.operations.flow import Flow, Step, Work
from moorage.volumes import layers

KIND = "delete-location"
QUEUE = "any"


def begin_delete_location(tx: Transaction, rooms: Rooms, caller: Caller, store: str, id: str) -> str | None:
    """
    The image is no longer in `store`: the operation that takes its bytes away, or None where they stay, since volumes
    lie on them or others have put them there.
    """
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.DROP_COPY, image)
    if store not in rooms.stores:
        raise StoreMissing(store=store[:64])
    if image["state"] != State.ACTIVE:
        blockers = service.blockers(tx, image)
        raise TransitionRefused(state=image["state"], target="out of a store", image=id, blockers=blockers)
    return take_out(tx, rooms, caller, image, _place(tx, id, store))


def take_out(
    tx: Transaction, rooms: Rooms, caller: Caller, image: Mapping[str, Any], row: Mapping[str, Any]
) -> str | None:
    """The same of one location of the locked `image`, which has others."""
    id, store = image["id"], row["store"]
    service.touch(tx, id)
    events.record(tx, "image.store-left", "image", id, image["owner"], caller.request_id, store=store)
    if row["adopted"]:
        location.let_go(tx, row["id"])
        return None
    if needed(tx, store, row["object"]):
        location.forsake(tx, row["id"])
        return None
    location.leave(tx, row["id"])
    below = beneath.under(tx, row["object"])
    given = {"store": store, "object": row["object"], "layers": below}
    place: str = row["id"]
    project, queue = image["owner"], rooms.host_queue if below else QUEUE
    return journal.begin(tx, KIND, "location", place, queue=queue, project_id=project, input=given, caller=caller)


def _place(tx: Transaction, id: str, store: str) -> Mapping[str, Any]:
    """Where the store holds the image; refuses to take the only one."""
    held = location.held(tx, id)
    if len(held) == 1:
        raise OnlyLocation(store=store, image=id)
    for row in held:
        if row["store"] == store:
            return row
    raise NotInStore(image=id, store=store)


def remove(work: Work) -> None:
    """The bytes are gone, and then their row."""
    store, name = work.input["store"], work.input["object"]
    store_of(work.rooms, store).delete(name)
    with work.transaction() as tx:
        location.forget(tx, store, name)
        layers.strike(tx, name)
    beneath.clear(work, work.input.get("layers", ()))


DELETE_LOCATION = Flow(KIND, (Step("remove", remove, forward_only=True),))
