"""
Clear bytes away that nobody needs any more, from a store that may not answer for long.

An operation of its own for each object, so that nobody who asks something else of the image waits for that store.
"""

from moorage.core.errors import Problem
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.flows.images.stores import store_of
from moorage.flows.rooms import Rooms
from moorage.images.imports import staging
from moorage.images.locations import location
from moorage.images.store import Store
from moorage.operations import journal
from moorage.operations.flow import Flow, Step, Work
from moorage.volumes import copies, layers

QUEUE = "any"
KIND = "clear-object"
STAGING = "os_glance_staging_store"  #: what the staging area is called in the journal: no store is called so


def staging_of(rooms: Rooms) -> Store:
    """Where bytes wait outside of all stores."""
    assert rooms.staging is not None
    return rooms.staging


def area_of(rooms: Rooms, name: str) -> Store:
    """The store `name`, or the staging area, whose name no store has."""
    return staging_of(rooms) if name == STAGING else store_of(rooms, name)


def begin_clear(tx: Transaction, store: str, name: str, project_id: str | None) -> str:
    """No bytes under `name` will be left in `store`, or in the staging area."""
    if store == STAGING:
        staging.leave(tx, [name])
    id = new_uuid()
    asked = {"store": store, "object": name}
    return journal.begin(tx, KIND, "object", id, queue=QUEUE, project_id=project_id, input=asked, id=id)


def needed(tx: Transaction, store: str, name: str) -> bool:
    """Whether volumes lie on the object, or on a copy that is not whole yet and comes from it."""
    layer = layers.row_of(tx, name)
    lain_on = layer is not None and layer["store"] == store and layers.users_of(tx, name) > 0
    return lain_on or copies.fed_by(tx, store, name) > 0


def clear_if_forsaken(tx: Transaction, store: str, name: str) -> None:
    """Begin to clear the object away if its image has left the store and nobody needs it. Locks the image."""
    if location.forsaken(tx, store, name) and not needed(tx, store, name):
        location.forget(tx, store, name)
        begin_clear(tx, store, name, None)


def clear(work: Work, store: str, name: str) -> None:
    """No bytes under `name` are left in `store`; where it does not answer, that is left to an operation of its own."""
    try:
        area_of(work.rooms, store).delete(name)
    except Problem:
        with work.transaction() as tx:
            begin_clear(tx, store, name, work.project_id)
    else:
        if store == STAGING:
            with work.transaction() as tx:
                staging.forget(tx, [name])


def remove(work: Work) -> None:
    """The bytes are gone, and then their row."""
    store, name = work.input["store"], work.input["object"]
    area_of(work.rooms, store).delete(name)
    if store == STAGING:
        with work.transaction() as tx:
            staging.forget(tx, [name])


CLEAR_OBJECT = Flow(KIND, (Step("remove", remove, forward_only=True),))
