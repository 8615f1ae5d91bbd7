"""What the calls about metadata definitions take: the schemas that are served."""

from collections.abc import Mapping
from typing import Any

from moorage.api.bodies import Body
from moorage.api.image.schemas_metadefs import SERVED
from moorage.images.errors import AttributeReadOnly


def _body(kind: str) -> Body:
    return Body({"type": "object", **SERVED[kind]})


NAMESPACE = _body("namespace")
PROPERTY = _body("property")
OBJECT = _body("object")
TAG = _body("tag")
ASSOCIATION = _body("resource_type")
TAGS = Body(
    {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": {"type": "object", **SERVED["tag"]}}},
        "required": ["tags"],
        "additionalProperties": False,
    }
)

#: What a namespace may come with, and the schema of one of each.
PARTS = (("resource_type_associations", ASSOCIATION), ("objects", OBJECT), ("tags", TAG))

TOLD = ("self", "schema", "created_at", "updated_at")  #: that only we say


def given(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked of something new; what only we say is refused."""
    for name in TOLD:
        if name in body:
            raise AttributeReadOnly(name=name)
    return dict(body)


def replaced(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked of something that is there; clients send back all that they were told."""
    return {name: value for name, value in body.items() if name not in TOLD}


def parts(body: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What a new namespace comes with, each checked as if it had been sent by itself."""
    found = {name: [replaced(one) for one in body.get(name, ())] for name, _ in PARTS}
    for name, schema in PARTS:
        for one in found[name]:
            schema.check(one)
    found["properties"] = [{**one, "name": name} for name, one in body.get("properties", {}).items()]
    for one in found["properties"]:
        PROPERTY.check(one)
    return found
