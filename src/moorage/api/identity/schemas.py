"""What bodies look like."""

from typing import Any

from moorage.api.bodies import Body

Schema = dict[str, Any]

#: No null characters: PostgreSQL cannot keep them.
_CLEAN = r"^[^\u0000]*$"
_NAMING = r"^[^\u0000]*[^\u0000\s][^\u0000]*$"


def text(longest: int = 255) -> Schema:
    """A string."""
    return {"type": "string", "maxLength": longest, "pattern": _CLEAN}


def name(longest: int) -> Schema:
    """A string that is not blank."""
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": _NAMING}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def wrapped(noun: str, properties: Schema, required: tuple[str, ...] = (), more: bool = False) -> Body:
    """An object in an object of one key."""
    inner: Schema = {"type": "object", "properties": properties, "required": list(required), "maxProperties": 64}
    if more:
        inner["propertyNames"] = {"maxLength": 255, "pattern": _CLEAN}
    return Body({"type": "object", "properties": {noun: inner}, "required": [noun]})


ID = text(64)
PASSWORD = {"type": "string", "maxLength": 4096, "pattern": _CLEAN}
REF = {
    "type": "object",
    "properties": {"id": ID, "name": text()},
    "anyOf": [{"required": ["id"]}, {"required": ["name"]}],
}
IN_DOMAIN = {
    "type": "object",
    "properties": {"id": ID, "name": text(), "domain": REF},
    "anyOf": [{"required": ["id"]}, {"required": ["name", "domain"]}],
}

_METHOD_PASSWORD = {
    "type": "object",
    "properties": {
        "user": {**IN_DOMAIN, "properties": {**IN_DOMAIN["properties"], "password": PASSWORD}, "required": ["password"]}  # type: ignore[dict-item]
    },
    "required": ["user"],
}
_METHOD_TOKEN = {"type": "object", "properties": {"id": text(1024)}, "required": ["id"]}
_METHOD_CREDENTIAL = {
    "type": "object",
    "properties": {"id": ID, "name": text(), "secret": PASSWORD, "user": IN_DOMAIN},
    "required": ["secret"],
    "anyOf": [{"required": ["id"]}, {"required": ["name", "user"]}],
}
_SCOPE = {
    "anyOf": [
        {"type": "string", "enum": ["unscoped"]},
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {
                "project": IN_DOMAIN,
                "domain": REF,
                "system": {"type": "object", "properties": {"all": {"type": "boolean"}}},
                "unscoped": {"type": "object"},
                "OS-TRUST:trust": {"type": "object"},
            },
            "additionalProperties": False,
        },
    ]
}
_METHODS = {"type": "array", "items": text(64), "minItems": 1, "maxItems": 8}
AUTH = Body(
    {
        "type": "object",
        "properties": {
            "auth": {
                "type": "object",
                "properties": {
                    "identity": {
                        "type": "object",
                        "properties": {
                            "methods": _METHODS,
                            "password": _METHOD_PASSWORD,
                            "token": _METHOD_TOKEN,
                            "application_credential": _METHOD_CREDENTIAL,
                        },
                        "required": ["methods"],
                    },
                    "scope": nullable(_SCOPE),
                },
                "required": ["identity"],
            }
        },
        "required": ["auth"],
    }
)
