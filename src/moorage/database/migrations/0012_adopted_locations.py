"""Locations that others have filled: any number of images may name the same one, and nobody of us deletes it."""

import sqlalchemy as sa
from alembic import op

revision = "0012_adopted_locations"
down_revision = "0011_attachment_queue"


def upgrade() -> None:
    """Every object is in one location of each image that has it, and one that is ours in one location at all."""
    ours = sa.text("NOT adopted")
    with op.batch_alter_table("image_locations") as table:
        table.add_column(sa.Column("adopted", sa.Boolean, nullable=False, server_default=sa.false()))
        table.drop_constraint("uq_image_locations_store_object", type_="unique")
        table.create_unique_constraint("uq_image_locations_image_id_store_object", ["image_id", "store", "object"])
    op.drop_index("ix_image_locations_image_id", "image_locations")
    op.create_index("ix_image_locations_store_object", "image_locations", ["store", "object"])
    op.create_index(
        "uq_image_locations_own",
        "image_locations",
        ["store", "object"],
        unique=True,
        sqlite_where=ours,
        postgresql_where=ours,
    )


def downgrade() -> None:
    """Nothing: a release that does not know these tables does not start on them."""
