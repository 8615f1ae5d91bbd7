"""
Fill a copy: all that its readers have not asked for yet is fetched, at a set rate, until the copy is whole.

Nothing waits for this but images of which no digests are known: those are read from end to end, hashed and inspected
before a volume may lie on them.  Whatever goes wrong is tried again, for as long as somebody needs the copy.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from moorage.core.errors import Problem
from moorage.core.ids import new_uuid
from moorage.database import Transaction
from moorage.flows.images.clear import clear_if_forsaken
from moorage.flows.images.locations import hash_image
from moorage.flows.images.stores import store_of
from moorage.flows.pace import Pace
from moorage.flows.rooms import Rooms
from moorage.flows.turns import turn
from moorage.flows.volumes.volume_layers import backend_of
from moorage.images.content import known_digests
from moorage.images.content.formats import ContentRefused
from moorage.images.content.intake import Intake, Taken
from moorage.images.outgoing import Usable
from moorage.images.records import images
from moorage.images.signatures import signed
from moorage.images.signatures.signature import Aside
from moorage.operations import journal
from moorage.operations.flow import After, Flow, Step, Work
from moorage.operations.periodic import Job
from moorage.volumes import copies, layers
from moorage.volumes.backend import CHUNK_BYTES

KIND = "hydrate-copy"
YEARS_S = 10 * 365 * 86400.0
RESUME_S = 60.0
WRITE_DOWN_S = 1.0  #: how often it is written down how far it has come


class Hindered(Problem):
    """{why} It goes on later."""

    status, code = 503, "copy.hindered"


class Unlike(Problem):
    """What store {store} has is not what image {image} is said to be: {why}"""

    status, code = 503, "copy.unlike"


def begin(tx: Transaction, image: Usable, backend: str, host: str, store: str) -> Mapping[str, Any]:
    """A new copy of the image, whose row is locked, and the operation that fills it; the copy's row."""
    id = new_uuid()
    digests = image.read_as is not None and known_digests.of(tx, image.id, image.size) is not None
    read_as = image.read_as or image.disk_format
    new = copies.New(
        id=id,
        backend=backend,
        host=host,
        format="raw" if read_as == "iso" else read_as,
        disk_bytes=image.virtual_size or image.size,
        image_id=image.id,
        store=store,
        object=image.stores[store],
        size_bytes=image.size,
        digests=digests,
    )
    row = copies.enter(tx, new)
    _begin(tx, row, id)
    return row


def _begin(tx: Transaction, row: Mapping[str, Any], id: str | None = None) -> str:
    asked = {"backend": row["backend"], "layer": row["layer"], "image_id": row["image_id"]}
    queue = f"host:{row['host']}"
    return journal.begin(
        tx, KIND, "copy", row["id"], queue=queue, project_id=None, input=asked, deadline_s=YEARS_S, id=id
    )


def ensured(tx: Transaction, row: Mapping[str, Any]) -> str:
    """The operation that fills the copy; a new one, if the last has ended over something."""
    under_way = journal.open_on(tx, "copy", [row["id"]])
    return str(under_way[0]["id"]) if under_way else _begin(tx, row)


def resume(rooms: Rooms) -> None:
    """Have every copy of this host filled that is not, though somebody may have cancelled that."""
    with rooms.database.read() as tx:
        rows = copies.unfinished(tx, rooms.host)
        idle = [row for row in rows if not journal.open_on(tx, "copy", [row["id"]])]
    for row in idle:
        with rooms.database.write() as tx:
            if copies.get(tx, row["id"]) is not None:
                ensured(tx, row)


def resuming(rooms: Rooms) -> Job:
    """`resume`, now and then."""
    return Job(f"hydrate-{rooms.host}"[:64], RESUME_S, lambda: resume(rooms))


