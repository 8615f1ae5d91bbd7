"""
The bytes of an import, before any store has them: staged by a client, or fetched from elsewhere into the staging area.

Then what is configured to become of them: each transformation makes new staged bytes of the last ones.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.flows.images.clear import STAGING, clear, staging_of
from moorage.flows.images.incoming.progress import Progress
from moorage.images import allowance, open_formats
from moorage.images.errors import MethodUnknown
from moorage.images.imports import staging, task
from moorage.images.imports.method import FetchBroken, Method, Source
from moorage.images.imports.transformation import HEAD_BYTES, Form, Given, Transformation
from moorage.images.store import StoreUnavailable
from moorage.operations.flow import Work
from moorage.operations.journal import Fenced

RESERVED_S = 1.0  #: how often room is reserved for what comes in unannounced
HASHES = frozenset({"md5", "sha1", "sha256", "sha384", "sha512"})  #: that fetched bytes are compared by


def obtain(work: Work) -> Mapping[str, Any]:
    """The bytes are in the staging area."""
    asked = work.input
    if asked["staged"] is not None:
        with work.transaction() as tx:
            task.proceed(tx, work.id)
        form = {name: asked[name] for name in ("disk_format", "container_format")}
        return {"object": asked["staged"], "size": asked["size"], "properties": {}, **form}
    method = work.rooms.methods.get(asked["method"])
    if method is None:
        raise MethodUnknown(method=asked["method"], methods=", ".join(sorted(work.rooms.methods)) or "none")
    give_back(work)
    return _fetched(work, method)


def give_back(work: Work) -> None:
    """Nothing is staged for this import any more."""
    with work.transaction() as tx:  # fenced: whoever was succeeded must not learn the names of his successor here
        names = [row["object"] for row in staging.of_operation(tx, work.id)]
    if work.error is not None and work.input["staged"] is not None:
        names.append(work.input["staged"])
    for name in names:
        clear(work, STAGING, name)
    _clear_scratch(work)


def _clear_scratch(work: Work) -> None:
    for epoch in range(1, work.epoch + 1):
        shutil.rmtree(_scratch(work, epoch), ignore_errors=True)


def _scratch(work: Work, epoch: int) -> Path:
    """A directory for what transformations need besides; nobody else's, not even that of who succeeds us."""
    return Path(work.rooms.state, "scratch", f"{work.id}-{epoch}")


def _fetched(work: Work, method: Method) -> Mapping[str, Any]:
    source = method.open(work.input["checked"], work.rooms.settings.images.size_cap, work.check)
    try:
        remote = source.remote
        open_formats.check(vars(remote), work.rooms.settings.images)
        name = staging.name_of(work.resource_id, work.tag)
        with work.transaction() as tx:
            _reserve(tx, work, remote.size)
            staging.expect(tx, work.resource_id, name, work.id, remote.size)
        size = _take_in(work, source, name)
    finally:
        source.close()
    _arrived(work, name, size)
    return {
        "object": name,
        "size": size,
        "disk_format": work.input["disk_format"] or remote.disk_format,
        "container_format": work.input["container_format"] or remote.container_format,
        "properties": dict(remote.properties),
    }


def _arrived(work: Work, name: str, size: int) -> None:
    """The bytes are there, and counted; gone, where somebody has taken over and cleared away before they were there."""
    try:
        with work.transaction() as tx:
            _reserve(tx, work, size)
            staging.arrive(tx, name, size)
    except Fenced:
        staging_of(work.rooms).delete(name)
        raise


def _reserve(tx: Transaction, work: Work, size: int | None) -> None:
    """The image's owner has room for so many bytes, here and in all stores that are to get them; refused where not."""
    if size is not None:
        allowance.adjust(tx, work.id, stored=size * len(work.input["stores"]), staged=size)


