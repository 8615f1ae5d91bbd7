"""The journal: operations, the processes that run them, timed jobs, and events."""

import sqlalchemy as sa
from alembic import op

revision = "0001_journal"
down_revision = None

_OPEN = sa.text("state IN ('queued', 'running')")


def upgrade() -> None:
    """Make the tables."""
    _operations()
    op.create_table(
        "processes",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("started", sa.String(32), nullable=False),
        sa.Column("boot", sa.String(128), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("queues", sa.JSON, nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
    )
    op.create_table(
        "jobs",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("name", name="pk_jobs"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("resource_kind", sa.String(32), nullable=False),
        sa.Column("resource_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_resource", "events", ["resource_kind", "resource_id"])
    op.create_index("ix_events_at", "events", ["at"])


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(255), nullable=False),
        sa.Column("queue", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("back", sa.Boolean, nullable=False),
        sa.Column("input", sa.JSON, nullable=False),
        sa.Column("results", sa.JSON, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("resource_kind", sa.String(32), nullable=False),
        sa.Column("resource_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64)),
        sa.Column("user_id", sa.String(64)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("owner", sa.String(64)),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("deadline", sa.BigInteger),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("waits_for", sa.String(64)),
        sa.Column("error_code", sa.String(255)),
        sa.Column("error_status", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("hindrance", sa.Text),
        sa.Column("key", sa.String(255)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_operations"),
    )
    for name, columns, where in (
        ("open", ["queue", "created_at", "id"], _OPEN),
        ("resource", ["resource_kind", "resource_id", "state"], None),
        ("ended_at", ["ended_at"], sa.text("ended_at IS NOT NULL")),
        ("waits_for", ["waits_for"], sa.text("waits_for IS NOT NULL")),
    ):
        op.create_index(f"ix_operations_{name}", "operations", columns, sqlite_where=where, postgresql_where=where)
    keyed = sa.text("key IS NOT NULL")
    op.create_index(
        "uq_operations_key",
        "operations",
        ["project_id", "key"],
        unique=True,
        sqlite_where=keyed,
        postgresql_where=keyed,
    )


def downgrade() -> None:
    """Nothing: a release that does not know these tables does not start on them."""
