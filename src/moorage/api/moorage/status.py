"""Status: what runs here, and what there is at a glance."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, func, select

from moorage import __version__
from moorage.api.moorage.attachments import device_shown, shown
from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.database import Transaction
from moorage.hosts.records import hosts
from moorage.images.records import images
from moorage.operations import journal
from moorage.operations.records import operations, processes
from moorage.volumes.attachments.attachment import HELD
from moorage.volumes.records import attachments, volumes


def show(request: Request) -> Answer:
    """The whole, of what the caller may see."""
    rooms, admin = request.rooms, request.caller.is_admin
    with request.read() as tx:
        body: dict[str, Any] = {
            "version": __version__,
            "host": rooms.host,
            "url": rooms.settings.base_url,
            "keeper": _keeper(tx, rooms.host),
            "counts": _counts(tx, request),
            "attachments": _here(tx, request),
        }
        if admin:
            rows = tx.all(select(processes).order_by(processes.c.host, processes.c.pid))
            body |= {"state": str(rooms.state), "processes": [_process(row) for row in rows]}
    return Answer(body={"status": body})


def _keeper(tx: Transaction, host: str) -> dict[str, Any] | None:
    """The process that looks after this host: the holder of its lock."""
    id = tx.value(select(hosts.c.process).where(hosts.c.id == host))
    row = tx.one(select(processes).where(processes.c.id == id)) if id else None
    return _process(row) if row is not None else None


def _process(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: row[name] for name in ("id", "role", "host", "pid")}
    return {**told, "heard_at": moment(row["heartbeat_at"])}


def _counts(tx: Transaction, request: Request) -> dict[str, int]:
    states = [str(state) for state in HELD]
    return {
        "volumes": _count(tx, request, volumes, "project_id"),
        "attachments": _count(tx, request, attachments, "project_id", attachments.c.state.in_(states)),
        "images": _count(tx, request, images, "owner"),
        "operations": _count(tx, request, operations, "project_id", journal.is_open()),
    }


def _count(tx: Transaction, request: Request, table: Table, owner: str, *where: Any) -> int:
    query = select(func.count()).select_from(table).where(*where)
    if not request.caller.is_admin:
        query = query.where(table.c[owner] == request.caller.project_id)
    return int(tx.value(query))


def _here(tx: Transaction, request: Request) -> list[dict[str, Any]]:
    """The attachments of this host that the caller may see, with their devices."""
    c = attachments.c
    query = select(attachments).where(c.host == request.rooms.host, c.state.in_([str(state) for state in HELD]))
    rows = [row for row in tx.all(query.order_by(c.created_at).limit(1000)) if request.caller.sees(row["project_id"])]
    present = request.rooms.devices.present() if rows and request.rooms.devices is not None else {}
    return [shown(row, device_shown(present[row["id"]]) if row["id"] in present else None) for row in rows]
