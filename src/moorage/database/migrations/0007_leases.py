"""Leases: hosts with credentials of their own, terms of attachments, and since when anybody has been there to hear."""

import sqlalchemy as sa
from alembic import op

revision = "0007_leases"
down_revision = "0006_events"


def upgrade() -> None:
    """Make the tables, and the columns of hosts that have a secret."""
    with op.batch_alter_table("hosts") as hosts:
        hosts.add_column(sa.Column("secret", sa.String(64)))
        hosts.add_column(sa.Column("heartbeat_at", sa.BigInteger))
    op.create_table(
        "leases",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255)),
        sa.Column("term_s", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
    )
    op.create_index("ix_leases_until", "leases", ["until"])
    op.create_index("ix_leases_host", "leases", ["host"])
    hearing = op.create_table(
        "hearing",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_hearing"),
    )
    op.bulk_insert(hearing, [{"id": "leases", "at": 0}])
