"""The tables of Identity. Their names begin with `identity_`, because other rooms have groups and services, too."""

from typing import Any

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, String, Table, UniqueConstraint

from moorage.database.schema import document, flag, identifier, metadata, moment, number, prose, text


def reference(name: str, target: str, length: int = 64, **more: Any) -> Column[str]:
    """The id of a row of another table, which cannot go while it is named here."""
    return Column(name, String(length), ForeignKey(target), **more)


#: One row, whose number grows with each change of anything here: what is cached is valid while it stays.
versions = Table("identity_versions", metadata, identifier(primary_key=True), number("version", nullable=False))

domains = Table(
    "identity_domains",
    metadata,
    identifier(primary_key=True),
    text("name", 64, nullable=False),
    prose("description"),
    flag("enabled", True),
    document("tags", nullable=False),
    document("options", nullable=False),
    document("extra", nullable=False),
    moment("created_at", nullable=False),
    UniqueConstraint("name"),
)

projects = Table(
    "identity_projects",
    metadata,
    identifier(primary_key=True),
    reference("domain_id", "identity_domains.id", nullable=False),
    identifier("parent_id"),  # another project; None: the domain itself
    text("name", 64, nullable=False),
    prose("description"),
    flag("enabled", True),
    document("tags", nullable=False),
    document("options", nullable=False),
    document("extra", nullable=False),
    moment("created_at", nullable=False),
    UniqueConstraint("domain_id", "name"),
    Index("ix_identity_projects_parent", "parent_id"),
)

users = Table(
    "identity_users",
    metadata,
    identifier(primary_key=True),
    reference("domain_id", "identity_domains.id", nullable=False),
    text("name", 255, nullable=False),
    prose("description"),
    flag("enabled", True),
    identifier("default_project_id"),
    text("password", 255),  # argon2; None: the user cannot log in by password
    number("generation", nullable=False, default=0),  # tokens of an earlier generation are revoked
    document("options", nullable=False),
    document("extra", nullable=False),  # email and whatever else clients keep here
    moment("created_at", nullable=False),
    UniqueConstraint("domain_id", "name"),
)

groups = Table(
    "identity_groups",
    metadata,
    identifier(primary_key=True),
    reference("domain_id", "identity_domains.id", nullable=False),
    text("name", 64, nullable=False),
    prose("description"),
    document("extra", nullable=False),
    moment("created_at", nullable=False),
    UniqueConstraint("domain_id", "name"),
)

memberships = Table(
    "identity_memberships",
    metadata,
    reference("group_id", "identity_groups.id", nullable=False),
    reference("user_id", "identity_users.id", nullable=False),
    PrimaryKeyConstraint("group_id", "user_id"),
    Index("ix_identity_memberships_user", "user_id"),
)

roles = Table(
    "identity_roles",
    metadata,
    identifier(primary_key=True),
    text("name", 255, nullable=False),
    prose("description"),
    document("options", nullable=False),
    moment("created_at", nullable=False),
    UniqueConstraint("name"),
)

implications = Table(
    "identity_implications",
    metadata,
    reference("prior_id", "identity_roles.id", nullable=False),
    reference("implied_id", "identity_roles.id", nullable=False),
    PrimaryKeyConstraint("prior_id", "implied_id"),
)

assignments = Table(
    "identity_assignments",
    metadata,
    text("actor_kind", 8, nullable=False),  # user, group
    identifier("actor_id", nullable=False),
    text("target_kind", 8, nullable=False),  # project, domain, system
    identifier("target_id", nullable=False),  # "all" for the system
    reference("role_id", "identity_roles.id", nullable=False),
    flag("inherited"),  # it holds in the projects below the target, not in the target itself
    PrimaryKeyConstraint("actor_kind", "actor_id", "target_kind", "target_id", "role_id", "inherited"),
    Index("ix_identity_assignments_target", "target_kind", "target_id"),
    Index("ix_identity_assignments_role", "role_id"),
)

application_credentials = Table(
    "identity_application_credentials",
    metadata,
    identifier(primary_key=True),
    reference("user_id", "identity_users.id", nullable=False),
    reference("project_id", "identity_projects.id", nullable=False),
    text("name", 255, nullable=False),
    prose("description"),
    text("secret", 255, nullable=False),  # a SHA-256 of what we generated, argon2 of what a client chose
    document("role_ids", nullable=False),
    flag("unrestricted"),
    moment("expires_at"),
    moment("created_at", nullable=False),
    UniqueConstraint("user_id", "name"),
    Index("ix_identity_application_credentials_project", "project_id"),
)

regions = Table(
    "identity_regions",
    metadata,
    text("id", 255, primary_key=True),
    text("parent_region_id"),
    prose("description", nullable=False),
)

services = Table(
    "identity_services",
    metadata,
    identifier(primary_key=True),
    text("type", 255, nullable=False),
    text("name", 255),
    prose("description"),
    flag("enabled", True),
    moment("created_at", nullable=False),
    Index("ix_identity_services_type", "type"),
)

endpoints = Table(
    "identity_endpoints",
    metadata,
    identifier(primary_key=True),
    reference("service_id", "identity_services.id", nullable=False),
    reference("region_id", "identity_regions.id", 255),
    text("interface", 8, nullable=False),  # public, internal, admin
    prose("url", nullable=False),  # `$(public_url)s` in it is where this Moorage is reached
    text("name", 255),
    flag("enabled", True),
    moment("created_at", nullable=False),
    Index("ix_identity_endpoints_service", "service_id"),
)

revocations = Table(
    "identity_revocations",
    metadata,
    identifier("audit_id", primary_key=True),
    moment("expires_at", nullable=False),  # when the token itself can be forgotten
    Index("ix_identity_revocations_expires_at", "expires_at"),
)
