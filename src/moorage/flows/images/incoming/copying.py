"""
Copy an image to more stores: read from one that holds it, compared with its hashes, written to the others.

The image stays as it is meanwhile and may be changed, deactivated or deleted by anybody who may: the copy's last
transaction adds its own locations and nothing else. Bytes that are not what was uploaded are never copied; the next
store that holds the image is read instead.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Problem
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.flows.images.incoming.asking import Asked, chosen, permit
from moorage.flows.images.incoming.importing import DEADLINE_S, QUEUE, free
from moorage.flows.images.incoming.storing import discard, end_stores, fill
from moorage.flows.images.stores import by_weight, store_of
from moorage.flows.rooms import Rooms
from moorage.images import allowance, service
from moorage.images.access import rules
from moorage.images.access.visibility import find_locked
from moorage.images.allowance import Room
from moorage.images.content.intake import Hashed, Hashes
from moorage.images.errors import CopyBroken, GoneMeanwhile, HeldAlready, TransitionRefused
from moorage.images.image import FILLED, State
from moorage.images.imports import task
from moorage.images.locations import location
from moorage.images.records import images
from moorage.operations import events, journal
from moorage.operations.flow import Flow, Step, Work
from moorage.operations.records import State as OperationState

KIND = "copy-image"


def begin_copy(tx: Transaction, rooms: Rooms, caller: Caller, id: str, asked: Asked) -> str | None:
    """The image is being copied: by the operation whose id this is; None where all stores hold it already."""
    found = allowance.lock_of(tx, id, rooms.settings.images)  # before the image is
    image = find_locked(tx, caller, id)
    rule = rules.COPY_OWN if rooms.settings.images.copying_by_owners else rules.COPY
    rules.permit_on(caller, rule, image)
    if image["state"] != State.ACTIVE:
        blockers = service.blockers(tx, image)
        raise TransitionRefused(state=image["state"], target="copied", image=id, blockers=blockers)
    free(tx, image)
    stores = _lacking(tx, id, asked, chosen(rooms, asked))
    permit(rooms, asked, stores)
    operation = new_uuid()
    shown = {"image_id": id, "import_req": asked.body, "backend": stores}
    task.begin(tx, caller, task.New(operation, task.Type.API_IMPORT, id, image["owner"], shown, stores, image["size"]))
    if not stores:
        task.succeed(tx, operation, {"image_id": id}, "Copied 0 MiB")
        return None
    events.record(tx, "image.copying", "image", id, image["owner"], caller.request_id, stores=stores, task=operation)
    room = Room(rooms.settings.images, stored=image["size"] * len(stores))
    allowance.reserve(tx, image, operation, room, found)
    given = {"stores": stores, "spare": not asked.all_must_succeed}
    return journal.begin(
        tx,
        KIND,
        "image",
        id,
        queue=QUEUE,
        project_id=image["owner"],
        input=given,
        caller=caller,
        deadline_s=DEADLINE_S,
        id=operation,
    )


def _lacking(tx: Transaction, id: str, asked: Asked, stores: list[str]) -> list[str]:
    """Those of the stores that do not hold the image; one that was named and does is refused."""
    there = {row["store"] for row in location.held(tx, id)}
    for store in stores:
        if store in there and not asked.all_stores:
            raise HeldAlready(store=store, image=id)
    return [store for store in stores if store not in there]


def copy(work: Work) -> Mapping[str, Any]:
    """Every store that is to get the image has it."""
    tried: set[tuple[str, str]] = set()
    why = "no store holds it"
    while True:
        with work.rooms.database.read() as tx:
            image = tx.get(images, work.resource_id)
            held = location.objects(tx, work.resource_id)
        if image is None or image["state"] not in FILLED:
            raise GoneMeanwhile(image=work.resource_id)
        source = next(((id, held[id]) for id in by_weight(work.rooms, held) if (id, held[id]) not in tried), None)
        if source is None:
            raise CopyBroken(image=work.resource_id, reason=why)
        tried.add(source)
        try:
            return _copied(work, image, *source)
        except _Unreadable as problem:
            why = str(problem)


class _Unreadable(Exception):
    """The bytes in one store cannot be copied; the text says why."""


def _copied(work: Work, image: Mapping[str, Any], source: str, name: str) -> Mapping[str, Any]:
    def learning() -> _Same:
        return _Same(image, source)

    hashed, ended = fill(work, work.input["stores"], image["size"], learning, _read(work, source, name))
    return {**ended, "source": source, "size": hashed.size}


class _Same:
    """Looks whether bytes are those of the image, as far as that is known of it."""

    def __init__(self, image: Mapping[str, Any], source: str) -> None:
        self._image, self._source = image, source
        self._hashes = Hashes(image["os_hash_algo"] or "sha512")

    def feed(self, chunk: bytes) -> None:
        self._hashes.feed(chunk)

    def finish(self) -> Hashed:
        found = self._hashes.finish()
        for name in ("size", "checksum", "os_hash_value"):
            if self._image[name] is not None and getattr(found, name) != self._image[name]:
                raise _Unreadable(f"what store {self._source} holds is not what was uploaded ({name})")
        return found


def _read(work: Work, source: str, name: str) -> Iterator[bytes]:
    try:
        yield from store_of(work.rooms, source).open(name)
    except Problem as problem:
        raise _Unreadable(problem.sentence) from problem


def record(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The image is in more stores; nothing else of it has changed."""
    id, copied = operation["resource_id"], operation["results"]["copy"]
    (image,) = tx.lock(images, [id])
    if image["state"] not in FILLED:
        raise GoneMeanwhile(image=id)
    for store, name in copied["places"].items():
        location.hold(tx, id, store, name)
    service.touch(tx, id)
    end_stores(tx, operation, copied)
    task.succeed(tx, operation["id"], {"image_id": id}, f"Copied {copied['size'] >> 20} MiB")
    done = {"stores": sorted(copied["places"]), "failed": sorted(copied["failed"]), "source": copied["source"]}
    events.record(tx, "image.copied", "image", id, image["owner"], operation["request_id"], **done)


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """A copy that failed has changed nothing but what is said of it."""
    if operation["back"] or operation["state"] == OperationState.UNDONE:
        found = task.get(tx, operation["id"])
        if found is not None and found["state"] in task.OPEN:
            task.fail(tx, operation["id"], operation["error"] or "It was cancelled.")
            id, project = operation["resource_id"], operation["project_id"]
            events.record(tx, "image.copy-failed", "image", id, project, reason=operation["error"])


COPY_IMAGE = Flow(
    KIND, (Step("copy", copy, undo=discard),), settle=settle, record=record, deadline_s=DEADLINE_S, cancellable=True
)
