"""What the calls of Block Storage accept, as JSON Schemas by microversion."""

from typing import Any

from moorage.api.block_storage.versions import V
from moorage.api.bodies import Body, Schema

LARGEST = 2**31 - 1
TEXT = "^[^\\x00]*$"  # no database keeps a NUL

string = {"type": "string", "pattern": TEXT, "maxLength": 255}
some_string = {**string, "minLength": 1, "pattern": "^[^\\x00]*[^\\x00\\s][^\\x00]*$"}
string_or_null = {**string, "type": ["string", "null"]}
uuid = {"type": "string", "format": "uuid"}
uuid_or_null = {"type": ["string", "null"], "format": "uuid"}
flag = {"type": ["boolean", "string"], "maxLength": 5}
flag_or_null = {"type": ["boolean", "string", "null"], "maxLength": 5}
size = {"type": ["integer", "string"], "pattern": "^[0-9]{1,10}$", "minimum": 1, "maximum": LARGEST}
size_or_null = {**size, "type": ["integer", "string", "null"]}
amount = {"type": ["integer", "string"], "pattern": "^-?[0-9]{1,10}$", "minimum": -1, "maximum": LARGEST}
nothing: Schema = {"type": ["object", "null", "string"]}

KEY = "^[a-zA-Z0-9-_:. /]{1,255}$"
metadata = {"type": "object", "patternProperties": {KEY: string}, "additionalProperties": False, "maxProperties": 128}
metadata_or_null = {**metadata, "type": ["object", "null"]}
specs = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:.]{1,255}$": {**string, "type": ["string", "null"]}},
    "additionalProperties": False,
    "maxProperties": 128,
}
image_metadata = {
    "type": "object",
    "patternProperties": {"^[^\\x00]{1,255}$": {"type": "string", "pattern": TEXT, "maxLength": 65535}},
    "additionalProperties": False,
    "maxProperties": 128,
}


