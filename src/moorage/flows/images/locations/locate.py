"""
An image's bytes are where others have put them: looked for first, then taken in, in one transaction.

With a hash to compare them by they are all read before anybody sees the image active; without one the image is active
at once, and its hashes are computed in the background. Until the transaction that makes it active no location shows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Malformed, TooLarge
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.flows.images.incoming.importing import settle
from moorage.flows.images.locations import hash_image
from moorage.flows.images.stores import by_weight
from moorage.flows.rooms import Rooms
from moorage.images import allowance, receiving
from moorage.images.allowance import Room
from moorage.images.content import known_digests
from moorage.images.content.intake import Taken
from moorage.images.imports import task
from moorage.images.locations import adopting, unhashed
from moorage.images.locations.adopting import Said
from moorage.images.quota import check_locations
from moorage.images.records import images
from moorage.images.signatures import signed
from moorage.images.signatures.signature import witness
from moorage.images.store import LocationRefused, ObjectMissing
from moorage.operations import journal
from moorage.operations.flow import After, Flow, Step, Work

KIND = "import-location"
QUEUE = "any"
DEADLINE_S = 14 * 86400.0
RETRIES = 3
LONGEST_URL = 255


class HashDiffers(Malformed):
    """The data are not what was said of them: their {algorithm} is {found}, not {said}."""

    code = "image.hash-differs"


@dataclass(frozen=True)
class Found:
    """Where the bytes are, and how many."""

    store: str
    name: str
    size: int


def find_out(rooms: Rooms, url: str) -> Found:
    """What is at `url`, asked of the store whose that is. Takes its time: for use outside of transactions."""
    if len(url) > LONGEST_URL:
        raise LocationRefused(reason=f"it has more than {LONGEST_URL} characters.")
    refusal: Exception = LocationRefused(reason=f"no store takes in what is at {url.partition(':')[0][:32]} URLs.")
    for id in by_weight(rooms, _adopting(rooms)):
        try:
            name = rooms.stores[id].adopt(url)
        except LocationRefused as refused:
            refusal = refused
            continue
        try:
            size = rooms.stores[id].size(name)
        except ObjectMissing:
            raise LocationRefused(reason=f"store {id} finds nothing there.") from None
        if size > rooms.settings.images.size_cap:
            raise TooLarge(reason=f"The data are larger than the {rooms.settings.images.size_cap} bytes allowed.")
        return Found(id, name, size)
    raise refusal


def _adopting(rooms: Rooms) -> Iterable[str]:
    return [id for id, store in rooms.stores.items() if store.traits.adopts]


def begin(
    tx: Transaction,
    rooms: Rooms,
    caller: Caller,
    id: str,
    url: str,
    said: Said | None,
    found: Found,
    details: Mapping[str, Any] | None = None,
    *,
    tell_algorithm: bool = True,
) -> str:
    """
    The image has its bytes, or an operation compares them first; the id of the task. `tell_algorithm`: before the hash
    is there, too.
    """
    settings, operation = rooms.settings.images, new_uuid()
    room = allowance.lock_of(tx, id, settings)  # before the image is
    image = adopting.addable_locked(tx, caller, id, url)
    check_locations(1, settings)
    adopting.expect(tx, image, operation, caller.request_id)
    allowance.reserve(tx, image, operation, Room(settings, stored=found.size), room)
    told = {"os_hash_algo": said.algorithm, "os_hash_value": said.value} if said else {}
    shown = {"image_id": id, "loc_url": url, "validation_data": told}
    task.begin(tx, caller, task.New(operation, task.Type.LOCATION, id, image["owner"], shown, [], found.size))
    if said is not None and settings.do_secure_hash:
        given = {"store": found.store, "object": found.name, "size": found.size, "hash_algorithm": said.algorithm}
        _compare(tx, caller, image, operation, {**given, "hash_value": said.value, "checksum": said.checksum})
        return operation
    coming = settings.hash_algorithm if settings.do_secure_hash and tell_algorithm else None
    known = unhashed.Known(
        found.size,
        os_hash_algo=said.algorithm if said else coming,
        os_hash_value=said.value if said else None,
        checksum=said.checksum if said else None,
        details=details,
    )
    unhashed.appear(tx, id, operation, known, {found.store: found.name}, caller.request_id)
    task.succeed(tx, operation, {"image_id": id}, "")
    hash_image.begin(tx, image, QUEUE, settings.hash_algorithm if settings.do_secure_hash else None)
    return operation


def _compare(tx: Transaction, caller: Caller, image: Mapping[str, Any], id: str, given: Mapping[str, Any]) -> None:
    journal.begin(
        tx,
        KIND,
        "image",
        image["id"],
        queue=QUEUE,
        project_id=image["owner"],
        input=given,
        caller=caller,
        deadline_s=DEADLINE_S,
        id=id,
    )


def compare(work: Work) -> Mapping[str, Any] | After:
    """The bytes are what was said of them, and what else is to be known of them is."""
    given = work.input
    with work.transaction() as tx:
        task.proceed(tx, work.id)
        image = tx.get(images, work.resource_id) or {}
        claimed = signed.claims(tx, work.resource_id)
    wanted = {**image, "size": given["size"]}
    seen_by = witness(claimed, work.rooms.certificates)
    taken = hash_image.read(work, wanted, given["store"], given["object"], given["hash_algorithm"], seen_by)
    if taken.os_hash_value != given["hash_value"]:
        algorithm, said = given["hash_algorithm"], given["hash_value"]
        raise HashDiffers(algorithm=algorithm, found=taken.os_hash_value, said=said)
    if given.get("checksum") not in (None, taken.checksum):
        raise HashDiffers(algorithm="md5", found=taken.checksum, said=given["checksum"])
    with work.transaction() as tx:
        known_digests.record(tx, work.resource_id, taken.digests)
    return {"taken": {**vars(taken), "digests": ""}}


def record(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """The image is active, and its location shows."""
    given, id = operation["input"], operation["resource_id"]
    taken = Taken(**{**operation["results"]["compare"]["taken"], "digests": b""})
    places = {given["store"]: given["object"]}
    receiving.complete(tx, id, operation["id"], taken, places, operation["request_id"] or "")
    task.succeed(tx, operation["id"], {"image_id": id}, "")


IMPORT_LOCATION = Flow(
    KIND,
    (Step("compare", compare),),
    settle=settle,
    record=record,
    deadline_s=DEADLINE_S,
    retries=RETRIES,
    cancellable=True,
)
