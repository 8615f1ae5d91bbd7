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


_FLAG = {"type": "boolean"}
_PROSE = nullable(text(65535))
_OPTIONS = {"type": "object", "maxProperties": 16, "propertyNames": text(64)}
_TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\u0000,/]+$"}
TAGS_LIST = {"type": "array", "items": _TAG, "maxItems": 80, "uniqueItems": True}
TAGS = Body({"type": "object", "properties": {"tags": TAGS_LIST}, "required": ["tags"]})


def _both(noun: str, properties: Schema, required: tuple[str, ...]) -> tuple[Body, Body]:
    """What makes a noun, and what changes it."""
    return wrapped(noun, properties, required), wrapped(noun, properties)


PROJECT_CREATE, PROJECT_UPDATE = _both(
    "project",
    {
        "name": name(64),
        "description": _PROSE,
        "enabled": _FLAG,
        "domain_id": nullable(ID),
        "parent_id": nullable(ID),
        "is_domain": {"enum": [False]},
        "tags": TAGS_LIST,
        "options": _OPTIONS,
    },
    ("name",),
)
DOMAIN_CREATE, DOMAIN_UPDATE = _both(
    "domain",
    {"name": name(64), "description": _PROSE, "enabled": _FLAG, "tags": TAGS_LIST, "options": _OPTIONS},
    ("name",),
)
USER_CREATE, USER_UPDATE = _both(
    "user",
    {
        "name": name(255),
        "password": nullable(PASSWORD),
        "description": _PROSE,
        "enabled": _FLAG,
        "domain_id": nullable(ID),
        "default_project_id": nullable(ID),
        "email": nullable(text()),
        "options": _OPTIONS,
    },
    ("name",),
)
PASSWORD_CHANGE = wrapped(
    "user", {"password": {**PASSWORD, "minLength": 1}, "original_password": PASSWORD}, ("password", "original_password")
)
GROUP_CREATE, GROUP_UPDATE = _both(
    "group", {"name": name(64), "description": _PROSE, "domain_id": nullable(ID)}, ("name",)
)
ROLE_CREATE, ROLE_UPDATE = _both(
    "role", {"name": name(255), "description": _PROSE, "domain_id": nullable(ID), "options": _OPTIONS}, ("name",)
)
REGION_CREATE, REGION_UPDATE = _both(
    "region", {"id": text(), "description": _PROSE, "parent_region_id": nullable(text())}, ()
)
SERVICE_CREATE, SERVICE_UPDATE = _both(
    "service", {"type": name(255), "name": nullable(text()), "description": _PROSE, "enabled": _FLAG}, ("type",)
)
ENDPOINT_CREATE, ENDPOINT_UPDATE = _both(
    "endpoint",
    {
        "service_id": ID,
        "interface": {"enum": ["public", "internal", "admin"]},
        "url": {**name(2048)},
        "region_id": nullable(text()),
        "region": nullable(text()),
        "name": nullable(text()),
        "enabled": _FLAG,
    },
    ("service_id", "interface", "url"),
)
CREDENTIAL_CREATE = wrapped(
    "application_credential",
    {
        "name": name(255),
        "description": _PROSE,
        "secret": nullable({**PASSWORD, "minLength": 1}),
        "roles": {"type": "array", "items": REF, "maxItems": 64},
        "unrestricted": nullable(_FLAG),
        "expires_at": nullable(text(40)),
        "access_rules": {"type": "array", "maxItems": 64},
        "project_id": nullable(ID),
    },
    ("name",),
)
