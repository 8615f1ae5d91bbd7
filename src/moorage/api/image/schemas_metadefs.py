"""The schemas of metadata definitions, which clients fetch whether or not there are any."""

from typing import Any

from moorage.api.image.schemas import listed

Schema = dict[str, Any]

_KINDS = ["array", "boolean", "integer", "number", "object", "string", None]

_DEFINITIONS: Schema = {
    "positiveInteger": {"type": "integer", "minimum": 0},
    "positiveIntegerDefault0": {"allOf": [{"$ref": "#/definitions/positiveInteger"}, {"default": 0}]},
    "stringArray": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
}
_FOR_PROPERTIES: Schema = {**_DEFINITIONS, "stringArray": {**_DEFINITIONS["stringArray"], "minItems": 0}}


def _text(description: str = "", **more: Any) -> Schema:
    return {"type": "string", **({"description": description} if description else {}), **more}


def _moment(description: str) -> Schema:
    return _text(description, readOnly=True, format="date-time")


_NAME = _text(maxLength=80)

_PROPERTY: Schema = {
    "name": _NAME,
    "title": _text(),
    "description": _text(),
    "operators": {"type": "array", "items": _text()},
    "type": {"type": "string", "enum": _KINDS},
    "required": {"$ref": "#/definitions/stringArray"},
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "maxLength": {"$ref": "#/definitions/positiveInteger"},
    "minLength": {"$ref": "#/definitions/positiveIntegerDefault0"},
    "pattern": _text(format="regex"),
    "enum": {"type": "array"},
    "readonly": {"type": "boolean"},
    "default": {},
    "items": {"type": "object", "properties": {"type": {"type": "string", "enum": _KINDS}, "enum": {"type": "array"}}},
    "maxItems": {"$ref": "#/definitions/positiveInteger"},
    "minItems": {"$ref": "#/definitions/positiveIntegerDefault0"},
    "uniqueItems": {"type": "boolean", "default": False},
    "additionalItems": {"type": "boolean"},
}
_PROPERTIES: Schema = {
    "type": "object",
    "additionalProperties": {"type": "object", "required": ["title", "type"], "properties": _PROPERTY},
}
_WITH_PROPERTIES: Schema = {**_DEFINITIONS, "property": _PROPERTIES}

_TIMES = {"created_at": _moment("When it was made"), "updated_at": _moment("When it was changed last")}
_LINKS = {"schema": {"readOnly": True, "type": "string"}, "self": {"readOnly": True, "type": "string"}}


def _kind(name: str, properties: Schema, *required: str) -> Schema:
    return {"name": name, "properties": properties, "additionalProperties": False, "required": list(required)}


_ASSOCIATION = {
    "name": _text("The resource type, as Heat names it", maxLength=80),
    "prefix": _text("What the names of properties begin with on such resources", maxLength=80),
    "properties_target": _text("Which of several sets of properties of such a resource is meant", maxLength=80),
    **_TIMES,
}
_OBJECT_PARTS: Schema = {
    "name": _text(),
    "description": _text(),
    "required": {"$ref": "#/definitions/stringArray"},
    "properties": {"$ref": "#/definitions/property"},
}

NAMESPACE = _kind(
    "namespace",
    {
        "namespace": _text("Names the namespace", maxLength=80),
        "display_name": _text("What people call it", maxLength=80),
        "description": _text("What it is for", maxLength=500),
        "visibility": _text("Who sees it", enum=["public", "private"]),
        "protected": {"type": "boolean", "description": "Whether it is kept from being deleted"},
        "owner": _text("The project that it belongs to", maxLength=255),
        **_TIMES,
        **_LINKS,
        "resource_type_associations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {key: _text() for key in ("name", "prefix", "properties_target")},
            },
        },
        "properties": {"$ref": "#/definitions/property"},
        "objects": {"type": "array", "items": {"type": "object", "properties": _OBJECT_PARTS}},
        "tags": {"type": "array", "items": {"type": "object", "properties": {"name": _text()}}},
    },
    "namespace",
)
RESOURCE_TYPE = _kind("resource_type_association", _ASSOCIATION, "name")
PROPERTY = _kind("property", _PROPERTY, "type", "title")
OBJECT = _kind("object", {**_OBJECT_PARTS, "name": _NAME, **_LINKS, **_TIMES}, "name")
TAG = _kind("tag", {"name": _NAME, **_TIMES}, "name")


def _defining(schema: Schema, definitions: Schema) -> Schema:
    return {**schema, "definitions": definitions}


SERVED: dict[str, Schema] = {
    "namespace": _defining(NAMESPACE, _WITH_PROPERTIES),
    "namespaces": _defining(listed("namespaces", NAMESPACE), _WITH_PROPERTIES),
    "resource_type": RESOURCE_TYPE,
    "resource_types": listed("resource_type_associations", RESOURCE_TYPE),
    "property": _defining({**PROPERTY, "required": ["type", "title", "name"]}, _FOR_PROPERTIES),
    "properties": _defining(listed("properties", PROPERTY, kind="object"), _FOR_PROPERTIES),
    "object": _defining(OBJECT, _WITH_PROPERTIES),
    "objects": _defining(listed("objects", OBJECT), _WITH_PROPERTIES),
    "tag": TAG,
    "tags": listed("tags", TAG),
}
