"""
Leases: an attachment that has one is fenced and released when nobody has renewed it for a term.

Whoever took it renews it, by a call; so does the agent of its host, with every heartbeat that names the attachment.  An
attachment without a lease never expires.  All times are the database's.

Nobody loses a lease because nobody was there to hear him: processes that hear renewals say so at least twice a second
while there are leases, and after a time in which none did, every lease starts a full new term.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, insert, literal_column, select, update

from moorage.core.errors import Malformed
from moorage.database import Transaction
from moorage.database.fixed import Fixed
from moorage.hosts.records import hearing, leases

HEADER = "moorage-lease"
SHORTEST_S, LONGEST_S = 3, 86400
DEAF_US = 1_500_000  #: after so long without a sign of anybody who hears, terms start anew
SECOND = 1_000_000
ROW = "leases"

_END = Fixed(delete(leases).where(leases.c.id == bindparam("the_id")))
_NEXT = Fixed(select(leases.c.until).order_by(leases.c.until).limit(literal_column("1")))


def asked(headers: Mapping[str, str]) -> int | None:
    """The term in seconds that a request asks for; 0: it gives its lease up; None: it does not speak of leases."""
    text = headers.get(HEADER)
    if text is None:
        return None
    term = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
    if term != 0 and not SHORTEST_S <= term <= LONGEST_S:
        raise Malformed(reason=f"Moorage-Lease must be a number of seconds from {SHORTEST_S} to {LONGEST_S}, or 0.")
    return term


def take(tx: Transaction, attachment: str, host: str | None, term_s: int) -> None:
    """The attachment, which is locked, has a lease of a full term from now on; none at all where the term is 0."""
    _sign(tx, attachment)  # whoever gives a lease hears
    there = bool(tx.lock(leases, [attachment]))
    values = {"host": host, "term_s": term_s, "until": tx.now + term_s * SECOND}
    if term_s == 0:
        end(tx, attachment)
    elif there:
        tx.run(update(leases).where(leases.c.id == attachment).values(**values))
    else:
        tx.run(insert(leases).values(id=attachment, created_at=tx.now, **values))


def end(tx: Transaction, attachment: str) -> None:
    """The attachment has no lease any more. None is fine."""
    tx.run(_END, {"the_id": attachment})


def of(tx: Transaction, attachment: str) -> Mapping[str, Any] | None:
    """The attachment's lease, if it has one."""
    return tx.get(leases, attachment)


def renew(tx: Transaction, host: str, attachments: Collection[str]) -> list[Mapping[str, Any]]:
    """Those of the attachments whose leases are `host`'s have a full term from now on; these leases."""
    mine = [row for row in tx.lock(leases, attachments) if row["host"] == host]
    for row in mine:
        until = tx.now + row["term_s"] * SECOND
        tx.run(update(leases).where(leases.c.id == row["id"]).values(until=until))
    return [{**row, "until": tx.now + row["term_s"] * SECOND} for row in mine]


def of_host(tx: Transaction, host: str) -> Sequence[Mapping[str, Any]]:
    """The leases that the agent of `host` may renew."""
    return tx.all(select(leases).where(leases.c.host == host).order_by(leases.c.until, leases.c.id))


def next_lapse(tx: Transaction) -> int | None:
    """When the next lease lapses unless it is renewed; None: there are none."""
    found: int | None = tx.value(_NEXT)
    return found


@dataclass(frozen=True)
class Heard:
    """What somebody who hears has found."""

    at: int  #: when
    lapsed: tuple[str, ...]  #: the attachments whose leases were over by then
    deaf_us: int = 0  #: for how long nobody had heard, where terms therefore start anew


def hear(tx: Transaction, limit: int = 1000) -> Heard:
    """Let it be known that renewals are heard now; what has lapsed although they were heard all the time."""
    deaf_us = _sign(tx)
    if deaf_us:
        return Heard(tx.now, (), deaf_us)
    c = leases.c
    over = tx.all(select(c.id).where(c.until <= tx.now).order_by(c.until, c.id).limit(limit))
    return Heard(tx.now, tuple(one["id"] for one in over))


def _sign(tx: Transaction, *also: str) -> int:
    """
    Give a sign of life; for how many microseconds nobody had, where that was so long that every lease starts anew: then
    all are locked, and `also` with them, since locks are taken in one order.
    """
    last = int(tx.lock(hearing, [ROW])[0]["at"])
    deaf_us = abs(tx.now - last)  # a clock that was set counts as a time in which nobody heard
    deaf = deaf_us > DEAF_US
    tx.run(update(hearing).where(hearing.c.id == ROW).values(at=tx.now if deaf else max(tx.now, last)))
    return deaf_us if deaf and _anew(tx, also) else 0


def _anew(tx: Transaction, also: Collection[str]) -> int:
    """Every lease has a full term from now on; how many there are."""
    ids = [row["id"] for row in tx.all(select(leases.c.id))]
    for row in tx.lock(leases, [*ids, *also]):
        tx.run(update(leases).where(leases.c.id == row["id"]).values(until=tx.now + row["term_s"] * SECOND))
    return len(ids)


def still_lapsed(tx: Transaction, ids: Collection[str], at: int) -> list[Mapping[str, Any]]:
    """Those of the leases, locked from here on, that were over at `at` and that nobody has renewed since."""
    return [row for row in tx.lock(leases, ids) if row["until"] <= at]
