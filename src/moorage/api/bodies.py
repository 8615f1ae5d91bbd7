"""
Request bodies: JSON Schemas by version, and what is said of a body that does not fit.

The schemas that validate are the schemas that are shown (OpenAPI, `/v2/schemas`).
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match

from moorage.api.versions import Version
from moorage.core.errors import Malformed
from moorage.core.ids import is_uuid

Schema = Mapping[str, Any]

ALWAYS: Version = (0, 0)

formats = FormatChecker(formats=())
formats.checks("uuid")(lambda value: not isinstance(value, str) or is_uuid(value))


class Body:
    """What a route accepts, from which version on. `Body(schema)` is the same at every version."""

    def __init__(self, schemas: Mapping[Version, Schema] | Schema) -> None:
        versioned = bool(schemas) and all(isinstance(key, tuple) for key in schemas)
        self.schemas: Mapping[Version, Schema] = schemas if versioned else {ALWAYS: schemas}  # type: ignore[assignment,dict-item]

    @cached_property
    def _validators(self) -> list[tuple[Version, Draft202012Validator]]:
        return [
            (since, Draft202012Validator(schema, format_checker=formats))
            for since, schema in sorted(self.schemas.items(), reverse=True)
        ]

    def at(self, version: Version) -> Schema:
        """The schema in force at `version`."""
        return next(self.schemas[since] for since in sorted(self.schemas, reverse=True) if since <= version)

    def check(self, value: Any, version: Version = ALWAYS) -> None:
        """Raise `Malformed`, naming the place and the reason, unless `value` fits the schema in force at `version`."""
        validator = next(validator for since, validator in self._validators if since <= version)
        if not validator.is_valid(value):
            raise Malformed(reason=_told(best_match(validator.iter_errors(value))))


def _told(error: ValidationError) -> str:
    """The text that clients of OpenStack know; values are cut, so that an answer never grows with what was sent."""
    place = ".".join(str(part) for part in error.absolute_path)
    if not place:
        return _cut(error.message)
    return f"Invalid input for field/attribute {place}. Value: {_cut(repr(error.instance))}. {_cut(error.message)}"


def _cut(text: str) -> str:
    return text if len(text) <= 256 else text[:253] + "..."
