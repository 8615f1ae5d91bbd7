"""The metadata of a volume."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from moorage.api.block_storage import policy
from moorage.api.block_storage.versions import V
from moorage.api.request import Answer, Request
from moorage.core.caller import Rule
from moorage.core.errors import Changed, Malformed
from moorage.volumes import custody, volume
from moorage.volumes.errors import InvalidVolume, KeyNotFound

MOST = 128


def index(request: Request) -> Answer:
    """All pairs, with an `ETag` of them."""
    row = _read(request)
    body = {"metadata": row["metadata"]}
    return Answer(200, body, {"etag": _etag(body)} if request.version >= V.ETAGS else {})


def show(request: Request) -> Answer:
    """One pair."""
    row, key = _read(request), request.params["key"]
    if key not in row["metadata"]:
        raise KeyNotFound(id=row["id"], key=key[:255])
    return Answer(200, {"meta": {key: row["metadata"][key]}})


def merge(request: Request) -> Answer:
    """The volume has these pairs, too."""
    given = request.body["metadata"]
    known = _change(request, policy.VOLUME_METADATA_CREATE, lambda known: {**known, **given})
    return Answer(200, {"metadata": known})


def replace(request: Request) -> Answer:
    """The volume has these pairs and no others."""
    given = request.body["metadata"]
    return Answer(200, {"metadata": _change(request, policy.VOLUME_METADATA_UPDATE, lambda known: given)})


def put(request: Request) -> Answer:
    """The volume has this pair, too."""
    pair, key = request.body["meta"], request.params["key"]
    if key not in pair:
        raise Malformed(reason="Request body and URI mismatch")
    _change(request, policy.VOLUME_METADATA_UPDATE, lambda known: {**known, **pair})
    return Answer(200, {"meta": pair})


def remove(request: Request) -> Answer:
    """The volume has no pair of this key."""
    key = request.params["key"]

    def without(known: dict[str, str]) -> dict[str, str]:
        if key not in known:
            raise KeyNotFound(id=request.params["id"], key=key[:255])
        return {name: value for name, value in known.items() if name != key}

    _change(request, policy.VOLUME_METADATA_DELETE, without)
    return Answer(200)


def _read(request: Request) -> Mapping[str, Any]:
    with request.read() as tx:
        row = volume.find(tx, request.caller, request.params["id"])
        request.caller.must(policy.VOLUME_METADATA_GET, row["project_id"])
        return row


def _change(request: Request, rule: Rule, changed: Any) -> dict[str, str]:
    with request.write() as tx:
        row = volume.locked(tx, request.caller, request.params["id"])
        request.caller.must(rule, row["project_id"])
        custody.permit(request.caller, row)
        if row["status"] in ("maintenance", "uploading"):
            raise InvalidVolume(
                reason=f"Metadata of a volume cannot be changed while it is {row['status']}.",
                blockers=volume.blockers(tx, row),
            )
        _matches(request, row)
        known: dict[str, str] = changed(dict(row["metadata"]))
        if len(known) > MOST:
            raise Malformed(reason=f"A volume has {MOST} pairs of metadata at most.")
        volume.change(tx, row, {"metadata": known})
        return known


def _matches(request: Request, row: Mapping[str, Any]) -> None:
    wanted = request.headers.get("if-match", "*").strip()
    if wanted == "*" or request.version < V.ETAGS or request.method != "PUT":
        return
    if _etag({"metadata": row["metadata"]}) not in [tag.strip().strip('"') for tag in wanted.split(",")]:
        raise Changed()


def _etag(body: Mapping[str, Any]) -> str:
    return hashlib.md5(json.dumps(body, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
