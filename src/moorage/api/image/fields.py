"""An image's attributes: their names on the wire, their columns, and what only we may say."""

from collections.abc import Mapping
from typing import Any

from moorage.core.errors import Malformed
from moorage.images.errors import AttributeReadOnly, AttributeReserved
from moorage.images.image import DERIVED, READ_ONLY, RESERVED, RESERVED_PREFIX

#: What clients set, and the column that it is kept in. Tags are rows, like the properties that any other name is.
COLUMNS: Mapping[str, str] = {
    "name": "name",
    "visibility": "visibility",
    "protected": "protected",
    "os_hidden": "hidden",
    "owner": "owner",
    "disk_format": "disk_format",
    "container_format": "container_format",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
}
BASE = frozenset(COLUMNS) | {"tags"}


def check_names(body: Mapping[str, Any], allowed: frozenset[str] = frozenset()) -> None:
    """Refuse names that only we use, and names that no property can have."""
    for name in body:
        check_name(name, allowed)


def check_name(name: str, allowed: frozenset[str] = frozenset()) -> None:
    """Refuse a name that only we use, or that no property can have."""
    if name in allowed:
        return
    if name in READ_ONLY or name in DERIVED - {"locations"}:
        raise AttributeReadOnly(name=name)
    if name in RESERVED or name == "locations" or name.startswith(RESERVED_PREFIX):
        raise AttributeReserved(name=name)
    if not 0 < len(name) <= 255:
        raise Malformed(reason="The name of a property has 1 to 255 characters.")


def columns_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that `body` sets."""
    return {column: body[name] for name, column in COLUMNS.items() if name in body}


def properties_of(body: Mapping[str, Any]) -> dict[str, str | None]:
    """The properties that `body` sets."""
    return {name: value for name, value in body.items() if name not in BASE and name != "id"}