def awaited(work: Work, layer: str) -> After | None:
    """What a step waits for that needs a layer whole, if that is a copy."""
    with work.rooms.database.read() as tx:
        row = copies.of(tx, layer)
    if row is None or row["state"] == copies.State.WHOLE:
        return None
    if row["state"] not in copies.UNFINISHED:
        raise Problem() if row["trouble"] is None else Refused(why=row["trouble"])
    with work.transaction() as tx:
        return After(ensured(tx, row))


class Refused(Problem):
    """{why}"""

    status, code = 400, "copy.refused"


def fill(work: Work) -> Mapping[str, Any] | After:
    """The copy is whole, or nobody needs it any more."""
    with work.rooms.database.read() as tx:
        row = copies.get(tx, work.resource_id)
    if row is None or row["state"] not in copies.UNFINISHED:
        return _nothing(work)
    first = turn(work, KIND, work.rooms.settings.volumes.hydrations)
    if first is not None:
        return first
    try:
        if row["state"] == copies.State.AWAITED:
            return _download(work, row)
        return _hydrate(work, row)
    except Hindered:
        raise
    except Problem as problem:
        return _hindered(work, problem)


def _hindered(work: Work, problem: Problem) -> Mapping[str, Any]:
    """Say what is wrong and try again later, if there is still anybody who needs the copy."""
    work.check()
    with work.transaction() as tx:
        row = copies.get(tx, work.resource_id)
        needed = row is not None and row["state"] in copies.UNFINISHED
        if needed:
            copies.tell(tx, work.resource_id, problem.sentence)
    if not needed:
        return _nothing(work)
    raise Hindered(why=problem.sentence) from problem


class Course:
    """Keeps to a rate, looks up now and then whether there is a reason to stop, and knows how much has been moved."""

    def __init__(self, work: Work) -> None:
        self._work, self._written = work, float("-inf")
        self._pace = Pace(work.rooms.settings.volumes.hydration_mib_per_s, self.look)
        self.moved = 0

    def after(self, moved: int) -> None:
        """Wait as long as `moved` bytes should have taken."""
        self.moved += moved
        self._pace.passed(moved)

    def due(self) -> bool:
        """Whether it is time to write down how far it has come."""
        due = time.monotonic() - self._written > WRITE_DOWN_S
        if due:
            self._written = time.monotonic()
        return due

    def look(self) -> None:
        """Raise where this is not to go on, or not here."""
        self._work.check()
        if self._work.stopping:
            raise Hindered(why="This process is stopping.")


