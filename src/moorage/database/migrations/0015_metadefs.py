"""Metadata definitions, and the kinds of resources that they are for."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0015_metadefs"
down_revision = "0014_image_quotas"

KNOWN = ("OS::Glance::Image", "OS::Cinder::Volume", "OS::Nova::Server", "OS::Nova::Flavor", "OS::Nova::Aggregate")


def upgrade() -> None:
    """Make the tables; enter the kinds of resources that there are in any cloud."""
    op.create_table(
        "metadef_namespaces",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("namespace", sa.String(80), nullable=False),
        sa.Column("display_name", sa.String(80)),
        sa.Column("description", sa.Text),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("protected", sa.Boolean, nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metadef_namespaces"),
        sa.UniqueConstraint("namespace", name="uq_metadef_namespaces_namespace"),
    )
    op.create_index("ix_metadef_namespaces_created_at", "metadef_namespaces", ["created_at", "id"])
    types = op.create_table(
        "metadef_resource_types",
        sa.Column("id", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metadef_resource_types"),
    )
    now = int(time.time() * 1_000_000)
    op.bulk_insert(types, [{"id": name, "created_at": now + n} for n, name in enumerate(KNOWN)])
    _contents()


def _contents() -> None:
    op.create_table(
        "metadef_associations",
        _namespace(),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("prefix", sa.String(80)),
        sa.Column("properties_target", sa.String(80)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("namespace_id", "name", name="pk_metadef_associations"),
        _belongs("metadef_associations"),
    )
    op.create_index("ix_metadef_associations_name", "metadef_associations", ["name"])
    op.create_table(
        "metadef_definitions",
        _namespace(),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("namespace_id", "kind", "name", name="pk_metadef_definitions"),
        _belongs("metadef_definitions"),
    )


def _namespace() -> sa.Column[str]:
    return sa.Column("namespace_id", sa.String(64), nullable=False)


def _belongs(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_namespace_id_metadef_namespaces"
    return sa.ForeignKeyConstraint(["namespace_id"], ["metadef_namespaces.id"], name=name)
