"""
PATCH of an image, in its two dialects: what the body asks for, as a list of changes.

2.1 names operation and path apart; 2.0 has the path as the operation's value, and does not add what is there.
"""

import re
from collections.abc import Mapping
from typing import Any

from moorage.api.bodies import Body
from moorage.api.image.fields import BASE, COLUMNS, check_name
from moorage.api.image.media import PATCH_2_0
from moorage.api.image.schemas import IMAGE
from moorage.core.errors import Malformed
from moorage.images.changes import Change, Operation
from moorage.images.errors import AttributeNotRemovable, LocationsOff
from moorage.images.image import DERIVED, RESERVED_PREFIX

_OPERATIONS = [str(operation) for operation in Operation]
_BAD_ESCAPE = re.compile(r"~(?![01])")

_FIELDS = {name: Body(schema) for name, schema in IMAGE["properties"].items()}
_PROPERTY = Body(IMAGE["additionalProperties"])


def parse(body: list[dict[str, Any]], kind: str) -> list[Change]:
    """The changes that `body`, of one of the two media types, asks for."""
    changes = [_change(*operation_of(item, kind), add_replaces=kind != PATCH_2_0) for item in body]
    return [change for change in changes if change is not None]


def operation_of(item: Mapping[str, Any], kind: str) -> tuple[str, Any, Any, bool]:
    """Operation, path and value of one change, and whether it has a value."""
    return _operation_2_0(item) if kind == PATCH_2_0 else _operation_2_1(item)


def _operation_2_1(item: Mapping[str, Any]) -> tuple[str, Any, Any, bool]:
    operation = item.get("op")
    if not isinstance(operation, str) or operation not in _OPERATIONS:
        raise Malformed(reason=f"Operations must be one of: {', '.join(_OPERATIONS)}.")
    if "path" not in item:
        raise Malformed(reason='Unable to find "path" in JSON Schema change')
    return operation, item["path"], item.get("value"), "value" in item


def _operation_2_0(item: Mapping[str, Any]) -> tuple[str, Any, Any, bool]:
    found = [operation for operation in _OPERATIONS if operation in item]
    if len(found) != 1:
        raise Malformed(reason=f"An operation object must contain one member named {', '.join(_OPERATIONS)}.")
    return found[0], item[found[0]], item.get("value"), "value" in item


def _change(operation: str, path: Any, value: Any, valued: bool, *, add_replaces: bool) -> Change | None:
    """One change; None for what has no effect: removing what is derived, as clients do that send back all they know."""
    name = _name(path)
    if operation == Operation.REMOVE:
        if name in DERIVED or name.startswith(RESERVED_PREFIX):
            return None
        if name in BASE:
            raise AttributeNotRemovable(name=name)
        check_name(name)
        return Change(Operation.REMOVE, name)
    check_name(name)
    if not valued:
        raise Malformed(reason=f'Operation "{operation}" requires a member named "value".')
    _FIELDS.get(name, _PROPERTY).check(value)
    return Change(Operation(operation), name, value, column=COLUMNS.get(name), add_replaces=add_replaces)


def _name(path: Any) -> str:
    """The attribute that `path` names."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise Malformed(reason="Pointer does not start with a slash: a path is like /name.")
    if "//" in path[1:] or path.endswith("/") or _BAD_ESCAPE.search(path):
        raise Malformed(reason="Pointer contains an empty part, or a ~ that is neither ~0 nor ~1.")
    parts = path[1:].split("/")
    if parts[0] == "locations":
        raise LocationsOff()
    if len(parts) > 1:
        raise Malformed(reason=f"Invalid JSON pointer for this resource: {path[:100]}")
    return parts[0].replace("~1", "/").replace("~0", "~")
