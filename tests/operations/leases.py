"""Leases that are seen to be renewed, however slow the machine is."""

from moorage.database import Database
from moorage.operations import journal
from tests.patience import until

LEASE_S = 4.5
"""Renewed every 1.5 s: a machine that stands still for 3 s does not lose it."""


def renewed(database: Database, id: str, times: int) -> None:
    """Return once the lease of the operation was seen to be set later, `times` in a row."""

    def lease_until() -> int:
        with database.read() as tx:
            row = journal.get(tx, id)
        assert row is not None
        return int(row["lease_until"])

    for _ in range(times):
        before = lease_until()
        until(lambda before=before: lease_until() > before)
