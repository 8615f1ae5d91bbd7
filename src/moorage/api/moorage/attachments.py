"""Attachments as Block Storage never shows them: whose, where, since when, beside whom; also after they are over."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.api.moorage.operations import limit
from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.core.errors import Malformed
from moorage.core.paging import Page
from moorage.database import Transaction
from moorage.database.paging import paged
from moorage.hosts import lease
from moorage.hosts.devices import Device
from moorage.hosts.records import hosts
from moorage.volumes.attachments.attachment import HELD, Origin, State
from moorage.volumes.errors import AttachmentNotFound
from moorage.volumes.records import attachments

PLAIN = ("id", "volume_id", "project_id", "user_id", "state", "mode", "host", "mountpoint", "generation", "problem")
TIMES = ("created_at", "updated_at", "attached_at", "detached_at")


QUERY = ("limit", "marker", "state", "volume_id", "instance", "host", "project_id")
MOST = 1000


def index(request: Request) -> Answer:
    """The attachments that the caller may see, newest first: those that are not over, or those in `state`."""
    c, state = attachments.c, request.asked("state")
    if state not in (None, "all", *State):
        raise Malformed(reason="state is one of all, " + ", ".join(State) + ".")
    where = [c.state.in_([str(one) for one in HELD])] if state is None else [] if state == "all" else [c.state == state]
    columns = {"volume_id": c.volume_id, "instance": c.instance_uuid, "host": c.host, "project_id": c.project_id}
    where += [column == value for name, column in columns.items() if (value := request.asked(name)) is not None]
    if not request.caller.is_admin:
        where.append(c.project_id == request.caller.project_id)
    page = Page(limit=limit(request, MOST), marker=request.asked("marker"))
    with request.read() as tx:
        marker = _found(tx, request, page.marker) if page.marker else None
        rows = tx.all(paged(select(attachments).where(*where), attachments, page, marker))
        return Answer(body={"attachments": [{**shown(row, None), "instance": row["instance_uuid"]} for row in rows]})


def _found(tx: Transaction, request: Request, id: str) -> Mapping[str, Any]:
    row = tx.get(attachments, id)
    if row is None or not request.caller.sees(row["project_id"]):
        raise AttachmentNotFound(id=id[:64])
    return row


def show(request: Request) -> Answer:
    """One attachment, and those of the same volume and of the same host."""
    c = attachments.c
    with request.read() as tx:
        row = _found(tx, request, request.params["id"])
        held = select(attachments).where(c.state.in_([str(state) for state in HELD]), c.id != row["id"])
        here = held.where(c.host == row["host"]) if row["host"] else None
        body = {
            **shown(row, device_of(tx, request, row)),
            "instance": row["instance_uuid"],
            "lease": lease_shown(lease.of(tx, row["id"])) if row["state"] in HELD else None,
            "same_volume": _named(tx, request, held.where(c.volume_id == row["volume_id"])),
            "same_host": _named(tx, request, here) if here is not None else [],
        }
    return Answer(body={"attachment": body})


def shown(row: Mapping[str, Any], device: Mapping[str, Any] | None) -> dict[str, Any]:
    """An attachment on the wire."""
    return {
        **{name: row[name] for name in PLAIN},
        **{name: moment(row[name]) for name in TIMES},
        "hold": row["origin"] == Origin.HOLD,
        "device": device,
    }


def lease_shown(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A lease on the wire."""
    if row is None:
        return None
    return {"attachment": row["id"], "host": row["host"], "term_s": row["term_s"], "until": moment(row["until"])}


def device_of(tx: Transaction, request: Request, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The attachment's block device: as it is now where this is its host, else as it was last seen."""
    if not (row["connection"] or {}).get("device_path"):
        return None
    if row["host"] == request.rooms.host and request.rooms.devices is not None:
        device = request.rooms.devices.present().get(row["id"])
        return device_shown(device) if device is not None else None
    devices = tx.value(select(hosts.c.devices).where(hosts.c.id == row["host"])) or {}
    return devices.get(row["id"])


def device_shown(device: Device) -> dict[str, Any]:
    """A device on the wire."""
    return {"path": device.path, "read_only": device.read_only, "alive": device.alive, "mounted": device.mounted}


def _named(tx: Transaction, request: Request, query: Any) -> list[dict[str, Any]]:
    rows = [row for row in tx.all(query.limit(1000)) if request.caller.sees(row["project_id"])]
    return [
        {"id": row["id"], "volume_id": row["volume_id"], "state": row["state"], "mode": row["mode"]} for row in rows
    ]
