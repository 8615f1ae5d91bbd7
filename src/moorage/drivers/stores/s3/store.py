"""
A store of objects in one bucket of any service that speaks S3.

The bytes of a download are read from an address that the library signs, by the reader that all remote stores share.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import urllib3

from moorage.core.errors import Problem
from moorage.drivers.stores.naming import FOLDERS, NameRefused, checked, image_of
from moorage.drivers.stores.remote import Stream, Unanswered
from moorage.drivers.stores.s3.service import Service
from moorage.drivers.stores.s3.settings import S3Settings
from moorage.drivers.stores.s3.writer import S3Writer
from moorage.images.store import ObjectMissing, Store, StoreUnavailable, Traits

_SIGNED_FOR_S = 3600
_PAGE = 1000  #: keys that are listed at a time
_ENDINGS = 5  #: how often an upload is ended, since a part that is just being sent may outlive its end


class S3Store(Store):
    """Objects under their names, behind a prefix, in one bucket."""

    kind = "s3"
    traits = Traits(remote=True)

    def __init__(self, id: str, settings: S3Settings) -> None:
        super().__init__(id)
        self.service = Service(id, settings)
        self.threads = ThreadPoolExecutor(max(4, 2 * settings.parts_at_once), thread_name_prefix=f"s3-{id}")
        self._settings, self._bucket = settings, settings.bucket

    def create(self, name: str, size: int | None) -> S3Writer:
        self.delete(name)
        return S3Writer(self, name, size)

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        key = self.key(name)

        def begin(at: int, left: int | None) -> urllib3.BaseHTTPResponse | None:
            if left == 0:
                self.size(name)
                return None
            with self.service.as_problems(name):
                url = self.service.client.generate_presigned_url(
                    "get_object", {"Bucket": self._bucket, "Key": key}, ExpiresIn=_SIGNED_FOR_S
                )
            last = "" if left is None else str(at + left - 1)
            return self._answered(self.service.remote.open("GET", url, {"Range": f"bytes={at}-{last}"}), name, at)

        return Stream(begin, offset, length, self._settings.timeout_s, self._unavailable)

    def delete(self, name: str) -> None:
        key = self.key(name)
        for upload in self._uploads(key):
            if upload["Key"] == key:
                self.end_upload(name, upload["UploadId"])
        self.drop(name)

    def size(self, name: str) -> int:
        with self.service.as_problems(name):
            return int(self.service.client.head_object(Bucket=self._bucket, Key=self.key(name))["ContentLength"])

    def names(self) -> frozenset[str]:
        found = set()
        for folder in FOLDERS:
            prefix = f"{self._settings.prefix}{folder}/"
            for key in [*self._keys(prefix), *(upload["Key"] for upload in self._uploads(prefix))]:
                try:
                    found.add(checked(key.removeprefix(self._settings.prefix)))
                except NameRefused:
                    pass  # somebody else's, which we leave alone
        return frozenset(found)

    def free(self) -> int | None:
        return None

    def probe(self) -> None:
        with self.service.as_problems("images/none"):  # a list has a form, by which it is told from any other answer
            found = self.service.client.list_objects_v2(Bucket=self._bucket, Prefix=self._settings.prefix, MaxKeys=1)
            if found["Name"] != self._bucket:
                raise LookupError("Name")

    def url(self, name: str) -> str:
        host = (
            urlsplit(self._settings.endpoint).netloc.rpartition("@")[2] or f"s3.{self._settings.region}.amazonaws.com"
        )
        return f"s3://{host}/{self._bucket}/{self.key(name)}"

    def properties(self) -> Mapping[str, Any]:
        size = self._settings.part_size << 20
        return {
            "s3_store_large_object_size": size,
            "s3_store_large_object_chunk_size": size,
            "s3_store_thread_pools": self._settings.parts_at_once,
        }

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.service.forget()
        self.service.remote.close()

    def key(self, name: str) -> str:
        """The object's key in the bucket."""
        return self._settings.prefix + checked(name)

    def drop(self, name: str) -> None:
        """Delete the finished object."""
        at = {"Bucket": self._bucket, "Key": self.key(name)}
        with self.service.as_problems(name):
            answer = self.service.client.delete_object(**at)
        if answer.get("ResponseMetadata", {}).get("HTTPStatusCode") != 204:  # not what the service says, perhaps
            self._must_be_gone(name, at)

    def _must_be_gone(self, name: str, at: Mapping[str, str]) -> None:
        try:
            with self.service.as_problems(name):
                self.service.client.head_object(**at)
        except ObjectMissing:
            return
        raise StoreUnavailable(store=self.id, why="what it says to have deleted is still there")

    def end_upload(self, name: str, upload: str) -> None:
        """Nothing is left of an upload; a part that was just being sent when it ended may need it to end again."""
        at = {"Bucket": self._bucket, "Key": self.key(name), "UploadId": upload}
        try:
            for _ in range(_ENDINGS):
                with self.service.as_problems(name):
                    self.service.client.abort_multipart_upload(**at)
                    if not self.service.client.list_parts(**at, MaxParts=1).get("Parts"):
                        return
        except ObjectMissing:
            return
        raise StoreUnavailable(store=self.id, why="an upload does not end")

    def _keys(self, prefix: str) -> Iterator[str]:
        with self.service.as_problems(prefix):
            pages = self.service.client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": _PAGE}
            )
            for page in pages:
                yield from (found["Key"] for found in page.get("Contents", ()))

    def _uploads(self, prefix: str) -> list[dict[str, Any]]:
        with self.service.as_problems(prefix):
            pages = self.service.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": _PAGE}
            )
            return [upload for page in pages for upload in page.get("Uploads", ())]

    def _answered(self, response: urllib3.BaseHTTPResponse, name: str, at: int) -> urllib3.BaseHTTPResponse | None:
        status = response.status
        if status == 206 or (status == 200 and at == 0):
            return response
        response.close()
        if status == 416:
            return None
        if status == 404:
            raise ObjectMissing(image=image_of(name), store=self.id)
        if status in (401, 403):
            self.service.forget()
            raise self._unavailable("it refuses our keys")
        raise Unanswered(f"it answers {status}")

    def _unavailable(self, why: str) -> Problem:
        return StoreUnavailable(store=self.id, why=why)
