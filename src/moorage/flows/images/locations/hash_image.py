"""
Learn what is not known yet of the bytes of an image that is active already, which are read once, at a set rate: its
hashes, the one that its signature is over, and what they are, for they are looked at as an upload's are. Killed, it
begins anew; deleted with its image.

It may take hours, and what is done to the image does not wait for it: its resource is the image's hashes, not the
image. Where volumes wait for a copy that is read from end to end as well, it gives way: what the copy has learnt counts
(`learnt`), and the bytes are read once.

Bytes that are not what was said of them take the image out of use: it is deactivated, with the reason in its events.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moorage.core.caller import NOBODY
from moorage.core.errors import Blocker, Malformed, TooLarge
from moorage.database import Transaction
from moorage.flows.images.incoming.filling import Learning
from moorage.flows.images.of_volumes import beneath
from moorage.flows.images.stores import by_weight, store_of
from moorage.flows.pace import Pace
from moorage.flows.rooms import Rooms
from moorage.flows.turns import turn
from moorage.images.content.formats import ContentRefused, Inspected
from moorage.images.content.intake import Intake, Measure, Taken
from moorage.images.image import FILLED
from moorage.images.locations import location, unhashed
from moorage.images.records import images
from moorage.images.signatures import signed
from moorage.images.signatures.signature import Aside
from moorage.images.signatures.signed import SignatureUnproven
from moorage.operations import journal
from moorage.operations.flow import After, Flow, Step, Work
from moorage.operations.records import State
from moorage.operations.work import LOOK_S
from moorage.volumes import copies

KIND = "hash-image"
RESOURCE = "image-hashes"  #: of the image that has the resource's id
DEADLINE_S = 30 * 86400.0
RETRIES = 1 << 30  #: a store that is away is waited for, as long as the image is there


def begin(tx: Transaction, image: Mapping[str, Any], queue: str, algorithm: str | None) -> str:
    """
    Begin to learn what is not known of the image's bytes, in the transaction that makes it active; its own hashes are
    computed with an `algorithm`, and not at all without.
    """
    return journal.begin(
        tx,
        KIND,
        RESOURCE,
        image["id"],
        queue=queue,
        project_id=image["owner"],
        input={"hash_algorithm": algorithm},
        caller=NOBODY,
        deadline_s=DEADLINE_S,
    )


def prove(tx: Transaction, rooms: Rooms, id: str) -> str | None:
    """The operation that takes the hash that the image's signature is over; None where nobody has to."""
    rows = tx.lock(images, [id])
    if not rows or rows[0]["state"] not in FILLED or signed.missing(tx, id) is None:
        return None
    for row in under_way(tx, id):
        return str(row["id"])
    return begin(tx, rows[0], rooms.host_queue if beneath.of(tx, id) else "any", None)


def under_way(tx: Transaction, id: str) -> Sequence[Mapping[str, Any]]:
    """The operations that learn something of the image's bytes."""
    return journal.open_on(tx, RESOURCE, [id])


@contextmanager
def proving(rooms: Rooms) -> Iterator[None]:
    """`prove` the image whose bytes are kept back inside for want of a hash; the refusal names what is waited for."""
    try:
        yield
    except SignatureUnproven as problem:
        id = problem.image
        doing = rooms.database.transact(lambda tx: journal.get(tx, prove(tx, rooms, id) or ""))
        waited_for = () if doing is None else (Blocker("operation", doing["id"], doing["project_id"]),)
        raise SignatureUnproven(blockers=waited_for, **problem.facts) from None


@dataclass(frozen=True)
class _Wanted:
    """What is to be learnt of an image's bytes."""

    image: Mapping[str, Any]
    hashes: bool  #: its own hashes
    over: str | None  #: the hash that its signature is over, where that is not known
    places: Mapping[str, str]


def _wanted(work: Work) -> _Wanted | None:
    """None where nothing is: the image is gone, or all is known."""
    with work.rooms.database.read() as tx:
        image = tx.get(images, work.resource_id)
        places, over = location.objects(tx, work.resource_id), signed.missing(tx, work.resource_id)
    if image is None or image["state"] not in FILLED or not places:
        return None
    hashes = image["checksum"] is None and work.input["hash_algorithm"] is not None
    looked_at = image["read_as"] is not None
    return None if looked_at and not hashes and over is None else _Wanted(image, hashes, over, places)


def compute(work: Work) -> Mapping[str, Any] | After:
    """The image says what was computed from its bytes."""
    wanted = _wanted(work)
    if wanted is None:
        return {}
    waiting = _elsewhere(work) or turn(work, KIND)
    if waiting is not None:
        return waiting
    store = by_weight(work.rooms, wanted.places)[0]
    proven = {"over": wanted.over}
    try:
        if not wanted.hashes and wanted.over is None:
            _look(work, wanted, store)
        else:
            _hash(work, wanted, store)
    except _ReadElsewhere as problem:
        return problem.first
    except (ContentRefused, Malformed, TooLarge) as problem:
        with work.transaction() as tx:
            unhashed.distrust(tx, work.resource_id, problem.sentence)
        return {"refused": problem.sentence, **proven}
    return {"size": wanted.image["size"], **proven}


