"""The OpenAPI description of everything that is served, made from the same rows that serve it."""

import re
from collections.abc import Iterable
from typing import Any

from moorage import __version__
from moorage.api.routes import Route
from moorage.api.service import Service

LATEST = (9999, 9998)

FAULT = {"description": "A fault: what is wrong, and what is in the way."}


def describe(services: Iterable[Service]) -> dict[str, Any]:
    """An OpenAPI 3.1 document; request bodies are those of the latest versions."""
    paths: dict[str, dict[str, Any]] = {}
    for service in services:
        for route in service.table:
            methods = paths.setdefault((service.base_path + route.path).rstrip("/") or "/", {})
            methods[route.method.lower()] = _joined(methods.get(route.method.lower()), _operation(service, route))
    token = {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Moorage", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": {"token": token}},
    }


def _operation(service: Service, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": [service.name],
        "summary": (route.handler.__doc__ or "").strip().split("\n")[0],
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in re.findall(r"\{(\w+)\}", route.path)
            ),
            *({"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query),
        ],
        "responses": {str(route.success): {"description": "Done."}, "4XX": FAULT, "503": FAULT},
        "security": [] if route.open else [{"token": []}],
    }
    if route.stream and route.method != "GET":
        operation["requestBody"] = {
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        }
    elif route.body is not None:
        kinds = sorted(service.json_types) if route.body_type is None else [route.body_type]
        operation["requestBody"] = {
            "content": {kind: {"schema": route.body.at(LATEST)} for kind in kinds},
            "required": True,
        }
    return operation


def _joined(before: dict[str, Any] | None, operation: dict[str, Any]) -> dict[str, Any]:
    """Several rows of one method and path (versions, actions) as one operation that takes any of their bodies."""
    if before is None or "requestBody" not in operation:
        return before or operation
    if "requestBody" not in before:
        return operation
    for kind, content in operation["requestBody"]["content"].items():
        there = before["requestBody"]["content"].setdefault(kind, content)["schema"]
        if there is not content["schema"]:
            choices = there["anyOf"] if set(there) == {"anyOf"} else [there]
            before["requestBody"]["content"][kind] = {"schema": {"anyOf": [*choices, content["schema"]]}}
    return before
