"""Volumes: types, quotas, volumes, layers, attachments."""

import sqlalchemy as sa
from alembic import op

revision = "0003_volumes"
down_revision = "0002_identity"


def _id(name: str = "id", *, null: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.String(64), nullable=null)


def _text(name: str, length: int = 255, *, null: bool = True) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length), nullable=null)


def _number(name: str, *, null: bool = True) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=null)


def _flag(name: str, *, null: bool = False) -> "sa.Column[bool]":
    return sa.Column(name, sa.Boolean, nullable=null)


def _document(name: str, *, null: bool = True) -> "sa.Column[object]":
    return sa.Column(name, sa.JSON, nullable=null)


def upgrade() -> None:
    """Make the tables."""
    _types()
    op.create_table(
        "quotas",
        _id(),
        _document("limits", null=False),
        _document("usage", null=False),
        sa.PrimaryKeyConstraint("id", name="pk_quotas"),
    )
    op.create_table(
        "service_states",
        _text("id", null=False),
        _flag("disabled"),
        _text("reason"),
        _number("updated_at", null=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_states"),
    )
    _volumes()
    _layers()
    _attachments()


def _types() -> None:
    op.create_table(
        "volume_types",
        _id(),
        _text("name", null=False),
        _text("description"),
        _flag("is_public"),
        _document("extra_specs", null=False),
        _id("qos_id", null=True),
        _number("created_at", null=False),
        _number("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_volume_types"),
        sa.UniqueConstraint("name", name="uq_volume_types_name"),
    )
    op.create_index("ix_volume_types_created_at", "volume_types", ["created_at", "id"])
    for table, other, keys in (
        ("type_access", "project_id", ["type_id", "project_id"]),
        ("default_types", "project_id", ["project_id"]),
    ):
        columns = [_id("type_id"), _id(other)]
        op.create_table(
            table,
            *(columns if table == "type_access" else reversed(columns)),
            sa.PrimaryKeyConstraint(*keys, name=f"pk_{table}"),
            sa.ForeignKeyConstraint(["type_id"], ["volume_types.id"], name=f"fk_{table}_type_id", ondelete="CASCADE"),
        )
    op.create_table(
        "qos_specs",
        _id(),
        _text("name", null=False),
        _text("consumer", 32, null=False),
        _document("specs", null=False),
        _number("created_at", null=False),
        sa.PrimaryKeyConstraint("id", name="pk_qos_specs"),
        sa.UniqueConstraint("name", name="uq_qos_specs_name"),
    )


def _volumes() -> None:
    op.create_table(
        "volumes",
        _id(),
        _id("project_id"),
        _id("user_id"),
        _text("name"),
        _text("description"),
        _number("size_gib", null=False),
        _text("status", 32, null=False),
        _text("override", 32),
        _flag("failed"),
        _id("type_id"),
        _text("backend", null=False),
        _text("host", null=False),
        _text("availability_zone", null=False),
        _text("head"),
        _text("base"),
        _text("cache", 16, null=False),
        _flag("multiattach"),
        _flag("bootable"),
        _flag("readonly", null=True),
        _flag("consumes_quota"),
        _id("snapshot_id", null=True),
        _id("source_volid", null=True),
        _id("image_id", null=True),
        _text("migration_status"),
        _document("metadata", null=False),
        _document("image_metadata"),
        _document("made"),
        _number("created_at", null=False),
        _number("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_volumes"),
        sa.ForeignKeyConstraint(["type_id"], ["volume_types.id"], name="fk_volumes_type_id"),
    )
    op.create_index("ix_volumes_project_id", "volumes", ["project_id", "created_at", "id"])
    op.create_index("ix_volumes_created_at", "volumes", ["created_at", "id"])
    for column in ("name", "head", "base", "type_id"):
        op.create_index(f"ix_volumes_{column}", "volumes", [column])


def _layers() -> None:
    op.create_table(
        "layers",
        _text("id", null=False),
        _text("backend", null=False),
        _text("format", 16, null=False),
        _number("size_bytes", null=False),
        _text("parent"),
        _id("image_id", null=True),
        _text("store"),
        _number("created_at", null=False),
        sa.PrimaryKeyConstraint("id", name="pk_layers"),
    )
    op.create_index("ix_layers_parent", "layers", ["parent"])


def _attachments() -> None:
    op.create_table(
        "attachments",
        _id(),
        _id("volume_id"),
        _id("project_id"),
        _id("user_id"),
        _id("instance_uuid", null=True),
        _text("state", 32, null=False),
        _text("mode", 8),
        _text("host"),
        _text("mountpoint"),
        _document("connector"),
        _text("door", 16),
        _id("export", null=True),
        _id("secret", null=True),
        _number("generation", null=False),
        _document("connection"),
        _number("attached_at"),
        _number("detached_at"),
        _number("created_at", null=False),
        _number("updated_at"),
        sa.Column("problem", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_attachments"),
    )
    op.create_index("ix_attachments_volume_id", "attachments", ["volume_id", "state"])
    op.create_index("ix_attachments_project_id", "attachments", ["project_id", "created_at", "id"])
    op.create_index("ix_attachments_created_at", "attachments", ["created_at", "id"])
    op.create_index("ix_attachments_instance_uuid", "attachments", ["instance_uuid"])


def downgrade() -> None:
    """Nothing: a release that does not know these tables does not start on them."""
