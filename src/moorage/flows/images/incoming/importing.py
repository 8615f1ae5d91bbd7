"""
Import an image: its bytes are staged or fetched, become what they are to become, and are written to one or more stores.

Until the last transaction, which makes the image active and its locations visible at once, nothing but the task's rows
and the staged bytes tell of it. Whatever ends it before leaves the image queued, nothing staged, and no bytes in any
store; which store failed, and why, stays readable until the next try.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Problem
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.flows.images.clear import STAGING, begin_clear
from moorage.flows.images.incoming.asking import DIRECT, Asked, chosen, permit
from moorage.flows.images.incoming.obtain import chunks_of, give_back, obtain, transform
from moorage.flows.images.incoming.storing import discard, end_stores, fill
from moorage.flows.rooms import Rooms
from moorage.images import allowance, receiving, service
from moorage.images.access import rules
from moorage.images.access.visibility import find_locked
from moorage.images.allowance import Room
from moorage.images.content import known_digests
from moorage.images.content.intake import Intake, Taken
from moorage.images.errors import FormatsUnsetForImport, StagedBytesComing, TaskOpen, TransitionRefused
from moorage.images.image import State
from moorage.images.imports import staging, task
from moorage.images.receiving import Learnt
from moorage.images.signatures import signed
from moorage.images.signatures.signature import witness
from moorage.operations import journal
from moorage.operations.flow import Flow, Step, Work
from moorage.operations.records import State as OperationState

KIND = "import-image"
QUEUE = "any"
DEADLINE_S = 14 * 86400.0  #: an import that gets on has time; a store or server that does not answer ends it earlier


def begin_import(
    tx: Transaction,
    rooms: Rooms,
    caller: Caller,
    id: str,
    asked: Asked,
    checked: Mapping[str, Any] | None = None,
    type: task.Type = task.Type.API_IMPORT,
) -> str:
    """The image is being imported: by the operation whose id this is, and whose task. Refusals change nothing."""
    allowance.lock_of(tx, id, rooms.settings.images)  # before the image is
    image = find_locked(tx, caller, id)
    rules.permit_on(caller, rules.UPLOAD, image)
    free(tx, image)
    stores = chosen(rooms, asked)
    permit(rooms, asked, stores)
    for each in rooms.transformations:
        each.permit(stores)
    comes = asked.method != DIRECT and rooms.methods[asked.method].sets_formats
    staged = _staged(tx, image) if asked.method == DIRECT else None
    if asked.method != DIRECT and image["state"] != State.QUEUED:
        raise _refusal(tx, image)
    if not comes and not (image["disk_format"] and image["container_format"]):
        raise FormatsUnsetForImport()
    operation = new_uuid()
    size = staged["size"] if staged else None
    stored = size * len(stores) if size is not None else None
    room = Room(rooms.settings.images, stored=stored, staged=0 if staged else None)  # what is staged counts already
    receiving.begin(tx, caller, id, operation, event="import", room=room, formats_come=True)
    shown = asked.shown or {"image_id": id, "import_req": asked.body, "backend": stores}
    task.begin(tx, caller, task.New(operation, type, id, image["owner"], shown, stores, size))
    # fmt: off
    given = {
        "method": asked.method, "checked": checked, "stores": stores, "spare": not asked.all_must_succeed,
        "staged": staged["object"] if staged else None, "size": size,
        "disk_format": image["disk_format"], "container_format": image["container_format"],
    }
    # fmt: on
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


def free(tx: Transaction, image: Mapping[str, Any]) -> None:
    """Refuse while another import, or copy, of the image is at work."""
    other = task.open_on(tx, image["id"])
    if other is not None:
        raise TaskOpen(image=image["id"], task=other["id"], blockers=service.blockers(tx, image))


def _staged(tx: Transaction, image: Mapping[str, Any]) -> Mapping[str, Any]:
    if image["state"] != State.UPLOADING:
        raise _refusal(tx, image)
    found = staging.waiting(tx, image["id"])
    if found is None:
        raise StagedBytesComing(image=image["id"], blockers=service.blockers(tx, image))
    return found


def _refusal(tx: Transaction, image: Mapping[str, Any]) -> Problem:
    at, blockers = image["state"], service.blockers(tx, image)
    return TransitionRefused(state=at, target=State.IMPORTING, image=image["id"], blockers=blockers)


def store(work: Work) -> Mapping[str, Any]:
    """Every store that is to get the bytes has them."""
    given, settings = work.results["transform"], work.rooms.settings.images
    with work.rooms.database.read() as tx:
        claimed = signed.claims(tx, work.resource_id)

    def learning() -> Intake:
        return Intake(
            given["disk_format"],
            given["container_format"],
            size=given["size"],
            size_limit=settings.size_cap,
            os_hash_algo=settings.hash_algorithm,
            largest_disk_bytes=settings.largest_disk,
            witness=witness(claimed, work.rooms.certificates),
        )

    chunks = chunks_of(work, given["object"])
    taken, ended = fill(work, work.input["stores"], given["size"], learning, chunks)
    with work.transaction() as tx:
        known_digests.record(tx, work.resource_id, taken.digests)
    return {**ended, "taken": {**vars(taken), "digests": ""}}


def record(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The image is active and in all its stores; what is staged goes."""
    id, results = operation["resource_id"], operation["results"]
    given, stored = results["transform"], results["store"]
    taken = Taken(**{**stored["taken"], "digests": b""})
    learnt = Learnt(given["disk_format"], given["container_format"], given["properties"])
    receiving.complete(tx, id, operation["id"], taken, stored["places"], operation["request_id"], learnt)
    end_stores(tx, operation, stored)
    for row in staging.of_image(tx, id):
        begin_clear(tx, STAGING, row["object"], operation["project_id"])
    task.succeed(tx, operation["id"], {"image_id": id}, f"Copied {taken.size >> 20} MiB")


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """An import that failed leaves the image queued from the moment on in which that is known."""
    if operation["back"] or operation["state"] == OperationState.UNDONE:
        receiving.fall_back(tx, operation["resource_id"], operation["id"], operation["error"])
        task.fail(tx, operation["id"], operation["error"] or "It was cancelled.")


IMPORT_IMAGE = Flow(
    KIND,
    (
        Step("obtain", obtain, undo=give_back),
        Step("transform", transform),
        Step("store", store, undo=discard),
    ),
    settle=settle,
    record=record,
    deadline_s=DEADLINE_S,
    cancellable=True,
)
