"""The container as its objects' keeper sees it: a request each, with a token that is renewed, and problems of ours."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode

import urllib3

from moorage.drivers.stores.naming import image_of
from moorage.drivers.stores.remote import Answer, Remote, Unanswered
from moorage.drivers.stores.swift.login import Account, Login, LoginRefused
from moorage.drivers.stores.swift.settings import SwiftSettings
from moorage.images.store import ObjectMissing, StoreFull, StoreMisconfigured, StoreUnavailable

T = TypeVar("T", Answer, urllib3.BaseHTTPResponse)

#: What an answer has to be to be the service's, and not that of something in its place.
_SUCCESS = {"PUT": {201, 202}, "DELETE": {204}, "HEAD": {200, 204}, "GET": {200, 203, 204}}
_FULL = frozenset({413, 507})
_PAGE = 1000
LARGEST_SEGMENT_MIB = 1024


class Service:
    """One container of one account."""

    def __init__(self, store: str, settings: SwiftSettings) -> None:
        _check(store, settings)
        self.store, self.settings, self.container = store, settings, settings.container
        self.remote = Remote(settings.connect_timeout_s, settings.timeout_s, settings.ca_file)
        self._login = Login(settings, self.remote)
        self._guard = threading.Lock()
        self._container_is_there = False

    def ask(
        self,
        method: str,
        object: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """The service's answer about an object, or about the container where that is ""; any status but 401."""
        try:
            answer = self._as_us(lambda account: self._asked(account, method, object, headers, body, query or {}))
            if 200 <= answer.status < 300 and answer.status not in _SUCCESS[method]:
                raise Unanswered(f"it answers {answer.status} to {method}, which makes no sense")
        except Unanswered as why:
            raise StoreUnavailable(store=self.store, why=str(why)) from None
        return answer

    def open(self, object: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """The beginning of the answer to a GET; `Unanswered` where there is none."""
        return self._as_us(lambda account: self.remote.open("GET", self._url(account, object), _with(account, headers)))

    def look(self, object: str, query: Mapping[str, str]) -> Answer:
        """What a HEAD of the object tells; `Unanswered` where it tells nothing, for who asks again."""
        answer = self._as_us(
            lambda account: self.remote.ask_once(
                "HEAD", f"{self._url(account, object)}?{urlencode(query)}", _with(account)
            )
        )
        if answer.status >= 500:
            raise Unanswered(f"it answers {answer.status}")
        return answer

    def page_through(self, prefix: str, page: int | None = None) -> Iterator[str]:
        """The names of all objects that begin so."""
        marker = ""
        while True:
            answer = self.ask(
                "GET", "", query={"format": "json", "prefix": prefix, "marker": marker, "limit": str(page or _PAGE)}
            )
            if answer.status == 404:
                return  # the container is made with its first object
            self.must(answer, prefix)
            try:
                names = [str(found["name"]) for found in json.loads(answer.body)] if answer.status != 204 else []
            except (ValueError, LookupError, TypeError):
                raise StoreUnavailable(store=self.store, why="its list makes no sense") from None
            yield from names
            if not names:
                return
            marker = names[-1]

    def must(self, answer: Answer, name: str) -> Answer:
        """`answer` if it is a success."""
        if 200 <= answer.status < 300:
            return answer
        raise self.problem(answer.status, name)

    def problem(self, status: int, name: str) -> Exception:
        """What a status means for the object `name`."""
        if status == 404:
            return ObjectMissing(image=image_of(name), store=self.store)
        if status in _FULL:
            return StoreFull(store=self.store)
        why = "it refuses our user" if status in (401, 403) else f"it answers {status}"
        return StoreUnavailable(store=self.store, why=why)

    def prepare(self) -> None:
        """The container is there."""
        with self._guard:
            if not self._container_is_there:
                self.must(self.ask("PUT", ""), "images/none")
                self._container_is_there = True

    def _as_us(self, request: Callable[[Account], T]) -> T:
        """The answer to `request`, with a new token where the old one is refused."""
        for again in (True, False):
            account = self._login.account()
            answer = request(account)
            if answer.status != 401:
                return answer
            self._login.forget(account)
            if not again:
                break
        raise LoginRefused("it refuses our token")

    def _asked(
        self,
        account: Account,
        method: str,
        object: str,
        headers: Mapping[str, str] | None,
        body: bytes,
        query: Mapping[str, str],
    ) -> Answer:
        url = self._url(account, object) + ("?" + urlencode(query) if query else "")
        return self.remote.ask(method, url, _with(account, headers), body)

    def _url(self, account: Account, object: str) -> str:
        at = f"{account.url}/{quote(self.container, safe='')}"
        return f"{at}/{quote(object)}" if object else at


def _with(account: Account, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**(headers or {}), "X-Auth-Token": account.token}


def _check(store: str, settings: SwiftSettings) -> None:
    reasons = {
        "[stores.swift] names no auth_url": not settings.auth_url.startswith(("http://", "https://")),
        'auth_version is "3" or "1"': settings.auth_version not in ("1", "3"),
        "[stores.swift] names no user": not (settings.user or settings.application_credential_id),
        "container is a name without slashes": not settings.container or "/" in settings.container,
        f"segment_size is 1 to {LARGEST_SEGMENT_MIB} MiB": not 1 <= settings.segment_size <= LARGEST_SEGMENT_MIB,
        "time-outs are longer than 0 s": min(settings.connect_timeout_s, settings.timeout_s) <= 0,
    }
    for reason, wrong in reasons.items():
        if wrong:
            raise StoreMisconfigured(store=store, why=reason)
