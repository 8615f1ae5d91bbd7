"""Attachments: found by host, and by when they were over."""

import sqlalchemy as sa
from alembic import op

revision = "0009_attachment_history"
down_revision = "0008_marks"


def upgrade() -> None:
    """Make the indexes."""
    over = sa.text("detached_at IS NOT NULL")
    op.create_index("ix_attachments_host", "attachments", ["host", "state"])
    op.create_index(
        "ix_attachments_detached_at", "attachments", ["detached_at"], sqlite_where=over, postgresql_where=over
    )
