"""Images: their records, properties, tags, members, locations and digests."""

import sqlalchemy as sa
from alembic import op

revision = "0004_images"
down_revision = "0003_volumes"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "images",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("protected", sa.Boolean, nullable=False),
        sa.Column("hidden", sa.Boolean, nullable=False),
        sa.Column("disk_format", sa.String(32)),
        sa.Column("container_format", sa.String(32)),
        sa.Column("read_as", sa.String(32)),
        sa.Column("min_disk_gib", sa.BigInteger, nullable=False),
        sa.Column("min_ram_mib", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("virtual_size", sa.BigInteger),
        sa.Column("checksum", sa.String(32)),
        sa.Column("os_hash_algo", sa.String(64)),
        sa.Column("os_hash_value", sa.String(128)),
        sa.Column("upload_id", sa.String(64)),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
    )
    op.create_index("ix_images_created_at", "images", ["created_at", "id"])
    op.create_index("ix_images_owner", "images", ["owner", "created_at", "id"])
    op.create_index("ix_images_name", "images", ["name"])
    _belongings()
    _bytes()


def _belongings() -> None:
    op.create_table(
        "image_properties",
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("value", sa.Text),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_properties_image_id"),
        sa.PrimaryKeyConstraint("image_id", "name", name="pk_image_properties"),
    )
    op.create_index("ix_image_properties_name", "image_properties", ["name"])
    op.create_table(
        "image_tags",
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("tag", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_tags_image_id"),
        sa.PrimaryKeyConstraint("image_id", "tag", name="pk_image_tags"),
    )
    op.create_index("ix_image_tags_tag", "image_tags", ["tag"])
    op.create_table(
        "image_members",
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("acceptance", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_members_image_id"),
        sa.PrimaryKeyConstraint("image_id", "project_id", name="pk_image_members"),
    )
    op.create_index("ix_image_members_project_id", "image_members", ["project_id"])


def _bytes() -> None:
    op.create_table(
        "image_locations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("store", sa.String(255), nullable=False),
        sa.Column("object", sa.String(500), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_locations_image_id"),
        sa.PrimaryKeyConstraint("id", name="pk_image_locations"),
        sa.UniqueConstraint("store", "object", name="uq_image_locations_store_object"),
    )
    op.create_index("ix_image_locations_image_id", "image_locations", ["image_id"])
    op.create_table(
        "image_digests",
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("digests", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_digests_image_id"),
        sa.PrimaryKeyConstraint("image_id", name="pk_image_digests"),
    )


def downgrade() -> None:
    """Nothing: a release that does not know these tables does not start on them."""