def closed(properties: dict[str, Any], *required: str) -> Schema:
    """An object of these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def opened(properties: dict[str, Any], *required: str) -> Schema:
    """An object of these properties; others are not looked at."""
    return {**closed(properties, *required), "additionalProperties": True}


_new = {
    "size": size_or_null,
    "name": string_or_null,
    "description": string_or_null,
    "display_name": string_or_null,
    "display_description": string_or_null,
    "volume_type": string_or_null,
    "snapshot_id": uuid_or_null,
    "source_volid": uuid_or_null,
    "backup_id": uuid_or_null,
    "group_id": uuid_or_null,
    "consistencygroup_id": uuid_or_null,
    "source_replica": uuid_or_null,
    "imageRef": string_or_null,
    "image_id": string_or_null,
    "availability_zone": string_or_null,
    "metadata": metadata_or_null,
    "multiattach": flag_or_null,
    "attach_status": string_or_null,
    "status": string_or_null,
    "user_id": string_or_null,
    "project_id": string_or_null,
}
VOLUME_CREATE = Body(
    {
        V.BASE: opened({"volume": opened(_new), "OS-SCH-HNT:scheduler_hints": {"type": ["object", "null"]}}, "volume"),
        V.STRICT_BODIES: closed(
            {
                "volume": closed({**_new, "OS-SCH-HNT:scheduler_hints": {"type": ["object", "null"]}}),
                "OS-SCH-HNT:scheduler_hints": {"type": ["object", "null"]},
            },
            "volume",
        ),
    }
)
_names = {name: _new[name] for name in ("name", "description", "display_name", "display_description", "metadata")}
VOLUME_UPDATE = Body(
    {
        V.BASE: closed({"volume": opened(_names)}, "volume"),
        V.STRICT_BODIES: closed({"volume": {**closed(_names), "minProperties": 1}}, "volume"),
    }
)
METADATA = Body(closed({"metadata": metadata}, "metadata"))
META_ITEM = Body(closed({"meta": {**metadata, "minProperties": 1, "maxProperties": 1}}, "meta"))


def action(name: str, schema: Schema) -> Body:
    """The body of an action: its name, and what it takes."""
    return Body(closed({name: schema}, name))


EXTEND = action("os-extend", closed({"new_size": size}, "new_size"))
RETYPE = action(
    "os-retype",
    closed({"new_type": some_string, "migration_policy": {"enum": ["never", "on-demand", None]}}, "new_type"),
)
READONLY = action("os-update_readonly_flag", closed({"readonly": flag}, "readonly"))
BOOTABLE = action("os-set_bootable", closed({"bootable": flag}, "bootable"))
RESET_STATUS = action(
    "os-reset_status",
    {
        **closed({"status": string_or_null, "attach_status": string_or_null, "migration_status": string_or_null}),
        "minProperties": 1,
    },
)
SET_IMAGE_METADATA = action("os-set_image_metadata", closed({"metadata": image_metadata}, "metadata"))
UNSET_IMAGE_METADATA = action("os-unset_image_metadata", closed({"key": some_string}, "key"))

_upload = {
    "image_name": some_string,
    "force": flag,
    "disk_format": {"enum": ["raw", "vmdk", "vdi", "qcow2", "vhd", "vhdx", "ploop"]},
    "container_format": string,
}
UPLOAD_IMAGE = Body(
    {
        V.BASE: closed({"os-volume_upload_image": closed(_upload, "image_name")}, "os-volume_upload_image"),
        V.UPLOAD_VISIBILITY: closed(
            {"os-volume_upload_image": closed({**_upload, "visibility": string, "protected": flag}, "image_name")},
            "os-volume_upload_image",
        ),
    }
)

connector = {
    "type": "object",
    "properties": {"host": string_or_null, "mountpoint": string_or_null, "mode": string_or_null},
    "maxProperties": 64,
}
_reserve = {
    "volume_uuid": uuid,
    "instance_uuid": {"type": ["string", "null"], "anyOf": [{"format": "uuid"}, {"maxLength": 0}]},
    "connector": {**connector, "type": ["object", "null"]},
}
_mode = {"mode": {"enum": ["rw", "ro", None]}}
ATTACHMENT_CREATE = Body(
    {
        V.NEW_ATTACH: closed({"attachment": closed(_reserve, "volume_uuid")}, "attachment"),
        V.ATTACH_MODE: closed({"attachment": closed({**_reserve, **_mode}, "volume_uuid")}, "attachment"),
    }
)
ATTACHMENT_UPDATE = Body(
    closed({"attachment": closed({"connector": {**connector, "minProperties": 1}}, "connector")}, "attachment")
)

_place = {**connector, "minProperties": 1}
_place_or_null = {**connector, "type": ["object", "null"]}
INITIALIZE = action("os-initialize_connection", closed({"connector": _place}, "connector"))
TERMINATE = action("os-terminate_connection", closed({"connector": _place_or_null}, "connector"))
ATTACH = action(
    "os-attach",
    closed(
        {
            "instance_uuid": uuid_or_null,
            "host_name": string_or_null,
            "mountpoint": {**some_string},
            "mode": {"enum": ["rw", "ro", None]},
        },
        "mountpoint",
    ),
)
DETACH = action("os-detach", {**closed({"attachment_id": uuid_or_null}), "type": ["object", "null"]})
FORCE_DETACH = action(
    "os-force_detach",
    {**closed({"attachment_id": uuid_or_null, "connector": _place_or_null}), "type": ["object", "null"]},
)

_type = {
    "name": some_string,
    "description": string_or_null,
    "os-volume-type-access:is_public": flag,
    "extra_specs": {**specs, "type": ["object", "null"]},
}
TYPE_CREATE = Body(closed({"volume_type": opened(_type, "name")}, "volume_type"))
TYPE_UPDATE = Body(
    closed(
        {"volume_type": closed({"name": string_or_null, "description": string_or_null, "is_public": flag})},
        "volume_type",
    )
)
SPECS = Body(closed({"extra_specs": specs}, "extra_specs"))
SPEC = Body({**specs, "minProperties": 1, "maxProperties": 1})
PROJECT_ACCESS = closed({"project": some_string}, "project")
ADD_ACCESS = action("addProjectAccess", PROJECT_ACCESS)
REMOVE_ACCESS = action("removeProjectAccess", PROJECT_ACCESS)
DEFAULT_TYPE = Body(closed({"default_type": closed({"volume_type": some_string}, "volume_type")}, "default_type"))

_values = {"^[a-zA-Z0-9-_:. ]{1,255}$": string}
QOS_CREATE = Body(
    closed(
        {
            "qos_specs": {
                "type": "object",
                "properties": {"name": some_string, "consumer": {"enum": ["front-end", "back-end", "both"]}},
                "patternProperties": _values,
                "required": ["name"],
                "additionalProperties": False,
                "maxProperties": 128,
            }
        },
        "qos_specs",
    )
)
QOS_UPDATE = Body(
    closed(
        {
            "qos_specs": {
                "type": "object",
                "properties": {"consumer": {"enum": ["front-end", "back-end", "both"]}},
                "patternProperties": _values,
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 128,
            }
        },
        "qos_specs",
    )
)
QOS_DELETE_KEYS = Body(closed({"keys": {"type": "array", "items": string, "minItems": 1, "maxItems": 128}}, "keys"))

_limits = {"type": "object", "patternProperties": {TEXT: amount}, "maxProperties": 1024}
QUOTA_UPDATE = Body(
    closed({"quota_set": {**_limits, "properties": {"tenant_id": {}, "force": flag, "id": {}}}}, "quota_set")
)
QUOTA_CLASS_UPDATE = Body(
    closed({"quota_class_set": {**_limits, "properties": {"class_name": {}, "id": {}}}}, "quota_class_set")
)
SERVICE = Body(opened({"host": string, "binary": string, "disabled_reason": string}, "host"))
SERVICE_REASON = Body(
    opened({"host": string, "binary": string, "disabled_reason": some_string}, "host", "disabled_reason")
)
LOG = Body(
    {
        "type": ["object", "null"],
        "properties": {"binary": string_or_null, "server": string_or_null, "prefix": string_or_null},
    }
)
