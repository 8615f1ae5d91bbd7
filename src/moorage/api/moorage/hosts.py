"""Hosts: who looks after each and which devices it has; the agents of those that only use volumes, and their leases."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.api.moorage import policy
from moorage.api.moorage.attachments import device_shown, lease_shown
from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.database import Transaction
from moorage.hosts import agents, lease, service
from moorage.volumes.attachments.attachment import HELD
from moorage.volumes.records import attachments

EVERY = 3  #: heartbeats in the shortest term
IDLE_S = 5.0  #: the pause between heartbeats where nothing has a lease


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


def register(request: Request) -> Answer:
    """The host is known, and its agent's new secret is told, this one time."""
    request.caller.must(policy.HOSTS_REGISTER)
    name = request.body["host"]["name"]
    with request.write() as tx:
        secret = agents.register(tx, name, request.request_id)
        return Answer(201, {"host": {**shown(service.get(tx, name), request), "secret": secret}})


def unregister(request: Request) -> Answer:
    """The host's agent is not believed any more."""
    request.caller.must(policy.HOSTS_REGISTER)
    with request.write() as tx:
        agents.unregister(tx, request.params["id"], request.request_id)
    return Answer(204)


def heartbeat(request: Request) -> Answer:
    """
    The leases of what the host holds start a new term. What it names and may not hold any more is named back: its
    devices have to go.
    """
    said, host = request.body["heartbeat"], request.params["id"]
    beat = agents.Beat(said["boot"], said["version"], said["agent"], said["obstacles"], said["devices"])
    with request.write() as tx:
        agents.prove(tx, host, request.headers)
        leases = agents.beat(tx, host, beat)
        body = {
            "leases": {row["id"]: {"term_s": row["term_s"], "until": moment(row["until"])} for row in leases},
            "over": _over(tx, host, list(beat.devices)),
            "again_in_s": min([IDLE_S, *(row["term_s"] / EVERY for row in lease.of_host(tx, host))]),
        }
    return Answer(body={"heartbeat": body})


def _over(tx: Transaction, host: str, ids: list[str]) -> list[str]:
    """Those that are not this host's attachments any more."""
    c = attachments.c
    held = select(c.id).where(c.id.in_(ids), c.host == host, c.state.in_([str(state) for state in HELD]))
    mine = {row["id"] for row in tx.all(held)}
    return sorted(set(ids) - mine)


def leases(request: Request) -> Answer:
    """The leases of a host's attachments; its agent may see them, too."""
    host = request.params["id"]
    with request.read() as tx:
        if agents.HEADER in request.headers:
            agents.prove(tx, host, request.headers)
        else:
            request.caller.must(policy.HOSTS)
        service.get(tx, host)
        c = attachments.c
        rows = lease.of_host(tx, host)
        held = select(c.id).where(c.id.in_([row["id"] for row in rows]), c.state.in_([str(state) for state in HELD]))
        ids = {row["id"] for row in tx.all(held)}
        return Answer(body={"leases": [lease_shown(row) for row in rows if row["id"] in ids]})


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
        "registered": row["secret"] is not None,
        "heartbeat_at": moment(row["heartbeat_at"]),
    }
