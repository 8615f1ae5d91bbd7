"""
An object on its way into a bucket: a multipart upload, which nobody sees before it is completed.

Whoever writes under the same name later, or deletes it, aborts the upload; completing it fails then, so that an
overtaken writer can neither publish nor spoil.
"""

import secrets
from concurrent.futures import Future
from typing import Any

from moorage.core.errors import Problem
from moorage.drivers.stores.naming import image_of
from moorage.drivers.stores.remote import Paced
from moorage.drivers.stores.s3.parts import MOST_PARTS, part_bytes
from moorage.images.store import ObjectMissing, StoreFull, StoreUnavailable, Writer

MARK = "moorage-writer"  #: metadata of an object: who wrote it


class S3Writer(Writer):
    """Full parts are sent by other threads, few at a time, while the next one fills."""

    def __init__(self, store: Any, name: str, size: int | None) -> None:
        self._store, self._service, self._name, self._announced = store, store.service, name, size
        self._key = store.key(name)
        self._mark = secrets.token_hex(16)
        self._buffer = bytearray()
        self._number = self._size = 0
        self._sending: list[tuple[int, Future[str]]] = []
        self._sent: list[tuple[int, str]] = []
        self._committed = self._over = False
        with self._service.as_problems(name):
            self._upload = self._client.create_multipart_upload(
                **self._at, Metadata={MARK: self._mark}, ContentType="application/octet-stream"
            )["UploadId"]

    def write(self, chunk: bytes) -> None:
        self._must_be_open()
        self._buffer += chunk
        self._size += len(chunk)
        while len(self._buffer) >= (step := self._step()):
            part = bytes(memoryview(self._buffer)[:step])
            del self._buffer[:step]
            self._send(part)

    def commit(self) -> None:
        if self._committed:
            return
        self._must_be_open()
        if self._buffer or not self._number:
            part, self._buffer = bytes(self._buffer), bytearray()
            self._send(part)
        while self._sending:
            self._settle_first()
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in self._sent]
        try:
            with self._service.as_problems(self._name):
                self._client.complete_multipart_upload(
                    **self._at, UploadId=self._upload, MultipartUpload={"Parts": parts}
                )
        except Problem:
            if not self._is_there():  # an answer that was lost may have been a success
                raise
        else:
            if not self._is_there():
                raise StoreUnavailable(store=self._store.id, why="what it says to have taken is not there")
        self._committed = self._over = True

    def abort(self) -> None:
        if self._committed:
            return
        self._over = True
        self._buffer = bytearray()
        for _, part in self._sending:
            part.cancel()
        for _, part in self._sending:
            if not part.cancelled():
                part.exception()  # it ends within its time
        self._sending = []
        self._store.end_upload(self._name, self._upload)
        if self._found() is not None:  # a commit that failed after it was done
            self._store.drop(self._name)

    @property
    def _client(self) -> Any:
        return self._service.client

    @property
    def _at(self) -> dict[str, str]:
        return {"Bucket": self._service.bucket, "Key": self._key}

    def _step(self) -> int:
        return part_bytes(self._number + 1, self._announced, self._service.settings.part_size)

    def _send(self, part: bytes) -> None:
        if self._number == MOST_PARTS:
            raise StoreFull(store=self._store.id)
        while len(self._sending) >= self._service.settings.parts_at_once:
            self._settle_first()
        self._number += 1
        self._sending.append((self._number, self._store.threads.submit(self._upload_part, self._number, part)))

    def _settle_first(self) -> None:
        number, part = self._sending[0]
        tag = part.result()
        self._sending.pop(0)
        self._sent.append((number, tag))

    def _upload_part(self, number: int, part: bytes) -> str:
        body = Paced(part, self._service.settings.timeout_s)
        with self._service.as_problems(self._name):
            answer = self._client.upload_part(
                **self._at, UploadId=self._upload, PartNumber=number, Body=body, ContentLength=len(part)
            )
            return str(answer["ETag"])

    def _is_there(self) -> bool:
        return self._found() == self._size

    def _found(self) -> int | None:
        """How large the object under the name is, if it is the one that we write."""
        try:
            with self._service.as_problems(self._name):
                found = self._client.head_object(**self._at)
        except ObjectMissing:
            return None
        return int(found["ContentLength"]) if found.get("Metadata", {}).get(MARK) == self._mark else None

    def _must_be_open(self) -> None:
        if self._over:
            raise ObjectMissing(image=image_of(self._name), store=self._store.id)
