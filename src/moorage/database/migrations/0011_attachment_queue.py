"""The queue for volumes that one holder at a time may have."""

import sqlalchemy as sa
from alembic import op

revision = "0011_attachment_queue"
down_revision = "0010_list_indexes"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "attachment_queue",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("volume_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("operation", sa.String(64), nullable=False),
        sa.Column("process", sa.String(64)),
        sa.Column("instance_uuid", sa.String(64)),
        sa.Column("mode", sa.String(8)),
        sa.Column("connector", sa.JSON),
        sa.Column("door", sa.String(16)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attachment_queue"),
    )
    op.create_index("ix_attachment_queue_volume_id", "attachment_queue", ["volume_id", "turn"])
