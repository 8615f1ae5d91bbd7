"""What the rows ask for on this host: which volumes are served to whom, and what open operations are seeing to."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from moorage.database import Transaction
from moorage.operations import journal
from moorage.operations.records import operations
from moorage.volumes.attachments import doors
from moorage.volumes.attachments.attachment import State
from moorage.volumes.backend import Cache
from moorage.volumes.records import attachments, volumes

MENDING = "mend-volume"


@dataclass(frozen=True)
class Wanted:
    """What one volume should be like."""

    volume: str
    row: Mapping[str, Any] | None = None
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  #: attachments whose door should be open
    owned: frozenset[str] = frozenset()  #: attachments that an open operation is seeing to
    under_way: tuple[str, ...] = ()  #: open operations, but for mending

    @property
    def devices(self) -> frozenset[str]:
        """The attachments that should have a block device."""
        return frozenset(id for id, claim in self.claims.items() if doors.makes_device(claim))

    @property
    def survives(self) -> bool:
        """Whether no acknowledged write can be missing, however its server ended."""
        through = self.row is not None and self.row["cache"] == Cache.THROUGH
        return through or all(claim["mode"] == "ro" for claim in self.claims.values())


def wanted(tx: Transaction, host: str, volume: str | None = None) -> dict[str, Wanted]:
    """What each volume of `host` that has a door or an operation should be like; `volume` alone, if it is named."""
    claims = _claims(tx, host, volume)
    under_way, owned = _under_way(tx, host, volume)
    ids = set(claims) | set(under_way) | ({volume} if volume else set())
    rows = {row["id"]: row for row in tx.all(select(volumes).where(volumes.c.id.in_(sorted(ids))))}
    return {
        id: Wanted(
            volume=id,
            row=rows.get(id),
            claims={claim["id"]: claim for claim in claims[id] if claim["id"] not in owned[id]},
            owned=frozenset(owned[id]),
            under_way=tuple(under_way[id]),
        )
        for id in sorted(ids)
    }


def _claims(tx: Transaction, host: str, volume: str | None) -> defaultdict[str, list[Mapping[str, Any]]]:
    a, v = attachments.c, volumes.c
    states = [str(state) for state in (State.ATTACHING, State.ATTACHED)]
    query = select(attachments).join(volumes, v.id == a.volume_id)
    query = query.where(v.host == host, a.state.in_(states), a.connection.is_not(None))
    found: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for claim in tx.all(query if volume is None else query.where(v.id == volume)):
        found[claim["volume_id"]].append(claim)
    return found


def _under_way(
    tx: Transaction, host: str, volume: str | None
) -> tuple[defaultdict[str, list[str]], defaultdict[str, set[str]]]:
    o = operations.c
    query = select(operations).where(journal.is_open(), o.resource_kind == "volume", o.queue == f"host:{host}")
    under_way: defaultdict[str, list[str]] = defaultdict(list)
    owned: defaultdict[str, set[str]] = defaultdict(set)
    for row in tx.all(query if volume is None else query.where(o.resource_id == volume)):
        if row["kind"] == MENDING:
            continue
        under_way[row["resource_id"]].append(row["id"])
        asked = row["input"]
        owned[row["resource_id"]] |= {*asked.get("attachments", ()), *filter(None, [asked.get("attachment")])}
    return under_way, owned
