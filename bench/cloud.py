"""One cloud of clouds.yaml: a token, a catalog, and kept-alive connections that never retry by themselves."""

import http.client
import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

VOLUME_VERSION = "volume 3.54"
PLACES = ("clouds.yaml", "~/.config/openstack/clouds.yaml", "/etc/openstack/clouds.yaml")


def settings(name: str) -> Mapping[str, Any]:
    """What clouds.yaml says of cloud `name`."""
    places = (os.environ["OS_CLIENT_CONFIG_FILE"],) if "OS_CLIENT_CONFIG_FILE" in os.environ else PLACES
    for place in places:
        path = Path(place).expanduser()
        if path.exists():
            return yaml.safe_load(path.read_text())["clouds"][name]
    raise SystemExit("no clouds.yaml; set OS_CLIENT_CONFIG_FILE")


class Failed(Exception):
    """An answer that is not the one that was expected."""


class Cloud:
    """A cloud to be measured."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._settings = settings(name)
        self._local = threading.local()
        self.login()

    def hang_up(self) -> None:
        """Close the connections: the next request has a new one, however long it waits."""
        for connection in self._local.__dict__.get("kept", {}).values():
            connection.close()

    def login(self) -> None:
        """Get a token for the project, and the public endpoints."""
        auth = self._settings["auth"]
        user = {
            "name": auth["username"],
            "password": auth["password"],
            "domain": {"name": auth.get("user_domain_name", "Default")},
        }
        scope = {
            "project": {"name": auth["project_name"], "domain": {"name": auth.get("project_domain_name", "Default")}}
        }
        asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        url = auth["auth_url"].rstrip("/")
        url = url if url.endswith("/v3") else url + "/v3"
        status, headers, body = self._send(
            "POST", url + "/auth/tokens", {"content-type": "application/json"}, json.dumps(asked).encode()
        )
        if status != 201:
            raise Failed(f"{self.name}: no token: {status} {body[:200]!r}")
        token = json.loads(body)["token"]
        self.token, self.project = headers["x-subject-token"], token["project"]["id"]
        found = {
            service["type"]: next(e["url"].rstrip("/") for e in service["endpoints"] if e["interface"] == "public")
            for service in token["catalog"]
            if service["endpoints"]
        }
        volume = found.get("block-storage") or found["volumev3"]
        self.volume = volume.split("/v3")[0] + "/v3/" + self.project
        self.image = found["image"].removesuffix("/v2") + "/v2"
        self.identity = url

    def call(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        expect: Iterable[int] = (200, 201, 202, 204),
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request with a JSON body; the decoded answer."""
        sent = {
            "X-Auth-Token": self.token,
            "OpenStack-API-Version": VOLUME_VERSION,
            "Accept": "application/json",
            **(headers or {}),
        }
        content = None
        if body is not None:
            content, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        status, _, answer = self._send(method, url, sent, content)
        if status not in expect:
            raise Failed(f"{self.name}: {method} {url}: {status} {answer[:300]!r}")
        return json.loads(answer) if answer.startswith(b"{") else None

    def upload(self, image: str, path: Path, store: str | None = None) -> None:
        """The file as the data of `image`, in that store if one is named."""
        headers = {
            "X-Auth-Token": self.token,
            "Content-Type": "application/octet-stream",
            "Content-Length": str(path.stat().st_size),
            **({"X-Image-Meta-Store": store} if store else {}),
        }
        with path.open("rb") as file:
            status, _, answer = self._send("PUT", f"{self.image}/images/{image}/file", headers, file)
        if status != 204:
            raise Failed(f"{self.name}: upload: {status} {answer[:300]!r}")

    def download(self, image: str) -> int:
        """Read the data of `image` and throw it away; how many bytes there were."""
        connection = self._connection(self.image)
        connection.request(
            "GET", urlsplit(f"{self.image}/images/{image}/file").path, headers={"X-Auth-Token": self.token}
        )
        answer, count = connection.getresponse(), 0
        buffer = bytearray(1 << 20)
        while n := answer.readinto(buffer):
            count += n
        if answer.status != 200:
            raise Failed(f"{self.name}: download: {answer.status}")
        return count

    def _connection(self, url: str) -> http.client.HTTPConnection:
        kept = self._local.__dict__.setdefault("kept", {})
        netloc = urlsplit(url).netloc
        if netloc not in kept:
            kept[netloc] = http.client.HTTPConnection(netloc, timeout=600, blocksize=1 << 20)
        return kept[netloc]

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], content: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        parts = urlsplit(url)
        connection = self._connection(url)
        try:
            connection.request(
                method, parts.path + ("?" + parts.query if parts.query else ""), body=content, headers=dict(headers)
            )
            answer = connection.getresponse()
            body = answer.read()
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, body
