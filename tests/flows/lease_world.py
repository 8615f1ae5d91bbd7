"""Block Storage with leases, in which time passes as the test says."""

from typing import Any

import pytest
from sqlalchemy import select, update

from moorage.flows.attachments import lapse_leases
from moorage.hosts import lease
from moorage.hosts.records import hearing, leases
from moorage.operations import journal
from moorage.operations.records import OVER, events
from tests.volumes.rig import Rig

CONNECTOR = {"host": "compute1", "nbd": True}
TERM_S = 600
SLACK_S = 120  #: time that may really pass while a test says how much does


class Leases:
    """What tests of leases do and look at."""

    def __init__(self, rig: Rig, patch: pytest.MonkeyPatch) -> None:
        """However slow the machine, it is not taken for a time in which nobody heard."""
        patch.setattr(lease, "DEAF_US", SLACK_S * lease.SECOND)
        self.rig = rig
        self.heard()

    def heard(self) -> None:
        """Somebody has heard renewals a moment ago."""
        self.rig.database.transact(lease.hear)

    def attach(self, volume: str, term_s: int | None = TERM_S, **more: Any) -> str:
        """A new attachment, complete, with a lease."""
        asked = {"attachment": {"volume_uuid": volume, "connector": {**CONNECTOR, **more}}}
        headers = {} if term_s is None else {"moorage_lease": str(term_s)}
        reply = self.rig.call("POST", "/attachments", asked, **headers)  # type: ignore[arg-type]
        assert reply.status == 200, reply.body
        id = str(reply.json["attachment"]["id"])
        assert self.rig.call("POST", f"/attachments/{id}/action", {"os-complete": None}).status == 204
        return id

    def row(self, id: str) -> dict[str, Any] | None:
        """The lease, as it is kept."""
        with self.rig.database.read() as tx:
            found = lease.of(tx, id)
        return dict(found) if found else None

    def left_s(self, id: str) -> float:
        """How much is left of a lease, in seconds."""
        with self.rig.database.read() as tx:
            row = lease.of(tx, id)
            assert row is not None
            return float(row["until"] - tx.now) / lease.SECOND

    def passes(self, seconds: float, *, deaf: bool = False) -> None:
        """Everybody's leases are so much older; `deaf`: and nobody heard renewals meanwhile."""
        past = int(seconds * lease.SECOND)
        with self.rig.database.write() as tx:
            tx.run(update(leases).values(until=leases.c.until - past))
            tx.run(update(hearing).values(at=tx.now - (past if deaf else 0)))

    def listen(self) -> list[str]:
        """What whoever hears renewals does, and its operations, which are over."""
        begun = lapse_leases.listen_and_lapse(self.rig.rooms)
        for id in begun:
            self.over(id)
        return begun

    def over(self, operation: str) -> None:
        import time

        until = time.monotonic() + 30
        while time.monotonic() < until:
            with self.rig.database.read() as tx:
                row = journal.get(tx, operation)
            if row is not None and row["state"] in OVER:
                return
            time.sleep(0.01)
        raise AssertionError(f"operation {operation} is not over")

    def events(self, id: str) -> list[tuple[str, Any]]:
        """What happened to an attachment, and the reason that was given."""
        with self.rig.database.read() as tx:
            rows = tx.all(select(events).where(events.c.resource_id == id).order_by(events.c.id))
        return [(row["what"], row["facts"].get("reason")) for row in rows]
