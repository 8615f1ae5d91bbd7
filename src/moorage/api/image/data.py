"""An image's data: uploaded once, downloaded by parts or whole."""

import asyncio
import errno
import io
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moorage.api.certified import certified
from moorage.api.image.media import BYTES
from moorage.api.image.ranges import part_of
from moorage.api.request import Answer, AtStore, Outcome, Request
from moorage.core.errors import Malformed, UnsupportedContent
from moorage.database import Transaction
from moorage.flows.images import stores
from moorage.flows.images.incoming.reception import Asked, Reception
from moorage.flows.images.incoming.upload import Upload
from moorage.flows.images.locations.hash_image import proving
from moorage.flows.images.reading import Reading
from moorage.flows.images.stores import read_first, store_of
from moorage.images import outgoing
from moorage.images.access import rules
from moorage.images.access.visibility import find
from moorage.images.errors import Deactivated, StoreUnknown
from moorage.images.image import FILLED, State
from moorage.images.signatures.certificates import Certificates
from moorage.images.store import ObjectMissing, ObjectUnavailable, StoreUnavailable

BATCH_BYTES = 2 << 20
FIRST_BYTES = 128 << 10  #: of a file go out with the header, at once; the rest by the kernel
LOOK_S = 1.0  #: how often it is looked whether an upload is still wanted, and gets on


async def upload(ask: Request, body: AsyncIterator[bytes]) -> Answer:
    """Fill an image with its data."""
    if ask.headers.get("moorage-store"):
        stores.asked(ask.rooms, ask.headers["moorage-store"])  # refused before anything is begun
    return await receive(ask, Upload(ask.rooms, ask.caller, ask.params["id"], asked_upload(ask)), body)


async def receive(ask: Request, reception: Reception[Any], body: AsyncIterator[bytes]) -> Answer:
    """Take in what the client sends, all of it or nothing."""
    pump = _Pump(ask, reception, body)
    try:
        await ask.sql(reception.begin)
        await pump.run()
        await ask.on_store(reception.store)(reception.close)
        await ask.sql(reception.record)
    except Exception as problem:
        given_up = problem
        await pump.rest()
        await ask.on_store(reception.store)(reception.clear)
        await ask.sql(lambda: reception.give_up(given_up))
        await ask.on_store(reception.store)(reception.sweep)
        raise
    return Answer(204)


def asked_upload(ask: Request) -> Asked:
    """What the client says of its upload beforehand."""
    kind = ask.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != BYTES:
        raise UnsupportedContent(reason=f"The data of an image is sent as {BYTES}, not as {kind[:100] or 'nothing'}.")
    declared, length = ask.headers.get("x-openstack-image-size"), ask.headers.get("content-length")
    sizes = {_size(text) for text in (declared, length) if text is not None}
    if len(sizes) > 1:
        raise Malformed(reason=f"{length} bytes are sent, not the announced {declared}.")
    headers = ask.headers
    named = {store for name in ("x-image-meta-store", "moorage-store") if (store := headers.get(name))}
    if len(named) > 1:
        raise Malformed(reason="X-Image-Meta-Store and Moorage-Store name two different stores.")
    return Asked(
        size=next(iter(sizes), None),
        store=next(iter(named), None),
        base=headers.get("x-openstack-base-image-ref") or None,
    )


def _size(text: str) -> int:
    if not (text.isascii() and text.strip().isdigit() and len(text) < 20 and int(text) < 1 << 63):
        raise Malformed(reason="The header X-OpenStack-Image-Size is a number of bytes.")
    return int(text)


class _Pump:
    """Receives the next bytes while the last ones are worked on; holds two batches at most."""

    def __init__(self, ask: Request, reception: Reception[Any], body: AsyncIterator[bytes]) -> None:
        self._ask, self._reception, self._body = ask, reception, body
        self._busy: asyncio.Future[Any] | None = None

    async def run(self) -> None:
        """All of the body is taken in; raises what ends the upload before."""
        receiving = asyncio.ensure_future(self._receive())
        try:
            while not receiving.done():
                await asyncio.wait({receiving}, timeout=LOOK_S)
                if not receiving.done():
                    await self._ask.sql(self._reception.check)
            receiving.result()
        finally:
            receiving.cancel()

    async def rest(self) -> None:
        """Nothing is worked on any more."""
        if self._busy is not None:
            await asyncio.wait({self._busy})

    async def _receive(self) -> None:
        batch: list[bytes] = []
        size = 0
        async for chunk in self._body:
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH_BYTES:
                await self._hand_over(batch)
                batch, size = [], 0
        if batch:
            await self._hand_over(batch)
        await self._settled()

    async def _hand_over(self, batch: list[bytes]) -> None:
        await self._settled()
        threads = self._ask.on_store(self._reception.store)
        self._busy = asyncio.ensure_future(threads(lambda: self._reception.take(batch)))

    async def _settled(self) -> None:
        if self._busy is not None:
            await asyncio.shield(self._busy)


