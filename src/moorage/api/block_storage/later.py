"""
What this release does not have yet: snapshots, backups, transfers, groups, messages.

There are none, so their lists are empty and none of them can be found; making one is refused with 501.
"""

from collections.abc import Callable

from moorage.api.block_storage import policy
from moorage.api.block_storage.versions import V
from moorage.api.request import Answer, Request
from moorage.api.routes import Route
from moorage.api.versions import Version
from moorage.volumes.errors import NotDelivered, NotMadeYet

Handler = Callable[[Request], Answer]

# fmt: off
#    path                    the list's key      kind              since
NOUNS: tuple[tuple[str, str, str, Version], ...] = (
    ("snapshots",            "snapshots",        "Snapshot",       V.BASE),
    ("backups",              "backups",          "Backup",         V.BASE),
    ("os-volume-transfer",   "transfers",        "Transfer",       V.BASE),
    ("volume-transfers",     "transfers",        "Transfer",       V.TRANSFER_SNAPSHOTS),
    ("messages",             "messages",         "Message",        V.MESSAGES),
    ("group_types",          "group_types",      "Group Type",     V.GROUP_TYPES),
    ("groups",               "groups",           "Group",          V.GROUPS),
    ("group_snapshots",      "group_snapshots",  "GroupSnapshot",  V.GROUP_SNAPSHOTS),
    ("consistencygroups",    "consistencygroups", "ConsistencyGroup", V.BASE),
    ("cgsnapshots",          "cgsnapshots",      "CgSnapshot",     V.BASE),
)
# fmt: on


def _empty(key: str) -> Handler:
    def index(request: Request) -> Answer:
        """There are none yet."""
        request.caller.must(policy.VOLUME_LIST)
        counted = request.version >= V.WITH_COUNT and request.asked_flag("with_count")
        return Answer(200, {key: [], "count": 0} if counted else {key: []})

    return index


def _absent(kind: str) -> Handler:
    def show(request: Request) -> Answer:
        """There is none of this id."""
        request.caller.must(policy.VOLUME_LIST)
        raise NotMadeYet(kind=kind, id=request.params["id"][:255])

    return show


def _refused(key: str) -> Handler:
    def create(request: Request) -> Answer:
        """Refused: this release does not make them yet."""
        request.caller.must(policy.VOLUME_LIST)
        raise NotDelivered(what=key.replace("_", " ").capitalize())

    return create


def _rows(path: str, key: str, kind: str, since: Version) -> list[Route]:
    rows = [
        Route("GET", f"/{path}", _empty(key), since),
        Route("POST", f"/{path}", _refused(key), since, success=501),
        Route("GET", f"/{path}/{{id}}", _absent(kind), since),
        Route("PUT", f"/{path}/{{id}}", _absent(kind), since),
        Route("DELETE", f"/{path}/{{id}}", _absent(kind), since, success=202),
    ]
    if path not in ("messages", "group_types"):
        rows.append(Route("GET", f"/{path}/detail", _empty(key), since))
    rows.append(Route("POST", f"/{path}/{{id}}/action", _absent(kind), since, success=202))
    return rows


ROUTES = tuple(route for noun in NOUNS for route in _rows(*noun))
