"""
A store of volumes: an object is a volume `image-<image id>` of the service's project.

What it is, the volume says itself: its metadata has the image, the size and the owner, as Glance's store writes them,
and the store and the object that it was made for. It is an object once `moorage_state` says `ready`, the last thing
that is written; until then it is something half-made, which is found by the same metadata and deleted.
"""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moorage.drivers.stores.naming import checked, image_of
from moorage.drivers.stores.volume import nbd
from moorage.drivers.stores.volume.holding import Holder
from moorage.drivers.stores.volume.pool import Pool
from moorage.drivers.stores.volume.register import Register
from moorage.drivers.stores.volume.service import BlockStorage, StoreBusy, Volume, VolumeUnfit
from moorage.drivers.stores.volume.writer import GIB, VolumeWriter
from moorage.images.store import (
    LocationRefused,
    ObjectMissing,
    ObjectUnavailable,
    Store,
    StoreUnavailable,
    Traits,
    is_adopted,
)

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
IMAGE, SIZE, OWNER = "glance_image_id", "image_size", "image_owner"  #: as Glance's store names them
STORE, OBJECT, STATE = "moorage_store", "moorage_object", "moorage_state"
WRITING, READY, LEAVING = "writing", "ready", "leaving"
SWEEP_S = 60.0  #: how often it is looked for what processes have left that died
NAMELESS_S = 60.0  #: an attachment elsewhere that stays reserved for so long is nobody's
GOING = ("deleting", "error_deleting")