def _hydrate(work: Work, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fetch what is missing, chunk by chunk; chunks that readers have fetched meanwhile cost nothing."""
    backend, layer = backend_of(work), row["layer"]
    make(work, row)
    course = Course(work)
    missing = len(backend.missing(layer))
    for chunk in backend.missing(layer):
        moved = backend.fill_copy(layer, chunk)
        missing -= 1
        if course.due():  # before the wait: what readers suffer during it is not over
            backend.settle_copy(layer)
            there = max(row["size_bytes"] - missing * CHUNK_BYTES, 0)
            if not _progress(work, there, came=moved > 0):
                return _nothing(work)
        course.after(moved)
    if not backend.settle_copy(layer):
        raise Hindered(why="Parts of it are missing still.")
    if not _complete(work, row):
        return _nothing(work)
    return {"bytes": course.moved}


def make(work: Work, row: Mapping[str, Any]) -> None:
    """The copy's file is there, be there anything in it or not."""
    with work.rooms.database.read() as tx:
        digests = known_digests.of(tx, row["image_id"], row["size_bytes"])
    if digests is None:
        raise Hindered(why=f"The digests of image {row['image_id']} are gone.")
    backend_of(work).make_copy(row["layer"], row["size_bytes"], digests)


def _progress(work: Work, there: int, *, came: bool = True) -> bool:
    """Write down how much is there, and that no trouble is left if some `came` just now; whether it is still wanted."""
    with work.transaction() as tx:
        row = copies.get(tx, work.resource_id)
        if row is None or row["state"] not in copies.UNFINISHED:
            return False
        copies.progress(tx, work.resource_id, there)
        if came and row["trouble"] is not None:
            copies.tell(tx, work.resource_id, None)
    return True


def _complete(work: Work, row: Mapping[str, Any], taken: Taken | None = None) -> bool:
    """It needs its source no more; that goes, if it was left for the copy's sake alone. Whether anybody needs it."""
    with work.transaction() as tx:
        found = tx.lock(images, [row["image_id"]])
        if taken is not None:
            for image in found:
                _compare(row, image, taken)  # somebody may have hashed it meanwhile
                hash_image.learnt(tx, image["id"], taken)
            known_digests.keep(tx, row["image_id"], taken.digests)
            layers.measure(tx, row["layer"], taken.virtual_size or taken.size)
        complete = copies.complete(tx, row)
        if complete:
            clear_if_forsaken(tx, row["store"], row["object"])
        return complete


def _download(work: Work, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read all of it, find out what it is, and have volumes lie on it if that is what was said."""
    with work.rooms.database.read() as tx:
        image, over = tx.get(images, row["image_id"]), signed.missing(tx, row["image_id"])
    if image is None:
        raise Hindered(why=f"Image {row['image_id']} is gone.")
    intake = Intake(
        image["disk_format"],
        image["container_format"],
        size=row["size_bytes"],
        os_hash_algo=image["os_hash_algo"] or work.rooms.settings.images.hash_algorithm,
        largest_disk_bytes=work.rooms.settings.images.largest_disk,
        witness=Aside(over) if over is not None else None,
    )
    course = Course(work)
    taken: Taken | None = None

    def bytes_of_it() -> Iterator[bytes]:
        nonlocal taken
        for chunk in _source(work, row):
            intake.feed(chunk)
            yield chunk
            course.after(len(chunk))
            if course.due() and not _progress(work, course.moved):
                raise _Unneeded()
        taken = intake.finish()
        _compare(row, image, taken)

    try:
        backend_of(work).pour_copy(row["layer"], row["size_bytes"], bytes_of_it())
    except _Unneeded:
        return _nothing(work)
    except ContentRefused as problem:
        if image["os_hash_value"] is not None:  # what the image is was not this
            raise
        return _refuse(work, row, problem)
    if not _complete(work, row, taken):
        return _nothing(work)
    return {"bytes": course.moved}


class _Unneeded(Exception):
    """Nobody needs the copy any more."""


def _nothing(work: Work) -> Mapping[str, Any]:
    """No bytes are left of a copy whose last volume has gone, perhaps before these bytes were there."""
    with work.rooms.database.read() as tx:
        row = copies.get(tx, work.resource_id)
    if row is None or row["state"] == copies.State.LEAVING:
        backend_of(work).delete(work.input["layer"])
    return {}


def _source(work: Work, row: Mapping[str, Any]) -> Iterator[bytes]:
    store = store_of(work.rooms, row["store"])
    return store.open(row["object"], 0, row["size_bytes"])


def _compare(row: Mapping[str, Any], image: Mapping[str, Any], taken: Taken) -> None:
    known = {"checksum": taken.checksum, "os_hash_value": taken.os_hash_value}
    for name, value in known.items():
        if image[name] is not None and image[name] != value:
            raise Unlike(store=row["store"], image=image["id"], why=f"its {name} is {value}.")
    if (image["read_as"] or image["disk_format"]) != taken.format:
        raise Unlike(store=row["store"], image=image["id"], why=f"its content is {taken.format}.")


def _refuse(work: Work, row: Mapping[str, Any], problem: Problem) -> Mapping[str, Any]:
    with work.transaction() as tx:
        copies.tell(tx, row["id"], problem.sentence)
        copies.move(tx, row["id"], "refuse")
    return {"refused": problem.sentence}


HYDRATE_COPY = Flow(
    KIND,
    (Step("fill", fill),),
    deadline_s=YEARS_S,
    retries=1 << 30,
    instead="It fills what volumes of image {image_id} lie on, and ends with the last of them: delete these.",
)
