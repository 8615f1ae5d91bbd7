"""
The schemas of Image v2: the ones that are served are the ones that validate.

Clients build their arguments and models from them, so every field is here, read-only ones too. Formats are those that
the configuration names: `CREATE` lets any pass that it could name, and `images.open_formats` refuses what it does not.
"""

from functools import lru_cache
from typing import Any

from moorage.api.bodies import Body
from moorage.images.image import (
    CONTAINER_FORMATS,
    DISK_FORMATS,
    LARGEST_MINIMUM,
    MORE_DISK_FORMATS,
    Acceptance,
)

_UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
_STATES = "queued saving active killed deleted uploading importing pending_delete deactivated".split()
_VISIBILITIES = "community public private shared".split()


def _field(description: str, kind: Any = "string", **more: Any) -> dict[str, Any]:
    return {"type": kind, "description": description, **more}


def _told(description: str, kind: Any = "string", **more: Any) -> dict[str, Any]:
    """A field that only we set."""
    return _field(description, kind, readOnly=True, **more)


def _known(description: str, kind: Any = "string", **more: Any) -> dict[str, Any]:
    """A property that is none of ours, but whose meaning others have agreed on."""
    return _field(description, kind, is_base=False, **more)


def _or_null(kind: str) -> list[str]:
    return ["null", kind]


def _formats(disk: tuple[str, ...], container: tuple[str, ...]) -> dict[str, Any]:
    return {
        "container_format": _field("What is around the disk", _or_null("string"), enum=[None, *container]),
        "disk_format": _field("How the disk is written", _or_null("string"), enum=[None, *disk]),
    }


_MINIMUM = {"minimum": 0, "maximum": LARGEST_MINIMUM}
_KEY_POLICIES = ["on_image_deletion", "do_not_delete"]

_HASHES = {
    "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
    "os_hash_algo": {"type": "string", "maxLength": 64},
    "os_hash_value": {"type": "string", "maxLength": 128},
}
LOCATION = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": 255},
        "metadata": {"type": "object"},
        "validation_data": {
            "description": "What the data are known to be",
            "type": "object",
            "writeOnly": True,
            "additionalProperties": False,
            "properties": _HASHES,
            "required": ["os_hash_algo", "os_hash_value"],
        },
    },
    "required": ["url", "metadata"],
}

_IMAGE = {
    "id": _field("Names the image; chosen by its creator, or by us", pattern=_UUID),
    "name": _field("What people call the image", _or_null("string"), maxLength=255),
    "status": _told("Where the image is in its life", enum=_STATES),
    "visibility": _field("Who sees the image", enum=_VISIBILITIES),
    "protected": _field("Whether the image is kept from being deleted", "boolean"),
    "os_hidden": _field("Whether lists leave the image out unless they ask for hidden ones", "boolean"),
    "checksum": _told("MD5 of the data", _or_null("string"), maxLength=32),
    "os_hash_algo": _told("The algorithm of os_hash_value", _or_null("string"), maxLength=64),
    "os_hash_value": _told("Hash of the data by os_hash_algo, in hex", _or_null("string"), maxLength=128),
    "owner": _field("The project that the image belongs to", _or_null("string"), maxLength=255),
    "size": _told("Bytes of the data", _or_null("integer")),
    "virtual_size": _told("Bytes of the disk inside", _or_null("integer")),
    **_formats((*DISK_FORMATS, *MORE_DISK_FORMATS), CONTAINER_FORMATS),
    "created_at": _told("When the image was registered"),
    "updated_at": _told("When the image was changed last"),
    "tags": _field("Words that the image is found by", "array", items={"type": "string", "maxLength": 255}),
    "direct_url": _told("Where a store keeps the data; not shown here"),
    "min_ram": _field("MiB of memory that booting it takes at least", "integer", **_MINIMUM),
    "min_disk": _field("GiB of disk that booting it takes at least", "integer", **_MINIMUM),
    "self": _told("Path of the image"),
    "file": _told("Path of the data"),
    "stores": _told("The stores that hold the data, separated by commas, the one that is read first at the beginning"),
    "schema": _told("Path of this schema"),
    "locations": _field("Where stores keep the data; not shown here", "array", items=LOCATION),
    "kernel_id": _known("Image of the kernel to boot with", _or_null("string"), pattern=_UUID),
    "ramdisk_id": _known("Image of the initial RAM disk to boot with", _or_null("string"), pattern=_UUID),
    "instance_uuid": _known("The server that the image is a snapshot of"),
    "architecture": _known("Processor architecture, as Nova names it"),
    "os_distro": _known("Name of the operating system's distribution"),
    "os_version": _known("Version of the operating system, as its distributor names it"),
    "description": _known("What people should know of the image"),
    "cinder_encryption_key_id": _known("The key that the disk inside is encrypted with"),
    "cinder_encryption_key_deletion_policy": _known("What becomes of the key with the image", enum=_KEY_POLICIES),
}