class VolumeStore(Store):
    """Objects as volumes of `service`."""

    kind = "cinder"

    def __init__(
        self,
        id: str,
        service: BlockStorage,
        holder: Holder,
        *,
        volume_type: str = "",
        idle_s: float = 15.0,
        owner_of: Callable[[str], str | None] = lambda image: None,
        trim: Callable[[str, int], None] | None = None,
        register: Register | None = None,
    ) -> None:
        """`owner_of` tells an image's project; `trim` makes a volume of ours shorter."""
        super().__init__(id)
        self.traits = Traits(adopts=True, takes=True)
        self.service, self._type, self._owner_of, self._trim = service, volume_type, owner_of, trim
        self.pool = Pool(holder, idle_s, self._tend)
        self._swept = -SWEEP_S
        self._leaving: set[str] = set()  # volumes of no object any more that are still read
        self._register = register or Register()
        self._suspects: dict[str, float] = {}  # reservations of unknown owners, and since when
        self._known: dict[str, tuple[str, int]] = {}  # name: volume and size, which never change
        self._guard = threading.Lock()

    def create(self, name: str, size: int | None) -> VolumeWriter:
        self.delete(name)
        size_gib = max(1, -(-(size or 0) // GIB))
        id = self._new(name, size_gib, {SIZE: str(size)} if size is not None else {})
        try:
            self.service.settled(id)
            return VolumeWriter(self.id, self.service, self.pool, id, size_gib, self._finish)
        except BaseException:
            self.service.delete(id)
            raise

    def _new(self, name: str, size_gib: int, more: Mapping[str, str], source: str | None = None) -> str:
        image = image_of(name)
        said = {IMAGE: image, OWNER: self._owner_of(image) or "", STORE: self.id, OBJECT: name, STATE: WRITING}
        return self.service.create(f"image-{image}", size_gib, self._type, {**said, **more}, source)

    def take(self, name: str, volume: str) -> int:
        self.delete(name)
        row = self.service.find(volume)
        if row is None:
            raise VolumeUnfit(volume=volume, store=self.id, status="gone")
        size_gib = int(row["size"])
        id = self._new(name, size_gib, {SIZE: str(size_gib * GIB)}, volume)
        try:
            self._finish(id, size_gib * GIB, size_gib)
        except BaseException:
            self.service.delete(id)
            raise
        return size_gib * GIB

    def _finish(self, id: str, size: int, size_gib: int) -> None:
        needed_gib = max(1, -(-size // GIB))
        self.service.settled(id)
        if needed_gib < size_gib and self._trim is not None:
            self._trim(id, needed_gib)
        self.service.protect(id)
        if not self.service.write_down(id, {SIZE: str(size), STATE: READY}):
            raise VolumeUnfit(volume=id, store=self.id, status="gone")

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        id, size = self._object(name)
        end = size if length is None else min(size, offset + length)
        return _Named(self, name, self.pool.stream(id, offset, end))

    def delete(self, name: str) -> None:
        if is_adopted(name):
            return
        checked(name)
        with self._guard:
            self._known.pop(name, None)
        for row in self._volumes(name):
            self.service.write_down(row["id"], {STATE: LEAVING})
            self._remove(row["id"])

    def _remove(self, id: str) -> None:
        """
        The volume goes, and with it whoever was still writing it. While somebody reads it, it stays, as nobody's object
        any more, until he has done so; that is written on it, so that any process can see to it.
        """
        with self._guard:
            self._leaving.add(id)
        if self.pool.busy(id):
            return
        self.pool.forget(id)
        for claim in self.service.attachments(id):
            if claim.get("attach_mode") == "rw":
                self.service.detach(claim["id"])
        with contextlib.suppress(StoreBusy):
            self.service.delete(id)
            with self._guard:
                self._leaving.discard(id)

    def _tend(self) -> None:
        """Volumes that wait for their last reader go, where he has left; now and then, those of other processes too."""
        if time.monotonic() - self._swept > SWEEP_S:
            self._swept = time.monotonic()
            self._sweep()
        for id in list(self._leaving):
            with contextlib.suppress(StoreUnavailable):
                self._remove(id)

    def size(self, name: str) -> int:
        return self._object(name)[1]

    def names(self) -> frozenset[str]:
        rows = self.service.marked(STORE, self.id)
        return frozenset(row["metadata"][OBJECT] for row in rows if _is_there(row))

    def free(self) -> int | None:
        return None

    def probe(self) -> None:
        self.service.check(self._type)
        self._swept = -SWEEP_S
        self.pool.look_after()

    def _sweep(self) -> None:
        """
        Find what others have left to go; elsewhere, give back what processes of this host held when they died.
        """
        rows = self.service.marked(STATE, LEAVING)
        with self._guard:
            self._leaving |= {row["id"] for row in rows if row["metadata"].get(STORE) == self.id}
        for left in self._register.left():
            for attachment in left.attachments:
                self.service.detach(attachment)
            if self._nameless(left.volume):
                left.path.unlink(missing_ok=True)

    def _nameless(self, volume: str) -> bool:
        """
        Whether no reservation is left on the volume that a process may have died with before it knew its name. What
        stays reserved for long is one; what does not is somebody's, here or on another host, who is just attaching.
        """
        now, living = time.monotonic(), self._register.living(volume)
        waiting = False
        for claim in self.service.attachments(volume):
            if claim["status"] == "reserved" and not claim.get("instance") and claim["id"] not in living:
                if now - self._suspects.setdefault(claim["id"], now) > NAMELESS_S:
                    self.service.detach(claim["id"])
                else:
                    waiting = True
        return not waiting

    def url(self, name: str) -> str:
        return name if is_adopted(name) else f"cinder://{self.id}/{self._object(name)[0]}"

    def adopt(self, url: str) -> str:
        parts = url.removeprefix("cinder://").split("/")
        of_this = len(parts) == 1 or (len(parts) == 2 and parts[0] == self.id)
        if not url.startswith("cinder://") or not of_this or not UUID.fullmatch(parts[-1]):
            raise LocationRefused(reason=f"it is not cinder://{self.id}/VOLUME.")
        return f"cinder://{self.id}/{parts[-1]}"

    def close(self) -> None:
        self.pool.close()

    def properties(self) -> Mapping[str, Any]:
        return {"volume_type": self._type, "use_multipath": False}

    def volume(self, name: str) -> str:
        """The id of the volume that holds the object."""
        return self._object(name)[0]

    def _object(self, name: str) -> tuple[str, int]:
        """The volume that holds the object, and the object's size."""
        found = self._known.get(name)
        if found is None:
            row = self._adopted(name) if is_adopted(name) else self._finished(name)
            if row is None:
                raise ObjectMissing(image="" if is_adopted(name) else image_of(name), store=self.id)
            found = (row["id"], _size_of(row))
            with self._guard:
                self._known[name] = found
        return found

    def _finished(self, name: str) -> Volume | None:
        rows = [row for row in self._volumes(checked(name)) if row["metadata"].get(STATE) == READY]
        return rows[0] if rows else None

    def _adopted(self, url: str) -> Volume | None:
        """A volume that others have made for an image; none that is not marked as one is ever read."""
        id = self.adopt(url).rpartition("/")[2]
        row = self.service.find(id)
        if row is None or row["status"] in GOING:
            return None
        if IMAGE not in row["metadata"]:
            raise LocationRefused(reason=f"the volume {id} was not made for an image.")
        if "error" in row["status"]:
            raise VolumeUnfit(volume=id, store=self.id, status=row["status"])
        return row

    def _volumes(self, name: str) -> list[Volume]:
        """The volumes that were made for the object, but those that are going."""
        rows = self.service.called(f"image-{image_of(checked(name))}")
        mine = [row for row in rows if row["metadata"].get(OBJECT) == name and row["metadata"].get(STORE) == self.id]
        return [row for row in mine if _is_there(row)]


class _Named(Iterator[bytes]):
    """A stream whose problems name the store."""

    def __init__(self, store: VolumeStore, name: str, stream: Iterator[bytes]) -> None:
        self._store, self._name, self._stream = store, name, stream

    def __next__(self) -> bytes:
        try:
            return next(self._stream)
        except (nbd.Broken, nbd.Failed) as problem:
            why = f"its volume fails with error {problem}" if isinstance(problem, nbd.Failed) else str(problem)
            image = "" if is_adopted(self._name) else image_of(self._name)
            raise ObjectUnavailable(image=image, store=self._store.id, why=why) from problem


def _is_there(row: Volume) -> bool:
    """Whether the volume is anything to the store yet, or still."""
    return row["status"] not in GOING and row["metadata"].get(STATE) != LEAVING


def _size_of(row: Volume) -> int:
    said = row["metadata"].get(SIZE, "")
    return int(said) if said.isdecimal() else int(row["size"]) * GIB