@dataclass(frozen=True)
class _Found:
    size: int
    checksum: str | None
    places: list[tuple[str, str]]  #: store and object, the one to be read first at the beginning


def download(ask: Request) -> Outcome:
    """Send an image's data, whole or in part; 204 while there is none."""
    return certified(ask, lambda certificates: _answer(ask, _find(ask, certificates)))


def _answer(ask: Request, found: _Found | None) -> Answer | AtStore:
    if found is None:
        return Answer(204)
    part = part_of(ask.headers, found.size)
    headers = {"Content-MD5": found.checksum} if found.checksum is not None else {}  # nobody has read them yet
    if part is not None:
        headers["Content-Range"] = part.header(found.size)
    offset, length = (part.first, part.length) if part is not None else (0, found.size)
    status = 200 if part is None else 206
    if not found.places:
        raise ObjectMissing(image=ask.params["id"], store="none")

    def answer(n: int) -> Answer:
        source = _source(ask, found, n, offset, length)
        return Answer(status, headers=headers, content_type=BYTES, offset=offset, length=length, **source)

    return _at(ask, found, 0, answer)


def _at(ask: Request, found: _Found, n: int, answer: Callable[[int], Answer]) -> AtStore:
    """The answer with the bytes of place number `n`, else of the next one; each is looked for on its own threads."""

    def look() -> Answer | AtStore:
        try:
            return answer(n)
        except (ObjectMissing, StoreUnavailable):
            if n + 1 < len(found.places):
                return _at(ask, found, n + 1, answer)
            with ask.read() as tx:
                _image(ask, tx)  # one that was deleted meanwhile is not missing its data
            raise

    return AtStore(found.places[n][0], look)


def _image(ask: Request, tx: Transaction) -> Mapping[str, Any]:
    """The image, for a caller who may read its data."""
    image = find(tx, ask.caller, ask.params["id"])
    rules.permit(ask.caller, rules.DOWNLOAD)
    if image["state"] == State.DEACTIVATED and not ask.caller.is_admin:
        raise Deactivated()
    return image


def _find(ask: Request, certificates: Certificates | None) -> _Found | None:
    """Where the data are."""
    with proving(ask.rooms), ask.read() as tx:
        image = _image(ask, tx)
        if image["state"] not in FILLED:
            return None
        held = outgoing.readable(tx, image, certificates)
    order = _preferred(ask, read_first(ask.rooms, held))
    return _Found(image["size"], image["checksum"], [(store, held[store]) for store in order])


def _preferred(ask: Request, stores: list[str]) -> list[str]:
    named = [name.strip() for name in (ask.asked("prefer") or "").split(",") if name.strip()]
    for name in named:
        if name not in ask.rooms.stores:
            raise StoreUnknown(store=name[:64])
    return [name for name in dict.fromkeys(named) if name in stores] + [name for name in stores if name not in named]


def _source(ask: Request, found: _Found, n: int, offset: int, length: int) -> dict[str, Any]:
    """The bytes of place number `n`, and of those after it where it breaks off."""
    id, name = found.places[n]
    image, store = ask.params["id"], store_of(ask.rooms, id)
    opened = store.file(name) if store.traits.local_files else None
    if opened is not None:
        return _begun(ask, found, n, *opened, offset, length)
    if store.traits.local_files and store.size(name) != found.size:
        raise ObjectMissing(image=image, store=id)
    reading = Reading(ask.rooms, image, found.places[n:], found.size, offset, length)
    return {"chunks": reading, "store": id}


def _begun(ask: Request, found: _Found, n: int, file: io.FileIO, size: int, offset: int, length: int) -> dict[str, Any]:
    """The file with the first bytes that are asked for: what cannot be read is told while another place may be."""
    image, store = ask.params["id"], found.places[n][0]
    try:
        if size != found.size:
            raise ObjectMissing(image=image, store=store)
        return {"file": file, "first": os.pread(file.fileno(), min(FIRST_BYTES, length), offset)}
    except OSError as error:
        file.close()
        why = os.strerror(error.errno or errno.EIO)
        raise ObjectUnavailable(image=image, store=store, why=why) from error
    except ObjectMissing:
        file.close()
        raise
