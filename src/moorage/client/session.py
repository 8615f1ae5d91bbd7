"""A session with a cloud: a token and its catalog, renewed once when the cloud says that it is over."""

from collections.abc import Mapping
from typing import Any

from moorage.client.clouds import Cloud
from moorage.client.wire import ClientError, Refusal, Reply, Wire

#: Names that clouds give to the same service.
ALIASES = {"block-storage": ("block-storage", "volumev3", "block-store", "volume")}


class Session:
    """Who asks a cloud, until the command is over."""

    def __init__(self, cloud: Cloud, timeout_s: float = 90.0) -> None:
        self._cloud = cloud
        self._wire = Wire(verify=cloud.verify, cacert=cloud.cacert, timeout_s=timeout_s)
        self._token: str | None = None
        self._catalog: list[dict[str, Any]] = []

    def ask(
        self,
        service: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """What `service` answers; `version` is the microversion that is asked for."""
        more = headers or {}
        try:
            return self._ask(service, method, path, body, version, more).body
        except Refusal as refusal:
            if refusal.status != 401:
                raise
        self._token = None
        return self._ask(service, method, path, body, version, more).body

    def reach(self, service: str) -> tuple[str, str]:
        """Where `service` is, and a token for it: for what is not asked in JSON."""
        if self._token is None:
            self._log_in()
        return self._endpoint(service), self._token or ""

    def _ask(
        self, service: str, method: str, path: str, body: Any, version: str | None, more: Mapping[str, str]
    ) -> Reply:
        if self._token is None:
            self._log_in()
        headers = {**more, "X-Auth-Token": self._token or ""}
        if version is not None:
            headers["OpenStack-API-Version"] = f"{'volume' if service == 'block-storage' else service} {version}"
        return self._wire.ask(method, self._endpoint(service) + path, body, headers)

    def _endpoint(self, service: str) -> str:
        if service == "moorage":
            return self._cloud.auth_url.removesuffix("/v3").removesuffix("/identity") + "/moorage/v1"
        for name in ALIASES.get(service, (service,)):
            for entry in self._catalog:
                if entry.get("type") == name:
                    for endpoint in entry.get("endpoints", ()):
                        here = self._cloud.region in (None, endpoint.get("region_id"), endpoint.get("region"))
                        if endpoint.get("interface") == self._cloud.interface and here:
                            return str(endpoint["url"]).rstrip("/")
        raise ClientError(f"The cloud {self._cloud.name} offers no {service} to you.")

    def _log_in(self) -> None:
        asked = {"auth": {"identity": _identity(self._cloud.auth), **_scope(self._cloud.auth)}}
        reply = self._wire.ask("POST", self._cloud.auth_url + "/auth/tokens", asked)
        self._token = reply.headers.get("x-subject-token")
        self._catalog = (reply.body or {}).get("token", {}).get("catalog", [])


def _identity(auth: Mapping[str, str]) -> dict[str, Any]:
    if auth.get("token"):
        return {"methods": ["token"], "token": {"id": auth["token"]}}
    if auth.get("application_credential_secret"):
        held: dict[str, Any] = {"secret": auth["application_credential_secret"]}
        if auth.get("application_credential_id"):
            held["id"] = auth["application_credential_id"]
        else:
            held |= {"name": auth.get("application_credential_name", ""), "user": _user(auth)}
        return {"methods": ["application_credential"], "application_credential": held}
    return {"methods": ["password"], "password": {"user": {**_user(auth), "password": auth.get("password", "")}}}


def _user(auth: Mapping[str, str]) -> dict[str, Any]:
    if auth.get("user_id"):
        return {"id": auth["user_id"]}
    return {"name": auth.get("username", ""), "domain": _domain(auth, "user_")}


def _domain(auth: Mapping[str, str], which: str) -> dict[str, str]:
    if auth.get(f"{which}domain_id"):
        return {"id": auth[f"{which}domain_id"]}
    return {"name": auth.get(f"{which}domain_name") or auth.get("default_domain") or "Default"}


def _scope(auth: Mapping[str, str]) -> dict[str, Any]:
    if auth.get("application_credential_secret"):
        return {}  # it has the scope that it was made in
    if auth.get("project_id"):
        return {"scope": {"project": {"id": auth["project_id"]}}}
    if auth.get("project_name"):
        return {"scope": {"project": {"name": auth["project_name"], "domain": _domain(auth, "project_")}}}
    if auth.get("system_scope"):
        return {"scope": {"system": {"all": True}}}
    if auth.get("domain_id") or auth.get("domain_name"):
        return {"scope": {"domain": _domain(auth, "")}}
    return {}
