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
        "properties": {"tags": {"type": "array", "items": SERVED["tag"]}},
        "required": ["tags"],
        "additionalProperties": False,
    }
)

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
