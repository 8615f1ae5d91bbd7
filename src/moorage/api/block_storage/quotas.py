"""Quotas and limits."""

from collections.abc import Mapping
from typing import Any

from moorage.api.block_storage import policy
from moorage.api.block_storage.versions import V
from moorage.api.request import Answer, Request
from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.volumes import quota

_LONGEST = 64


def _defaults(request: Request) -> dict[str, int]:
    found: dict[str, int] = request.rooms.settings.volumes.quota_defaults()
    return found


def _shown(tx: Transaction, limits: Mapping[str, int]) -> dict[str, int]:
    """The limits under the names of the API, in its order."""
    first = {name: limits[name] for name in quota.NAMES if name != "groups"}
    by_type = {name: limits.get(key, -1) for name, key in quota.named(tx).items()}
    return {**first, **by_type, "groups": limits["groups"]}


def show(request: Request) -> Answer:
    """The limits of the project; with `usage`, also what it has."""
    project = request.params["project"][:_LONGEST]
    request.caller.must(policy.QUOTA_SHOW, project)
    with request.read() as tx:
        shown: dict[str, Any] = dict(_shown(tx, quota.limits(tx, project, _defaults(request))))
        if request.asked_flag("usage"):
            used, keys = quota.usage(tx, project), quota.named(tx)
            shown = {
                name: {"limit": limit, "in_use": used.get(keys.get(name, name), 0), "reserved": 0}
                for name, limit in shown.items()
            }
    return Answer(200, {"quota_set": {**shown, "id": project}})


def defaults(request: Request) -> Answer:
    """The limits of projects that set none."""
    project = request.params["project"][:_LONGEST]
    request.caller.must(policy.QUOTA_SHOW, project)
    with request.read() as tx:
        shown = _shown(tx, quota.limits(tx, None, _defaults(request)))
    return Answer(200, {"quota_set": {**shown, "id": project}})


def update(request: Request) -> Answer:
    """The project has these limits."""
    request.caller.must(policy.QUOTA_UPDATE)
    return Answer(200, {"quota_set": _set(request, request.params["project"][:_LONGEST], request.body["quota_set"])})


def delete(request: Request) -> Answer:
    """The project has the default limits again."""
    request.caller.must(policy.QUOTA_DELETE)
    with request.write() as tx:
        quota.reset_limits(tx, request.params["project"][:_LONGEST])
    return Answer(200)


def show_class(request: Request) -> Answer:
    """The limits of a class; the class `default` is for projects that set none."""
    request.caller.must(policy.QUOTA_CLASS)
    with request.read() as tx:
        shown = _shown(tx, quota.limits(tx, None, _defaults(request)))
    return Answer(200, {"quota_class_set": {**shown, "id": request.params["name"][:_LONGEST]}})


def update_class(request: Request) -> Answer:
    """The class has these limits."""
    request.caller.must(policy.QUOTA_CLASS_UPDATE)
    name = request.params["name"]
    if name != "default":
        raise Malformed(reason=f"There is no quota class {name[:64]}: only `default`.")
    return Answer(200, {"quota_class_set": _set(request, quota.CLASS, request.body["quota_class_set"])})


def _set(request: Request, id: str, asked: Mapping[str, Any]) -> dict[str, int]:
    given = {name: asked[name] for name in asked if name not in ("tenant_id", "id", "force", "class_name")}
    with request.write() as tx:
        keys = {**{name: name for name in quota.NAMES}, **quota.named(tx)}
        unknown = sorted(set(given) - set(keys))
        if unknown:
            raise Malformed(reason=f"Bad key(s) in quota set: {', '.join(unknown)[:256]}")
        quota.set_limits(tx, id, {keys[name]: _amount(name, value) for name, value in given.items()})
        project = None if id == quota.CLASS else id
        return _shown(tx, quota.limits(tx, project, _defaults(request)))


def _amount(name: str, value: Any) -> int:
    number = int(value)
    if not -1 <= number <= 2**31 - 1:
        raise Malformed(
            reason=f"Invalid input for field/attribute {name[:64]}. Value: {value}. It must be -1 to {2**31 - 1}."
        )
    return number


def limits(request: Request) -> Answer:
    """What the project may have and has."""
    request.caller.must(policy.LIMITS)
    project = request.caller.project_id
    asked = request.asked("project_id") or request.asked("tenant_id")
    if asked and request.caller.is_admin and request.version >= V.PROJECT_LIMITS and "\0" not in asked:
        project = asked
    with request.read() as tx:
        limit = quota.limits(tx, project, _defaults(request))
        used = quota.usage(tx, project) if project else {}
    absolute = {
        "maxTotalVolumes": limit["volumes"],
        "maxTotalSnapshots": limit["snapshots"],
        "maxTotalVolumeGigabytes": limit["gigabytes"],
        "maxTotalBackups": limit["backups"],
        "maxTotalBackupGigabytes": limit["backup_gigabytes"],
        "totalVolumesUsed": used.get("volumes", 0),
        "totalGigabytesUsed": used.get("gigabytes", 0),
        "totalSnapshotsUsed": 0,
        "totalBackupsUsed": 0,
        "totalBackupGigabytesUsed": 0,
    }
    return Answer(200, {"limits": {"rate": [], "absolute": absolute}})
