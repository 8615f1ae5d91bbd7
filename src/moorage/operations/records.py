"""The journal's tables: operations, the processes that run them, and the events that they and all verbs leave."""

from enum import StrEnum

from sqlalchemy import BigInteger, Column, Index, Integer, Table
from sqlalchemy import text as sql

from moorage.core.lifecycle import lifecycle
from moorage.database.schema import document, flag, identifier, metadata, moment, number, prose, text


class State(StrEnum):
    QUEUED = "queued"  #: nobody works on it; `not_before` says from when somebody may
    RUNNING = "running"  #: its owner works on it, for as long as the owner's lease holds
    PARKED = "parked"  #: it waits, without a thread, for the operation in `waits_for`
    DONE = "done"  #: all steps are done; over
    UNDONE = "undone"  #: it failed or was cancelled and every step was taken back; over


OVER = frozenset({State.DONE, State.UNDONE})
OPEN = frozenset(State) - OVER

# fmt: off
LIFE = lifecycle(
    # event      may come from                              leads to
    ("claim",    {State.QUEUED, State.RUNNING},             State.RUNNING),   # running: its owner's lease is over
    ("pause",    {State.RUNNING},                           State.QUEUED),    # goes on later, or elsewhere
    ("park",     {State.RUNNING},                           State.PARKED),
    ("wake",     {State.PARKED},                            State.QUEUED),    # what it waited for is over
    ("finish",   {State.RUNNING},                           State.DONE),
    ("give-up",  {State.RUNNING},                           State.UNDONE),
)
# fmt: on

#: The condition of the index that claims walk: in words, since planners do not recognise it when values are bound to
#: it.
UNDERWAY = "state IN ('queued', 'running')"


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=sql(where), postgresql_where=sql(where))


operations = Table(
    "operations",
    metadata,
    identifier(primary_key=True),
    text("kind", nullable=False),
    text("queue", nullable=False),
    text("state", 16, nullable=False),
    flag("back"),  # it is being undone
    document("input", nullable=False),
    document("results", nullable=False),  # of the steps done so far, by name
    number("step", nullable=False, default=0),  # index of the next step forward, or of the next one to undo
    text("resource_kind", 32, nullable=False),
    identifier("resource_id", nullable=False),
    identifier("project_id"),
    identifier("user_id"),
    text("request_id", 128),
    identifier("owner"),
    number("epoch", nullable=False, default=0),
    moment("lease_until"),
    moment("deadline"),
    moment("not_before", nullable=False, default=0),
    number("attempts", nullable=False, default=0),  # failures of the step at hand
    flag("cancel"),
    identifier("waits_for"),
    text("error_code"),
    number("error_status"),
    prose("error"),  # the sentence of the failure that turned it back
    prose("hindrance"),  # why it does not get on at the moment: the failure that will be tried again
    text("key"),  # Moorage-Key: finds the operation of a repeated request
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    moment("ended_at"),
    _partial("ix_operations_open", "queue", "created_at", "id", where=UNDERWAY),
    Index("ix_operations_resource", "resource_kind", "resource_id", "state"),
    _partial("ix_operations_ended_at", "ended_at", where="ended_at IS NOT NULL"),
    _partial("ix_operations_waits_for", "waits_for", where="waits_for IS NOT NULL"),
    _partial("uq_operations_key", "project_id", "key", where="key IS NOT NULL", unique=True),
)

processes = Table(
    "processes",
    metadata,
    identifier(primary_key=True),
    text("host", nullable=False),
    number("pid", nullable=False),
    text("started", 32, nullable=False),  # clock ticks since boot, from /proc
    text("boot", 128, nullable=False),  # and the pid namespace within it
    text("role", 32, nullable=False),  # up, api, worker, host
    document("queues", nullable=False),
    moment("heartbeat_at", nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    text("name", 64, primary_key=True),
    moment("due_at", nullable=False),
    identifier("owner"),  # the process that runs it
    moment("lease_until"),
    prose("error"),  # why its last run failed
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    moment("at", nullable=False),
    text("what", 64, nullable=False),  # "volume.created", "attachment.attached", ...
    text("resource_kind", 32, nullable=False),
    identifier("resource_id", nullable=False),
    identifier("project_id"),
    text("request_id", 128),
    document("facts", nullable=False),
    Index("ix_events_resource", "resource_kind", "resource_id", "id"),
    Index("ix_events_project", "project_id", "id"),
    sqlite_autoincrement=True,
)

event_floor = Table(  # one row
    "event_floor",
    metadata,
    number("forgotten", nullable=False, default=0),  # the number up to which events are forgotten
)
