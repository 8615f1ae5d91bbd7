"""How Block Storage shows its records: fields as rows, with the version that they came in."""

import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import select

from moorage.api.block_storage.versions import V
from moorage.api.request import Request
from moorage.api.views import Constant, Field, View, moment
from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.database.among import among, several
from moorage.database.fixed import Fixed
from moorage.volumes.attachments.attachment import State
from moorage.volumes.backend import Door
from moorage.volumes.records import attachments, volume_types

Record = Mapping[str, Any]


def base(request: Request) -> str:
    """What the links of a request begin with."""
    project = f"/{request.project_in_url}" if request.project_in_url else ""
    return f"{request.url}/v3{project}"


def links(request: Request, path: str) -> list[dict[str, str]]:
    """The links of the resource at `path` ("volumes/ID")."""
    project = f"/{request.project_in_url}" if request.project_in_url else ""
    return [
        {"rel": "self", "href": f"{base(request)}/{path}"},
        {"rel": "bookmark", "href": f"{request.url}{project}/{path}"},
    ]


def pool(row: Record) -> str:
    """Where the volume is, as host, backend and pool."""
    return f"{row['host']}@{row['backend']}#{row['backend']}"


def service_uuid(row: Record) -> str:
    """The id of the service that serves the volume: the same for all volumes of a backend."""
    return _named_uuid(f"moorage:{row['host']}@{row['backend']}")


@lru_cache(256)
def _named_uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _metadata(row: Record) -> dict[str, str]:
    said = {} if row["readonly"] is None else {"readonly": str(row["readonly"])}
    return {**row["metadata"], **said}


NOTHING, NO = Constant(None), Constant(False)

# fmt: off
VOLUME = View(
    #     on the wire                      in the record                              since
    Field("id",                            "id"),
    Field("status",                        "status"),
    Field("size",                          "size_gib"),
    Field("availability_zone",             "availability_zone"),
    Field("created_at",                    lambda row: moment(row["created_at"])),
    Field("updated_at",                    lambda row: moment(row["updated_at"])),
    Field("name",                          "name"),
    Field("description",                   "description"),
    Field("volume_type",                   "type_name"),
    Field("snapshot_id",                   "snapshot_id"),
    Field("source_volid",                  "source_volid"),
    Field("metadata",                      _metadata),
    Field("links",                         "links"),
    Field("user_id",                       "user_id"),
    Field("bootable",                      lambda row: "true" if row["bootable"] else "false"),
    Field("encrypted",                     NO),
    Field("replication_status",            NOTHING),
    Field("consistencygroup_id",           NOTHING),
    Field("multiattach",                   "multiattach"),
    Field("attachments",                   "attachments"),
    Field("migration_status",              "migration_status",                        admin=True),
    Field("group_id",                      NOTHING,                                  V.GROUPS),
    Field("provider_id",                   NOTHING,                                  V.PROVIDER_ID, admin=True),
    Field("shared_targets",                NO,                                       V.SHARED_TARGETS),
    Field("service_uuid",                  service_uuid,                              V.SHARED_TARGETS),
    Field("cluster_name",                  NOTHING,                                  V.CLUSTER_NAME, admin=True),
    Field("volume_type_id",                "type_id",                                 V.TYPE_ID),
    Field("consumes_quota",                "consumes_quota",                          V.CONSUMES_QUOTA),
)
VOLUME_DETAIL = VOLUME.plus(
    Field("os-vol-tenant-attr:tenant_id",  "project_id"),
    Field("os-vol-mig-status-attr:migstat", "migration_status",                       admin=True),
    Field("os-vol-mig-status-attr:name_id", NOTHING,                                 admin=True),
    Field("os-vol-host-attr:host",         pool,                                      admin=True),
)
VOLUME_SUMMARY = View(
    Field("id",                            "id"),
    Field("name",                          "name"),
    Field("links",                         "links"),
)
ATTACHMENT_SUMMARY = View(
    Field("id",                            "id"),
    Field("status",                        "state"),
    Field("instance",                      "instance_uuid"),
    Field("volume_id",                     "volume_id"),
)
ATTACHMENT = ATTACHMENT_SUMMARY.plus(
    Field("attached_at",                   lambda row: moment(row["attached_at"]) or ""),
    Field("detached_at",                   lambda row: moment(row["detached_at"]) or ""),
    Field("attach_mode",                   lambda row: row["mode"] or "null"),
    Field("connection_info",               "connection_info"),
)
TYPE = View(
    Field("id",                            "id"),
    Field("name",                          "name"),
    Field("is_public",                     "is_public"),
    Field("description",                   "description"),
    Field("extra_specs",                   "extra_specs"),
    Field("qos_specs_id",                  "qos_id",                                  admin=True),
    Field("os-volume-type-access:is_public", "is_public"),
)
# fmt: on

