"""
The S3 service as its objects' keeper sees it: a client of botocore's that is made when it is needed first, and what
goes wrong with it as our problems, without URLs and keys.

The library writes and signs requests and reads answers; they travel like those of all remote stores, within bounded
times. Nothing is taken from the surroundings: no profile, no variable of Amazon's tools, no proxy, no metadata service.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moorage.drivers import secrets
from moorage.drivers.stores.naming import image_of
from moorage.drivers.stores.remote import Paced, Remote, Unanswered, in_words
from moorage.drivers.stores.s3.settings import S3Settings
from moorage.images.store import ObjectMissing, StoreFull, StoreMisconfigured, StoreUnavailable

_GONE = frozenset({"NoSuchKey", "NoSuchUpload", "NotFound", "404"})
_FULL = frozenset({"QuotaExceeded", "EntityTooLarge", "InsufficientStorage", "InsufficientCapacity", "507"})
_FULL_OF_MINIO = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"})
_REFUSED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403", "401"})
SMALLEST_PART_MIB, LARGEST_PART_MIB = 5, 512


class Service:
    """The bucket and how it is asked."""

    def __init__(self, store: str, settings: S3Settings) -> None:
        self.store, self.settings, self.bucket = store, settings, settings.bucket
        _check(store, settings)
        self.remote = Remote(settings.connect_timeout_s, settings.timeout_s, settings.ca_file)
        self._guard = threading.Lock()
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The client; made anew, with the keys as they are then, after they were refused."""
        with self._guard:
            if self._client is None:
                self._client = self._connected()
            return self._client

    def forget(self) -> None:
        """The client, and with it the keys as they were read, is not used again."""
        with self._guard:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    @contextmanager
    def as_problems(self, name: str) -> Iterator[None]:
        """What goes wrong inside, about the object `name`, as a problem of ours."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            raise self._problem(error, name) from None
        except (BotoCoreError, OSError, LookupError, TypeError, ValueError) as error:
            raise StoreUnavailable(store=self.store, why=_in_words(error)) from None

    def _problem(self, error: Any, name: str) -> Exception:
        told = error.response.get("Error", {})
        code = str(told.get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _GONE:
            return ObjectMissing(image=image_of(name), store=self.store)
        if code in _FULL or code in _FULL_OF_MINIO:
            return StoreFull(store=self.store)
        if code in _REFUSED:
            self.forget()  # the keys may have been changed in their files meanwhile
            return StoreUnavailable(store=self.store, why=f"it refuses our keys ({code[:40]})")
        if code == "NoSuchBucket":
            return StoreUnavailable(store=self.store, why=f"there is no bucket {self.bucket}")
        return StoreUnavailable(store=self.store, why=f"it answers {status} {code[:40]} to {error.operation_name}")

    def _connected(self) -> Any:
        import botocore.session
        from botocore.config import Config

        settings = self.settings
        session = botocore.session.Session()
        for variable in ("config_file", "credentials_file"):
            session.set_config_variable(variable, os.devnull)
        try:
            access = settings.access_key or secrets.read(
                "the access key", settings.access_key_file, settings.access_key_env
            )
            secret = secrets.read("the secret key", settings.secret_key_file, settings.secret_key_env)
        except secrets.SecretMissing as why:
            raise StoreUnavailable(store=self.store, why=str(why)) from None
        client = session.create_client(
            "s3",
            region_name=settings.region,
            endpoint_url=settings.endpoint or None,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=Config(
                signature_version="s3v4",
                retries={"total_max_attempts": 2, "mode": "standard"},
                request_checksum_calculation="when_required",  # trailers are more than many a service understands
                response_checksum_validation="when_required",
                ignore_configured_endpoint_urls=True,
                s3={"addressing_style": settings.addressing},
            ),
        )
        client.meta.events.register("before-send.s3", self._send)
        return client

    def _send(self, request: Any, **_: Any) -> Any:
        """The answer to a request of the library's, which repeats it where there is none."""
        from botocore.awsrequest import AWSResponse
        from botocore.exceptions import HTTPClientError

        headers = {name: value for name, value in request.headers.items() if name != "Expect"}
        body = request.body if isinstance(request.body, Paced) else bytes(request.body or b"")
        try:
            answer = self.remote.ask_once(request.method, request.url, headers, body)
        except Unanswered as why:
            raise HTTPClientError(error=why) from None
        return AWSResponse(request.url, answer.status, answer.headers, _Body(answer.body))


class _Body:
    """The body of an answer as the library takes it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data


def _check(store: str, settings: S3Settings) -> None:
    reasons = {
        "[stores.s3] names no bucket": not settings.bucket,
        'addressing is "path" or "virtual"': settings.addressing not in ("path", "virtual"),
        f"part_size is {SMALLEST_PART_MIB} to {LARGEST_PART_MIB} MiB": not (
            SMALLEST_PART_MIB <= settings.part_size <= LARGEST_PART_MIB
        ),
        "parts_at_once is 1 to 16": not 1 <= settings.parts_at_once <= 16,
        "endpoint begins with http:// or https://": bool(settings.endpoint)
        and not settings.endpoint.startswith(("http://", "https://")),
        "time-outs are longer than 0 s": min(settings.connect_timeout_s, settings.timeout_s) <= 0,
    }
    for reason, wrong in reasons.items():
        if wrong:
            raise StoreMisconfigured(store=store, why=reason)


def _in_words(error: BaseException) -> str:
    """What went wrong, without a URL, of which botocore's texts are full."""
    cause = getattr(error, "kwargs", {}).get("error")
    return str(cause) if isinstance(cause, Unanswered) else in_words(error)
