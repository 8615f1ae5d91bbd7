"""Hosts: who looks after each, and what was last seen there."""

import sqlalchemy as sa
from alembic import op

revision = "0005_hosts"
down_revision = "0004_images"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "hosts",
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("process", sa.String(64)),
        sa.Column("boot", sa.String(128), nullable=False),
        sa.Column("agent", sa.String(255), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("obstacles", sa.JSON, nullable=False),
        sa.Column("devices", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("heard_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_hosts"),
    )
