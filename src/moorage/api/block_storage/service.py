"""Block Storage v3 as a service of the shell: its prefix, its versions, its faults."""

import re
from collections.abc import Mapping

from moorage.api.block_storage.routes import ROUTES
from moorage.api.block_storage.versions import V
from moorage.api.request import Answer, Request
from moorage.api.service import Service
from moorage.api.versions import Version, parse, shown
from moorage.core.errors import Malformed, Problem, VersionNotAcceptable
from moorage.core.ids import is_uuid

#: The outer name of a fault, by its status.
FAULTS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    501: "notImplemented",
    503: "serviceUnavailable",
}

_NAMED = re.compile(r"\s*volume\s+(\S+)\s*", re.IGNORECASE)


class BlockStorageService(Service):
    """`/volume/v3` with and without a project id in the path."""

    name = "block-storage"
    prefix = "/volume"
    json_types = frozenset({"application/json", "application/vnd.openstack.volume+json"})

    def __init__(self) -> None:
        super().__init__(ROUTES)

    def split(self, path: str) -> tuple[str, str | None]:
        """`/v3/volumes` and `/v3/PROJECT/volumes` are one; what is not below `/v3` keeps a name that no route has."""
        parts = [part for part in path.split("/") if part]
        if "\0" in path:
            return "/outside", None
        if not parts or parts == ["healthcheck"]:
            return path, None
        if parts[0] != "v3":
            return "/outside" + path, None
        if len(parts) == 1:
            return "/v3", None
        project = parts[1] if is_uuid(parts[1]) else None
        if project and len(parts) == 2:
            return "/outside", project
        return "/" + "/".join(parts[2 if project else 1 :]), project

    def negotiate(self, headers: Mapping[str, str]) -> Version:
        asked = headers.get("openstack-api-version")
        if asked is None:
            return V.minimum
        named = [match[1] for part in asked.split(",") if (match := _NAMED.fullmatch(part))]
        if not named:
            return V.minimum
        if named[0].lower() == "latest":
            return V.maximum
        version = parse(named[0])
        if version is None:
            raise Malformed(
                reason=f"API Version String {named[0][:32]} is of invalid format. Must be of format MajorNum.MinorNum."
            )
        if not V.minimum <= version <= V.maximum:
            raise VersionNotAcceptable(asked=shown(version), minimum=shown(V.minimum), maximum=shown(V.maximum))
        return version

    def headers(self, request_id: str, version: Version) -> dict[str, str]:
        return {
            "x-compute-request-id": request_id,
            "x-openstack-request-id": request_id,
            "openstack-api-version": f"volume {shown(max(version, V.minimum))}",
            "vary": "OpenStack-API-Version",
        }

    def fault(self, problem: Problem, message: str, request: Request | None, headers: Mapping[str, str]) -> Answer:
        status = problem.status
        if status == 401:
            uri = f"http://{headers.get('host', 'localhost')}/identity"
            body = {"error": {"code": 401, "title": "Unauthorized", "message": message}}
            return Answer(401, body, {"www-authenticate": f'Keystone uri="{uri}"'})
        if status >= 500 and problem.code == "problem":
            message = "The server has either erred or is incapable of performing the requested operation."
        fault: dict[str, object] = {"code": status, "message": message}
        more = {}
        if status == 413:
            fault["retryAfter"], more["retry-after"] = "0", "0"
        return Answer(status, {FAULTS.get(status, "computeFault"): fault}, more)
