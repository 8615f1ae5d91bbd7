"""The tables of metadata definitions."""

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, String, Table, UniqueConstraint

from moorage.database.schema import document, flag, identifier, metadata, moment, number, prose, text

NAME = 80  #: characters of a name at most


def _namespace() -> Column[str]:
    return Column("namespace_id", String(64), ForeignKey("metadef_namespaces.id"), nullable=False)


namespaces = Table(
    "metadef_namespaces",
    metadata,
    identifier(primary_key=True),
    text("namespace", NAME, nullable=False),
    text("display_name", NAME),
    prose("description"),
    text("visibility", 16, nullable=False),
    flag("protected"),
    text("owner"),
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    UniqueConstraint("namespace"),
    Index("ix_metadef_namespaces_created_at", "created_at", "id"),
)

#: The kinds of resources that definitions are for, as other services name them.
resource_types = Table(
    "metadef_resource_types", metadata, text("id", NAME, primary_key=True), moment("created_at", nullable=False)
)

associations = Table(
    "metadef_associations",
    metadata,
    _namespace(),
    text("name", NAME, nullable=False),  # of the resource type
    text("prefix", NAME),
    text("properties_target", NAME),
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    PrimaryKeyConstraint("namespace_id", "name"),
    Index("ix_metadef_associations_name", "name"),
)

definitions = Table(
    "metadef_definitions",
    metadata,
    _namespace(),
    text("kind", 16, nullable=False),  # see `definitions.Kind`
    text("name", NAME, nullable=False),
    number("position", nullable=False),  # newer ones have greater ones
    document("body", nullable=False),
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    PrimaryKeyConstraint("namespace_id", "kind", "name"),
)