class _Room:
    """
    Cuts off what comes in as soon as its owner has no room for it: what has come is reserved every now and then, so
    that of several that come at once the one is cut that goes too far.
    """

    def __init__(self, work: Work, announced: int | None) -> None:
        self._work, self._announced = work, announced
        self._looked, self._enough = -RESERVED_S, 0

    def check(self, size: int) -> None:
        """Raise `OverQuota`, or what says that no image may have `size` bytes."""
        cap = self._work.rooms.settings.images.size_cap
        if size > cap:
            raise FetchBroken(reason=f"It is larger than the {cap} bytes that an image may have.")
        if self._announced is not None and size <= self._announced:
            return  # reserved as a whole
        if size > self._enough or time.monotonic() - self._looked > RESERVED_S:
            with self._work.transaction() as tx:
                _reserve(tx, self._work, size)
                left = allowance.left(tx, self._work.id, len(self._work.input["stores"]))
            self._looked, self._enough = time.monotonic(), cap if left is None else left


def _take_in(work: Work, source: Source, name: str) -> int:
    """Write what comes into the staging area, where it is what it was said to be; how many bytes."""
    remote = source.remote
    progress = Progress(work, "Fetched", remote.size)
    expected = _Expected(remote.os_hash_algo, remote.os_hash_value, remote.checksum)
    room = _Room(work, remote.size)
    writer = staging_of(work.rooms).create(name, remote.size)
    size = 0
    try:
        for chunk in source.chunks:
            size += len(chunk)
            room.check(size)
            expected.feed(chunk)
            writer.write(chunk)
            progress.moved(len(chunk))
        if remote.size is not None and size != remote.size:
            raise FetchBroken(reason=f"{size} bytes came, not the {remote.size} that were announced.")
        expected.finish()
        writer.commit()
    except BaseException:
        writer.abort()
        raise
    return size


class _Expected:
    """The hash that fetched bytes must have, where one is known."""

    def __init__(self, algorithm: str | None, value: str | None, md5: str | None) -> None:
        known = algorithm in HASHES and value is not None
        self._value = value if known else md5
        name = str(algorithm) if known else "md5"
        self._hash = hashlib.new(name, usedforsecurity=False) if self._value is not None else None

    def feed(self, chunk: bytes) -> None:
        if self._hash is not None:
            self._hash.update(chunk)

    def finish(self) -> None:
        if self._hash is not None and self._hash.hexdigest() != str(self._value).lower():
            raise FetchBroken(reason="The data that came do not have the hash that the other side says they have.")


def transform(work: Work) -> Mapping[str, Any]:
    """The bytes are as the stores are to get them."""
    _clear_scratch(work)  # of an earlier run that was killed
    now = dict(work.results["obtain"])
    for number, each in enumerate(work.rooms.transformations):
        form = Form(now["disk_format"] or "", now["container_format"] or "")
        target = each.becomes(form, _head(work, now["object"]), work.input["stores"])
        if target is not None:
            name = staging.name_of(work.resource_id, f"{work.tag}-{number}")
            size = _carry_out(work, each, form, now, name)
            now |= {"object": name, "size": size}
            now |= {"disk_format": target.disk_format, "container_format": target.container_format}
    if not now["disk_format"] or not now["container_format"]:
        raise Malformed(reason="The image has no formats, and none came with its data.")
    return now


def _carry_out(work: Work, each: Transformation, form: Form, now: Mapping[str, Any], name: str) -> int:
    store, settings = staging_of(work.rooms), work.rooms.settings.images
    path = store.path(now["object"])
    if path is None:
        raise StoreUnavailable(store=STAGING, why="transformations need files of this host")
    scratch = _scratch(work, work.epoch)
    scratch.mkdir(parents=True, mode=0o700)
    with work.transaction() as tx:
        task.proceed(tx, work.id, message=f"Doing {each.name}")
        staging.forget(tx, [name])
        staging.expect(tx, work.resource_id, name, work.id, None)
    given = Given(
        form=form,
        size=now["size"],
        stores=work.input["stores"],
        chunks=lambda: store.open(now["object"]),
        path=path,
        scratch=scratch,
        size_limit=settings.size_cap,
        largest_disk_bytes=settings.largest_disk,
        check=work.check,
    )
    writer = store.create(name, None)
    try:
        each.carry_out(given, writer)
        writer.commit()
    except BaseException:
        writer.abort()
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    size = store.size(name)
    _arrived(work, name, size)
    return size


def _head(work: Work, name: str) -> bytes:
    return b"".join(staging_of(work.rooms).open(name, 0, HEAD_BYTES))


def chunks_of(work: Work, name: str) -> Iterator[bytes]:
    """Staged bytes, from the beginning."""
    return staging_of(work.rooms).open(name)
