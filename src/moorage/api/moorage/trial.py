"""
Trials: what the caller may do to a resource now, found out by the calls themselves.

Each call's own handler is run, with the caller's own rights, in a transaction that is always rolled back: what would
refuse the call refuses the trial, for the same reason, with the same blockers. There is no second opinion.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from moorage.api.block_storage import actions, attachments, types, volumes
from moorage.api.image import images
from moorage.api.request import Request
from moorage.api.versions import Version
from moorage.core.errors import Problem
from moorage.database import Database, Transaction
from moorage.database.engine import retried

T = TypeVar("T")
Row = Mapping[str, Any]

LATEST: Version = (3, 71)


class Passed(BaseException):
    """The call's transaction came to its end: it would have been committed."""


@dataclass(frozen=True)
class Action:
    """Something that is done to a resource of one kind."""

    name: str
    phrase: str  #: "you may ...": what is said of it where it is allowed
    handler: Callable[[Request], Any]
    body: Callable[[str, Row], Any] = lambda id, row: None  #: a call of it, for the resource `id`


def _act(name: str, asked: Any = None) -> Callable[[str, Row], Any]:
    return lambda id, row: {name: asked}


# fmt: off
ACTIONS: Mapping[str, Sequence[Action]] = {
    "volume": (
        Action("attach",       "attach it",                 attachments.create,
               lambda id, row: {"attachment": {"volume_uuid": id}}),
        Action("extend",       "extend it",                 actions.extend,
               lambda id, row: {"os-extend": {"new_size": row["size_gib"] + 1}}),
        Action("readonly",     "make it read-only, or not", actions.readonly,
               _act("os-update_readonly_flag", {"readonly": True})),
        Action("delete",       "delete it",                 volumes.delete),
        Action("force-delete", "delete it by force",        actions.force_delete),
        Action("reset-status", "reset its status",          actions.reset_status,
               _act("os-reset_status", {"status": "available"})),
    ),
    "attachment": (
        Action("update",       "update it with your connector", attachments.update,
               lambda id, row: {"attachment": {"connector": row["connector"] or {"nbd": True}}}),
        Action("complete",     "complete it",               attachments.complete, _act("os-complete")),
        Action("delete",       "delete it",                 attachments.delete),
    ),
    "image": (
        Action("make-volume",  "make volumes of it",        volumes.create,
               lambda id, row: {"volume": {"imageRef": id, "size": _gib(row)}}),
        Action("deactivate",   "deactivate it",             images.deactivate),
        Action("reactivate",   "reactivate it",             images.reactivate),
        Action("delete",       "delete it",                 images.delete),
    ),
    "volume-type": (
        Action("delete",       "delete it",                 types.delete),
    ),
}
# fmt: on


def _gib(row: Row) -> int:
    bytes_ = max(row["virtual_size"] or 0, row["size"] or 0)
    return max(-(-bytes_ // 2**30), row["min_disk_gib"] or 0, 1)


@dataclass(frozen=True)
class Verdict:
    """Whether an action is allowed now; if not, the refusal."""

    action: Action
    refusal: Problem | None = None

    def shown(self, request: Request) -> dict[str, Any]:
        """The verdict on the wire: who is in the way is named to whoever may see it."""
        told: dict[str, Any] = {"action": self.action.name, "allowed": self.refusal is None, "refusal": None}
        if self.refusal is not None:
            problem = self.refusal
            named = [{"kind": b.kind, "id": b.id} for b in problem.blockers if request.caller.sees(b.project_id)]
            told["refusal"] = {
                "code": problem.code,
                "status": problem.status,
                "message": problem.sentence,
                "blockers": named,
            }
        return told


def verdicts(request: Request, kind: str, id: str, row: Row, only: str | None = None) -> list[Verdict]:
    """What the caller may do to the resource, whose row is `row`; of action `only` alone where one is named."""
    return [_tried(request, action, id, row) for action in ACTIONS.get(kind, ()) if only in (None, action.name)]


def _tried(request: Request, action: Action, id: str, row: Row) -> Verdict:
    trial = replace(
        request,
        rooms=replace(request.rooms, database=_Trial(request.rooms.database)),
        params={"id": id},
        query=[],
        headers={},
        version=LATEST,
        body=action.body(id, row),
    )
    try:
        retried(lambda: action.handler(trial))
    except Passed:
        return Verdict(action)
    except Problem as problem:
        return Verdict(action, problem)
    return Verdict(action)


class _Trial(Database):
    """The database, but that no transaction commits: it says `Passed` instead."""

    def __init__(self, real: Database) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with self._real.read() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        with self._real.write() as tx:
            yield tx
            raise Passed()

    def transact(self, work: Callable[[Transaction], T]) -> T:
        with self.write() as tx:
            return work(tx)