IMAGE: dict[str, Any] = {
    "name": "image",
    "properties": _IMAGE,
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}

MEMBER: dict[str, Any] = {
    "name": "member",
    "properties": {
        "member_id": _field("The project that the image is shared with"),
        "image_id": _field("The image", pattern=_UUID),
        "created_at": _field("When it was shared"),
        "updated_at": _field("When this was changed last"),
        "status": _field("What the project makes of it", enum=[str(a) for a in Acceptance]),
        "schema": {"readOnly": True, "type": "string"},
    },
}

_TASK_TYPES = ["import", "api_image_import", "location_import"]
TASK: dict[str, Any] = {
    "name": "task",
    "properties": {
        "id": _field("Names the task", pattern=_UUID),
        "type": _field("What is done", enum=_TASK_TYPES),
        "status": _field("How far it is", enum=["pending", "processing", "success", "failure"]),
        "input": _field("What was asked for", _or_null("object")),
        "result": _field("What came of it", _or_null("object")),
        "owner": _field("The project for which it is done"),
        "message": _field("Why it failed"),
        "image_id": _field("The image that it works on"),
        "request_id": _field("The request that began it"),
        "user_id": _field("Who began it"),
        "expires_at": _field("When it is forgotten", _or_null("string")),
        "created_at": _field("When it began"),
        "updated_at": _field("When it got on last"),
        "self": {"readOnly": True, "type": "string"},
        "schema": {"readOnly": True, "type": "string"},
    },
}


def listed(name: str, item: dict[str, Any], paged: bool = True, kind: str = "array") -> dict[str, Any]:
    """The schema of a list of what `item` describes."""
    links = ["first", "next"] if paged else []
    inner = {"items": item} if kind == "array" else {"additionalProperties": item}
    return {
        "name": name,
        "properties": {name: {"type": kind, **inner}, **{link: {"type": "string"} for link in (*links, "schema")}},
        "links": [
            *({"rel": link, "href": f"{{{link}}}"} for link in links),
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


@lru_cache
def served(disk_formats: tuple[str, ...], container_formats: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """All schemas by their names, for images of these formats."""
    image = {**IMAGE, "properties": {**_IMAGE, **_formats(disk_formats, container_formats)}}
    return {
        "image": image,
        "images": listed("images", image),
        "member": MEMBER,
        "members": listed("members", MEMBER, paged=False),
        "task": TASK,
        "tasks": listed("tasks", TASK),
    }


CREATE = Body({"type": "object", **{key: value for key, value in IMAGE.items() if key != "links"}})
_CHANGE = {"op": {"enum": ["add", "remove", "replace"]}, "path": {"type": "string"}, "value": {}}
PATCH = Body({"type": "array", "items": {"type": "object", "properties": _CHANGE}})  # 2.0: {"add": path, "value": ...}
_SAID = {"os_hash_algo": {"type": "string"}, "os_hash_value": {"type": "string", "maxLength": 128}}
ADD_LOCATION = Body(
    {
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^\\x00]*$"},
            "validation_data": {"type": "object", "additionalProperties": False, "properties": _SAID},
        },
        "additionalProperties": False,
    }
)
ADD_MEMBER = Body(
    {
        "type": "object",
        "required": ["member"],
        "properties": {"member": {"type": "string", "minLength": 1, "maxLength": 255}},
    }
)
SET_MEMBER = Body(
    {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string", "enum": [str(a) for a in Acceptance]}},
    }
)
_METHOD = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 64},
        "uri": {"type": "string", "maxLength": 2048},
        "glance_region": {"type": "string", "maxLength": 255},
        "glance_image_id": {"type": "string", "maxLength": 255},
        "glance_service_interface": {"type": "string", "maxLength": 64},
    },
}
IMPORT = Body(
    {
        "type": "object",
        "required": ["method"],
        "properties": {
            "method": _METHOD,
            "stores": {"type": "array", "items": {"type": "string", "maxLength": 255}, "maxItems": 64},
            "all_stores": {"type": "boolean"},
            "all_stores_must_succeed": {"type": "boolean"},
        },
    }
)
_TASK_INPUT = {
    "type": "object",
    "required": ["import_from", "import_from_format", "image_properties"],
    "properties": {
        "import_from": {"type": "string", "minLength": 1, "maxLength": 2048},
        "import_from_format": {"type": "string", "maxLength": 32},
        "image_properties": {"type": "object"},
    },
}
ADD_TASK = Body(
    {
        "type": "object",
        "required": ["type", "input"],
        "properties": {"type": {"enum": _TASK_TYPES}, "input": {"type": "object"}},
        "if": {"properties": {"type": {"const": "import"}}},
        "then": {"properties": {"input": _TASK_INPUT}},
    }
)
