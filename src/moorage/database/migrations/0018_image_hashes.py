"""The hashes of images that signatures are made over, where they are not the image's own."""

import sqlalchemy as sa
from alembic import op

revision = "0018_image_hashes"
down_revision = "0017_copies"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "image_hashes",
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("algorithm", sa.String(64), nullable=False),
        sa.Column("value", sa.String(128), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_hashes_image_id"),
        sa.PrimaryKeyConstraint("image_id", "algorithm", name="pk_image_hashes"),
    )
