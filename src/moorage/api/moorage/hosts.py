"""Hosts: who looks after each, and which block devices it has."""

from collections.abc import Mapping
from typing import Any

from moorage.api.moorage import policy
from moorage.api.moorage.attachments import device_shown
from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.hosts import service


def index(request: Request) -> Answer:
    """All hosts."""
    request.caller.must(policy.HOSTS)
    with request.read() as tx:
        return Answer(body={"hosts": [shown(row, request) for row in service.known(tx)]})


def show(request: Request) -> Answer:
    """One host."""
    request.caller.must(policy.HOSTS)
    with request.read() as tx:
        return Answer(body={"host": shown(service.get(tx, request.params["id"]), request)})


def shown(row: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """A host on the wire; its devices as they are now where it is this one, else as they were last seen."""
    devices = row["devices"]
    if row["id"] == request.rooms.host and request.rooms.devices is not None:
        devices = {id: device_shown(device) for id, device in request.rooms.devices.present().items()}
    return {
        "name": row["id"],
        "process": row["process"],
        "agent": row["agent"],
        "version": row["version"],
        "obstacles": row["obstacles"],
        "devices": devices,
        "heard_at": moment(row["heard_at"]),
    }
