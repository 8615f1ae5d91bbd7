"""What images of a project may take, and what operations have reserved of it."""

import sqlalchemy as sa
from alembic import op

revision = "0014_image_quotas"
down_revision = "0013_image_imports"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "image_quotas",
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_image_quotas"),
    )
    op.create_table(
        "image_reservations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("stored", sa.BigInteger),
        sa.Column("stored_limit", sa.BigInteger),
        sa.Column("staged", sa.BigInteger),
        sa.Column("staged_limit", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_image_reservations"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_reservations_image_id_images"),
    )
    op.create_index("ix_image_reservations_project_id", "image_reservations", ["project_id"])
