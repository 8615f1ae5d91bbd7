"""What an operator asks: services, hosts, zones, pools, capabilities."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from moorage.api.block_storage import policy
from moorage.api.block_storage.versions import V
from moorage.api.request import Answer, Request
from moorage.api.views import moment
from moorage.core.errors import Malformed, NotFound
from moorage.database import Transaction
from moorage.volumes import services
from moorage.volumes.records import volumes

SILENT_US = 60_000_000
GIB = 1 << 30


class ServiceNotFound(NotFound):
    """Service {binary} could not be found on host {host}."""

    code = "service.not-found"


def _known(request: Request) -> list[tuple[str, str]]:
    host, backends = request.rooms.host, [one.name for one in request.rooms.settings.backends]
    return [("cinder-scheduler", host), *(("cinder-volume", f"{host}@{name}") for name in backends)]


def _rows(tx: Transaction, request: Request) -> list[dict[str, Any]]:
    said, seen = services.states(tx), services.last_seen(tx, request.rooms.host)
    rows = []
    for binary, host in _known(request):
        one = said.get(f"{binary}:{host}", {"disabled": False, "reason": None})
        row: dict[str, Any] = {
            "binary": binary,
            "host": host,
            "zone": request.rooms.settings.volumes.availability_zone,
            "status": "disabled" if one["disabled"] else "enabled",
            "state": "up" if seen is None or tx.now - seen < SILENT_US else "down",
            "updated_at": moment(seen or tx.now),
        }
        if request.version >= V.BACKEND_STATE and binary == "cinder-volume":
            row["backend_state"] = "up"
        if request.version >= V.CLUSTERS:
            row["cluster"] = None
        row["disabled_reason"] = one["reason"]
        if binary == "cinder-volume":
            row |= {"replication_status": "disabled", "active_backend_id": None, "frozen": False}
        rows.append(row)
    return rows


def index(request: Request) -> Answer:
    """The parts of the service and whether they live."""
    request.caller.must(policy.SERVICES)
    with request.read() as tx:
        rows = _rows(tx, request)
    for name in ("host", "binary"):
        wanted = request.asked(name)
        if wanted is not None:
            rows = [row for row in rows if row[name] == wanted or row[name].split("@")[0] == wanted]
    return Answer(200, {"services": rows})


def enable(request: Request) -> Answer:
    """The service takes work."""
    return _switch(request, disabled=False, reason=None)


def disable(request: Request) -> Answer:
    """The service is marked as switched off: no new volume is put on a backend that is."""
    return _switch(request, disabled=True, reason=None)


def disable_with_reason(request: Request) -> Answer:
    """The service is marked as switched off, and why."""
    return _switch(request, disabled=True, reason=request.body["disabled_reason"])


def _switch(request: Request, *, disabled: bool, reason: str | None) -> Answer:
    request.caller.must(policy.SERVICES_UPDATE)
    host, binary = request.body["host"], request.body.get("binary", "")
    if (binary, host) not in _known(request):
        raise ServiceNotFound(binary=binary, host=host)
    with request.write() as tx:
        services.switch(tx, f"{binary}:{host}", disabled=disabled, reason=reason)
    status = "disabled" if disabled else "enabled"
    body = {"host": host, "service": "", "binary": binary, "status": status, "disabled": disabled}
    return Answer(200, {**body, "disabled_reason": reason} if reason else body)


def freeze(request: Request) -> Answer:
    """Refused: there is no replication that could be frozen."""
    request.caller.must(policy.SERVICES_UPDATE)
    if all(host != request.body["host"] for _, host in _known(request)):
        raise Malformed(reason=f"No service found with host={request.body['host']}")
    raise Malformed(reason="The service is not replicated: it cannot be frozen or thawed.")


def get_log(request: Request) -> Answer:
    """The log levels of the services: one for all."""
    request.caller.must(policy.SERVICES_UPDATE)
    rows = [{"host": host, "binary": binary, "levels": {"moorage": "INFO"}} for binary, host in _known(request)]
    wanted = (request.body or {}).get("binary")
    return Answer(200, {"log_levels": [row for row in rows if wanted in (None, "", "*", row["binary"])]})


def zones(request: Request) -> Answer:
    """The availability zones."""
    name = request.rooms.settings.volumes.availability_zone
    return Answer(200, {"availabilityZoneInfo": [{"zoneName": name, "zoneState": {"available": True}}]})


def hosts(request: Request) -> Answer:
    """The hosts that services run on."""
    request.caller.must(policy.HOSTS)
    with request.read() as tx:
        rows = _rows(tx, request)
    shown = [
        {
            "host_name": row["host"],
            "service": row["binary"],
            "zone": row["zone"],
            "service-status": "available" if row["state"] == "up" else "unavailable",
            "service-state": row["status"],
            "last-update": row["updated_at"],
        }
        for row in rows
    ]
    return Answer(200, {"hosts": shown})


def host(request: Request) -> Answer:
    """How much each project keeps on a host."""
    request.caller.must(policy.HOSTS)
    name = request.params["host"]
    if all(host != name for _, host in _known(request)):
        raise NotFound()
    owner, _, backend = name.partition("@")
    c = volumes.c
    query = select(c.project_id, func.count().label("n"), func.sum(c.size_gib).label("gib"))
    with request.read() as tx:
        rows = tx.all(query.where(c.host == owner, c.backend == backend).group_by(c.project_id).order_by(c.project_id))
    total = {"project_id": "(total)", "n": sum(r["n"] for r in rows), "gib": sum(int(r["gib"]) for r in rows)}
    return Answer(200, {"host": [{"resource": _held(name, row)} for row in (total, *rows)]})


def _held(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    counts = {"volume_count": str(row["n"]), "total_volume_gb": str(int(row["gib"]))}
    return {"host": name, "project": row["project_id"], **counts, "snapshot_count": "0", "total_snapshot_gb": "0"}


def pools(request: Request) -> Answer:
    """Where volumes can be kept; with `detail`, what each place can do."""
    request.caller.must(policy.POOLS)
    shown = []
    for one in request.rooms.settings.backends:
        name = f"{request.rooms.host}@{one.name}#{one.name}"
        pool: dict[str, Any] = {"name": name}
        if request.asked_flag("detail"):
            pool["capabilities"] = _capabilities(request, one.name)
        if request.asked("name") in (None, name):
            shown.append(pool)
    return Answer(200, {"pools": shown})


def _capabilities(request: Request, name: str) -> dict[str, Any]:
    held = request.rooms.backends.get(name)
    space, traits = (held.space(), held.traits) if held is not None else (None, None)
    return {
        "volume_backend_name": name,
        "pool_name": name,
        "vendor_name": "Moorage",
        "driver_version": "1.0",
        "storage_protocol": "nbd",
        "total_capacity_gb": round(space.total / GIB, 2) if space else "unknown",
        "free_capacity_gb": round(space.free / GIB, 2) if space else "unknown",
        "reserved_percentage": 0,
        "multiattach": bool(traits and traits.multiattach),
        "thin_provisioning_support": True,
        "thick_provisioning_support": False,
        "QoS_support": False,
        "online_extend_support": bool(traits and traits.extend_attached),
    }


def capabilities(request: Request) -> Answer:
    """What a backend can do."""
    request.caller.must(policy.CAPABILITIES)
    owner, _, backend = request.params["host"].partition("@")
    names = [one.name for one in request.rooms.settings.backends]
    backend = backend.partition("#")[0]
    if owner != request.rooms.host or backend not in names:
        raise ServiceNotFound(binary="cinder-volume", host=request.params["host"][:255])
    thin = {"title": "Thin Provisioning", "description": "Space is taken when it is written to.", "type": "boolean"}
    return Answer(
        200,
        {
            "namespace": f"OS::Storage::Capabilities::{owner}@{backend}",
            "vendor_name": "Moorage",
            "volume_backend_name": backend,
            "pool_name": None,
            "driver_version": "1.0",
            "storage_protocol": "nbd",
            "display_name": None,
            "description": None,
            "visibility": None,
            "replication_targets": [],
            "properties": {"thin_provisioning": thin},
        },
    )
