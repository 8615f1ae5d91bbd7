"""The dashboard as its services see it: a session, and the headers that it sends with every call."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.cloud import Cloud, Reply

#: What it asks for the versions of, and the newest that it knows itself.
GROUPS, MESSAGES, LIMITS, EXTEND, BACKUPS = "3.58", "3.29", "3.55", "3.60", "3.45"
PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}


class Dashboard:
    """One user of the dashboard, logged in."""

    def __init__(self, cloud: Cloud, who: str = "moorage") -> None:
        self.cloud, self._auth = cloud, yaml.safe_load(cloud.app.place.clouds.read_text())["clouds"][who]["auth"]
        self.unscoped = self._log_in()
        self.user_id = self.unscoped.json["token"]["user"]["id"]
        self.project_id = self._projects()[0]["id"]
        scoped = self._token({"project": {"id": self.project_id}})
        assert scoped.status == 201, scoped.body
        self.token, self.catalog = scoped.headers["x-subject-token"], scoped.json["token"]["catalog"]

    def _log_in(self) -> Reply:
        """The first log-in is without any scope, which is a word here and not an object."""
        user = {
            "name": self._auth["username"],
            "domain": {"name": "Default"},
            "password": self._auth["password"],
        }
        asked = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": "unscoped"}
        reply = self.ask("POST", "/identity/v3/auth/tokens", {"auth": asked})
        assert reply.status == 201 and "catalog" not in reply.json["token"], reply.body
        return reply

    def _token(self, scope: Mapping[str, Any]) -> Reply:
        """A token for the unscoped one."""
        identity = {"methods": ["token"], "token": {"id": self.unscoped.headers["x-subject-token"]}}
        return self.ask("POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})

    def domain_login(self) -> int:
        """How the log-in on the domain ends, which the dashboard always tries."""
        return self._token({"domain": {"name": "Default"}}).status

    def _projects(self) -> Any:
        reply = self.ask(
            "GET", f"/identity/v3/users/{self.user_id}/projects", token=self.unscoped.headers["x-subject-token"]
        )
        return reply.json["projects"]

    def ask(
        self,
        method: str,
        url: str,
        body: Any = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One call, as its clients send it."""
        sent = {
            "accept": "application/json",
            "forwarded": "for=127.0.0.1;by=python-x/6.0 keystoneauth1/5.0 (with spaces)",
            "user-agent": "python-client",
            **(headers or {}),
        }
        if token is not None:
            sent["x-auth-token"] = token
        return self.cloud.call(method, url, body, as_=None, headers=sent)

    def endpoint(self, *types: str) -> str:
        """The path of the first of these services that the catalog has."""
        held = {service["type"]: service for service in self.catalog}
        for type in types:
            if type in held:
                found = next(e for e in held[type]["endpoints"] if e["interface"] == "public")
                return urlsplit(found["url"]).path
        raise AssertionError(f"none of {types} is in the catalog")

    def volume(self, method: str, path: str, body: Any = None, version: str | None = None) -> Reply:
        """A call to Block Storage, by the first of its four names, at a version where one was negotiated."""
        said = {"x-auth-project-id": self.project_id}
        if version is not None:
            self.discover(version)
            said["openstack-api-version"] = f"volume {version}"
        base = self.endpoint("block-storage", "block-store", "volumev3", "volume")
        return self.ask(method, base + path, body, self.token, said)

    def discover(self, version: str) -> None:
        """The version document, asked for without a token at the endpoint cut off before its version, allows it."""
        base = self.endpoint("block-storage", "block-store", "volumev3", "volume")
        reply = self.ask("GET", base[: base.index("v3")])
        assert reply.status in (200, 300)
        newest = next(v["version"] for v in reply.json["versions"] if "3." in v["version"])
        assert tuple(map(int, newest.split("."))) >= tuple(map(int, version.split(".")))

    def image(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """A call to Image."""
        return self.ask(method, self.endpoint("image") + path, body, self.token, headers)

    def identity(self, path: str) -> Reply:
        """A question to Identity."""
        return self.ask("GET", self.endpoint("identity") + path, token=self.token)
