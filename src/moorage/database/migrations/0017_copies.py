"""Copies of images that are kept elsewhere, on which volumes lie."""

import sqlalchemy as sa
from alembic import op

revision = "0017_copies"
down_revision = "0016_location_details"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "copies",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("layer", sa.String(255), nullable=False),
        sa.Column("backend", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("store", sa.String(255), nullable=False),
        sa.Column("object", sa.String(500), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("bytes_there", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("trouble", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("whole_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_copies"),
        sa.UniqueConstraint("layer", name="uq_copies_layer"),
    )
    op.create_index("ix_copies_image_id", "copies", ["image_id", "backend"])
    op.create_index("ix_copies_store", "copies", ["store", "object"])
