"""How a Swift service is logged in to: by Keystone's v3, or by its own v1, which answers an address and a token."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.drivers import secrets
from moorage.drivers.stores.remote import Answer, Remote, Unanswered
from moorage.drivers.stores.swift.settings import SwiftSettings

_KEPT_S = 600.0  #: a token is used for so long, which is less than any service's; one that ends earlier is refused once


class LoginRefused(Unanswered):
    """Why the service does not let us in."""


@dataclass(frozen=True)
class Account:
    """Where our objects are, and what lets us in there."""

    url: str
    token: str


class Login:
    """The account, logged in to when it is needed and when the token is old."""

    def __init__(self, settings: SwiftSettings, remote: Remote) -> None:
        self._settings, self._remote = settings, remote
        self._guard = threading.Lock()
        self._account: Account | None = None
        self._until = 0.0

    def account(self) -> Account:
        """Who we are at the service."""
        with self._guard:
            if self._account is None or time.monotonic() > self._until:
                self._account = self._logged_in()
                self._until = time.monotonic() + _KEPT_S
            return self._account

    def forget(self, account: Account) -> None:
        """Log in anew next time: this token was refused."""
        with self._guard:
            if self._account is account:
                self._account = None

    def _logged_in(self) -> Account:
        try:
            key = secrets.read("the key", self._settings.key_file, self._settings.key_env)
        except secrets.SecretMissing as why:
            raise LoginRefused(str(why)) from None
        found = self._by_v1(key) if self._settings.auth_version == "1" else self._by_keystone(key)
        return Account((self._settings.endpoint or found.url).rstrip("/"), found.token)

    def _by_v1(self, key: str) -> Account:
        sent = {"X-Auth-User": self._settings.user, "X-Auth-Key": key}
        answer = self._let_in(self._remote.ask("GET", self._settings.auth_url, sent))
        url, token = answer.headers.get("X-Storage-Url"), answer.headers.get("X-Auth-Token")
        if not url or not token:
            raise Unanswered("its log-in names no account")
        return Account(url, token)

    def _by_keystone(self, key: str) -> Account:
        body = json.dumps({"auth": _asked(self._settings, key)}).encode()
        url = self._settings.auth_url.rstrip("/") + "/auth/tokens"
        answer = self._let_in(self._remote.ask("POST", url, {"Content-Type": "application/json"}, body))
        token = answer.headers.get("X-Subject-Token")
        if not token:
            raise Unanswered("its log-in answers no token")
        return Account(self._settings.endpoint or self._found(answer.body), token)

    def _let_in(self, answer: Answer) -> Answer:
        if answer.status in (401, 403):
            raise LoginRefused("it refuses our user or key")
        if answer.status not in (200, 201, 204):
            raise Unanswered(f"its log-in answers {answer.status}")
        return answer

    def _found(self, body: bytes) -> str:
        """The object store's address in the catalog."""
        settings = self._settings
        try:
            for service in json.loads(body)["token"].get("catalog", ()):
                for at in service["endpoints"] if service["type"] == "object-store" else ():
                    if at["interface"] == settings.interface and settings.region in ("", at["region_id"]):
                        return str(at["url"])
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Unanswered("its log-in's answer makes no sense") from None
        raise Unanswered("its catalog has no object-store")


def _asked(settings: SwiftSettings, key: str) -> Mapping[str, Any]:
    if settings.application_credential_id:
        credential = {"id": settings.application_credential_id, "secret": key}
        return {"identity": {"methods": ["application_credential"], "application_credential": credential}}
    user = {"name": settings.user, "domain": {"name": settings.user_domain}, "password": key}
    project = {"name": settings.project, "domain": {"name": settings.project_domain}}
    return {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": project},
    }