def _look(work: Work, wanted: _Wanted, store: str) -> None:
    image, settings = wanted.image, work.rooms.settings.images
    measure = Measure(
        image["disk_format"],
        image["container_format"],
        size=image["size"],
        size_limit=settings.size_cap,
        largest_disk_bytes=settings.largest_disk,
    )
    _pass(work, measure, store, wanted.places[store])
    found = measure.finish().inspected
    assert found is not None
    with work.transaction() as tx:
        unhashed.look(tx, work.resource_id, found)


def _hash(work: Work, wanted: _Wanted, store: str) -> None:
    image = wanted.image
    algorithm = work.input["hash_algorithm"] or image["os_hash_algo"] or work.rooms.settings.images.hash_algorithm
    aside = Aside(wanted.over) if wanted.over is not None else None
    taken = read(work, image, store, wanted.places[store], algorithm, aside)
    with work.transaction() as tx:
        if wanted.hashes:
            unhashed.learn(tx, work.resource_id, taken)
        else:
            unhashed.look(tx, work.resource_id, Inspected(taken.format, taken.virtual_size))
        if wanted.over is not None and image["checksum"] in (None, taken.checksum):
            _keep_hashes(tx, work.resource_id, taken)


def read(
    work: Work, image: Mapping[str, Any], store: str, name: str, algorithm: str, aside: Aside | None = None
) -> Taken:
    """What is learnt of the image's bytes in one pass over them, not faster than the settings say."""
    settings = work.rooms.settings.images
    intake = Intake(
        image["disk_format"],
        image["container_format"],
        size=image["size"],
        size_limit=settings.size_cap,
        os_hash_algo=algorithm,
        largest_disk_bytes=settings.largest_disk,
        witness=aside,
    )
    _pass(work, intake, store, name)
    return intake.finish()


def _pass(work: Work, learning: Learning[object], store: str, name: str) -> None:
    pace = Pace(work.rooms.settings.images.hash_rate_mib, _Ear(work).check)
    for chunk in store_of(work.rooms, store).open(name):
        learning.feed(chunk)
        pace.passed(len(chunk))


class _ReadElsewhere(Exception):
    """Somebody else reads all of the bytes; `first` is what is waited for."""

    def __init__(self, first: After) -> None:
        self.first = first


class _Ear:
    """Hears what ends the pass over the bytes: somebody from outside, or a copy that volumes wait for."""

    def __init__(self, work: Work) -> None:
        self._work, self._asked = work, time.monotonic()

    def check(self) -> None:
        self._work.check()
        if time.monotonic() - self._asked > LOOK_S:
            self._asked = time.monotonic()
            first = _elsewhere(self._work)
            if first is not None:
                raise _ReadElsewhere(first)


def _elsewhere(work: Work) -> After | None:
    """
    The copy that reads all of the image's bytes now, because volumes wait for it. One that was hindered is not waited
    for: it may never learn anything.
    """
    with work.rooms.database.read() as tx:
        for copy in copies.awaited(tx, work.resource_id):
            for row in journal.open_on(tx, "copy", [copy["id"]]):
                if row["state"] == State.RUNNING and row["attempts"] == 0:
                    return After(str(row["id"]), unless_hindered=True)
    return None


def learnt(tx: Transaction, id: str, taken: Taken) -> None:
    """What a copy has learnt in its pass over the bytes counts as if it had been learnt here. The image is locked."""
    if any(row["input"]["hash_algorithm"] == taken.os_hash_algo for row in under_way(tx, id)):
        unhashed.learn(tx, id, taken)
    else:
        unhashed.look(tx, id, Inspected(taken.format, taken.virtual_size))
    _keep_hashes(tx, id, taken)


def _keep_hashes(tx: Transaction, id: str, taken: Taken) -> None:
    """Those that signatures are over; a deleted image's deletion has forgotten them, or is about to."""
    if any(image["state"] in FILLED for image in tx.lock(images, [id])):
        signed.keep(tx, id, taken.hashes)


def settle(tx: Transaction, operation: Mapping[str, Any]) -> None:
    """What the image's signature has come to be over meanwhile is seen to by another operation."""
    if operation["state"] != State.DONE:
        return
    rows = tx.lock(images, [operation["resource_id"]])
    over = signed.missing(tx, operation["resource_id"])
    if rows and rows[0]["state"] in FILLED and over not in (None, operation["results"]["hash"].get("over")):
        begin(tx, rows[0], operation["queue"], operation["input"]["hash_algorithm"])


HASH_IMAGE = Flow(
    KIND,
    (Step("hash", compute),),
    settle=settle,
    deadline_s=DEADLINE_S,
    retries=RETRIES,
    instead="Nobody waits for it, and it ends when image {id} is deleted.",
)

__all__ = ["HASH_IMAGE", "KIND", "RESOURCE", "begin", "learnt", "prove", "proving", "read", "under_way"]