#: Extra specs that everybody sees.
OPEN_SPECS = frozenset({"RESKEY:availability_zones", "multiattach", "replication_enabled"})


_TYPE_NAMES = Fixed(select(volume_types.c.id, volume_types.c.name))
_ATTACHED = Fixed(
    select(attachments)
    .where(among(attachments.c.volume_id, several("ids")), attachments.c.state == str(State.ATTACHED))
    .order_by(attachments.c.attached_at, attachments.c.id)
)


def volumes(
    request: Request, tx: Transaction, rows: Sequence[Record], view: View = VOLUME_DETAIL
) -> list[dict[str, Any]]:
    """The volumes as `view` shows them, with what they take from other tables."""
    names = {row["id"]: row["name"] for row in tx.all(_TYPE_NAMES)}
    attached = _attached(tx, [row["id"] for row in rows], request.caller)
    shape, above, shown = view.shape(request.version, request.caller), links(request, "volumes/"), []
    for row in rows:
        record = {
            **row,
            "type_name": names.get(row["type_id"]),
            "links": [{"rel": link["rel"], "href": link["href"] + row["id"]} for link in above],
            "attachments": attached.get(row["id"], []),
        }
        body = shape(record)
        if view is VOLUME_DETAIL and row["image_metadata"]:
            body["volume_image_metadata"] = row["image_metadata"]
        shown.append(body)
    return shown


def volume(request: Request, tx: Transaction, row: Record, view: View = VOLUME_DETAIL) -> dict[str, Any]:
    """One volume as `view` shows it."""
    return volumes(request, tx, [row], view)[0]


def _attached(tx: Transaction, ids: Sequence[str], caller: Caller) -> dict[str, list[dict[str, Any]]]:
    """What a volume shows of those that are attached to it. Their hosts are nobody's business but a service's."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in tx.all(_ATTACHED, {"ids": ids}) if ids else ():
        found.setdefault(row["volume_id"], []).append(
            {
                "id": row["volume_id"],
                "attachment_id": row["id"],
                "volume_id": row["volume_id"],
                "server_id": row["instance_uuid"],
                "host_name": row["host"] if caller.is_admin or caller.is_service else None,
                "device": row["mountpoint"] or "na",
                "attached_at": moment(row["attached_at"]),
            }
        )
    return found


def connection_info(row: Record, *, secret: bool) -> dict[str, Any]:
    """What the holder of an attachment needs in order to connect, flat; with its secret only where `secret`."""
    if not row["connection"]:
        return {}
    door = row["door"]
    told = {name: value for name, value in row["connection"].items() if value is not None}
    info = {
        **told,
        "driver_volume_type": "nbd",
        "export": row["export"],
        "door": door,
        "tls": door == Door.TLS,
        "volume_id": row["volume_id"],
        "attachment_id": row["id"],
        "generation": row["generation"],
        "access_mode": row["mode"],
        "qos_specs": None,
        "encrypted": False,
        "cacheable": False,
        "discard": True,
        "enforce_multipath": False,
    }
    if "device_path" in told:  # its holder uses the device, and nothing behind it
        for name in ("uri", "export", "socket", "host", "port", "door", "tls"):
            info.pop(name, None)
        info["driver_volume_type"] = "local"
    if secret and row["secret"]:
        info |= {"tls_psk_identity": row["id"], "tls_psk": row["secret"]}
    if not secret:  # the name is as good as a key where no other one is asked for
        info = {name: value for name, value in info.items() if name not in ("uri", "export", "socket")}
    return info


def may_see_secret(row: Record, caller: Caller) -> bool:
    """The secret is for whoever made the attachment, administrators and services."""
    return caller.is_admin or caller.is_service or caller.user_id == row["user_id"]


def attachment(request: Request, row: Record, *, secret: bool = False) -> dict[str, Any]:
    """One attachment in detail."""
    info = connection_info(row, secret=secret and may_see_secret(row, request.caller))
    return ATTACHMENT({**row, "connection_info": info}, request.version, request.caller)


def volume_type(request: Request, row: Record) -> dict[str, Any]:
    """One volume type. Others than administrators see only the extra specs that concern them."""
    specs = row["extra_specs"]
    if not request.caller.is_admin:
        specs = {name: value for name, value in specs.items() if name in OPEN_SPECS}
    return TYPE({**row, "extra_specs": specs}, request.version, request.caller)
