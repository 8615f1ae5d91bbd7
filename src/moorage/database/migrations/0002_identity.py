"""Identity: who there is, who may what, the catalog, revoked tokens, and the number that grows with each change."""

import sqlalchemy as sa
from alembic import op

revision = "0002_identity"
down_revision = "0001_journal"


def upgrade() -> None:
    """Make the tables, and the one row that every change of Identity locks."""
    op.create_table(
        "identity_versions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_versions"),
    )
    op.execute("INSERT INTO identity_versions (id, version) VALUES ('identity', 0)")
    _people()
    _groups()
    _rights()
    _catalog()
    op.create_table(
        "identity_revocations",
        sa.Column("audit_id", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name="pk_identity_revocations"),
    )
    op.create_index("ix_identity_revocations_expires_at", "identity_revocations", ["expires_at"])


def _people() -> None:
    op.create_table(
        "identity_domains",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("extra", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_domains"),
        sa.UniqueConstraint("name", name="uq_identity_domains_name"),
    )
    op.create_table(
        "identity_projects",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("parent_id", sa.String(64)),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("extra", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_projects"),
        sa.ForeignKeyConstraint(["domain_id"], ["identity_domains.id"], name="fk_identity_projects_domain_id"),
        sa.UniqueConstraint("domain_id", "name", name="uq_identity_projects_domain_id_name"),
    )
    op.create_index("ix_identity_projects_parent", "identity_projects", ["parent_id"])
    op.create_table(
        "identity_users",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("default_project_id", sa.String(64)),
        sa.Column("password", sa.String(255)),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("extra", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_users"),
        sa.ForeignKeyConstraint(["domain_id"], ["identity_domains.id"], name="fk_identity_users_domain_id"),
        sa.UniqueConstraint("domain_id", "name", name="uq_identity_users_domain_id_name"),
    )


def _groups() -> None:
    op.create_table(
        "identity_groups",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("extra", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_groups"),
        sa.ForeignKeyConstraint(["domain_id"], ["identity_domains.id"], name="fk_identity_groups_domain_id"),
        sa.UniqueConstraint("domain_id", "name", name="uq_identity_groups_domain_id_name"),
    )
    op.create_table(
        "identity_memberships",
        sa.Column("group_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "user_id", name="pk_identity_memberships"),
        sa.ForeignKeyConstraint(["group_id"], ["identity_groups.id"], name="fk_identity_memberships_group_id"),
        sa.ForeignKeyConstraint(["user_id"], ["identity_users.id"], name="fk_identity_memberships_user_id"),
    )
    op.create_index("ix_identity_memberships_user", "identity_memberships", ["user_id"])


def _rights() -> None:
    op.create_table(
        "identity_roles",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_roles"),
        sa.UniqueConstraint("name", name="uq_identity_roles_name"),
    )
    op.create_table(
        "identity_implications",
        sa.Column("prior_id", sa.String(64), nullable=False),
        sa.Column("implied_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("prior_id", "implied_id", name="pk_identity_implications"),
        sa.ForeignKeyConstraint(["implied_id"], ["identity_roles.id"], name="fk_identity_implications_implied_id"),
        sa.ForeignKeyConstraint(["prior_id"], ["identity_roles.id"], name="fk_identity_implications_prior_id"),
    )
    op.create_table(
        "identity_assignments",
        sa.Column("actor_kind", sa.String(8), nullable=False),
        sa.Column("actor_id", sa.String(64), nullable=False),
        sa.Column("target_kind", sa.String(8), nullable=False),
        sa.Column("target_id", sa.String(64), nullable=False),
        sa.Column("role_id", sa.String(64), nullable=False),
        sa.Column("inherited", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint(
            "actor_kind", "actor_id", "target_kind", "target_id", "role_id", "inherited", name="pk_identity_assignments"
        ),
        sa.ForeignKeyConstraint(["role_id"], ["identity_roles.id"], name="fk_identity_assignments_role_id"),
    )
    op.create_index("ix_identity_assignments_role", "identity_assignments", ["role_id"])
    op.create_index("ix_identity_assignments_target", "identity_assignments", ["target_kind", "target_id"])
    op.create_table(
        "identity_application_credentials",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("secret", sa.String(255), nullable=False),
        sa.Column("role_ids", sa.JSON, nullable=False),
        sa.Column("unrestricted", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_application_credentials"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["identity_projects.id"], name="fk_identity_application_credentials_project_id"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["identity_users.id"], name="fk_identity_application_credentials_user_id"),
        sa.UniqueConstraint("user_id", "name", name="uq_identity_application_credentials_user_id_name"),
    )
    op.create_index("ix_identity_application_credentials_project", "identity_application_credentials", ["project_id"])


def _catalog() -> None:
    op.create_table(
        "identity_regions",
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("parent_region_id", sa.String(255)),
        sa.Column("description", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_regions"),
    )
    op.create_table(
        "identity_services",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("description", sa.Text),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_services"),
    )
    op.create_index("ix_identity_services_type", "identity_services", ["type"])
    op.create_table(
        "identity_endpoints",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(64), nullable=False),
        sa.Column("region_id", sa.String(255)),
        sa.Column("interface", sa.String(8), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_endpoints"),
        sa.ForeignKeyConstraint(["region_id"], ["identity_regions.id"], name="fk_identity_endpoints_region_id"),
        sa.ForeignKeyConstraint(["service_id"], ["identity_services.id"], name="fk_identity_endpoints_service_id"),
    )
    op.create_index("ix_identity_endpoints_service", "identity_endpoints", ["service_id"])


def downgrade() -> None:
    """Nothing: a release that does not know these tables does not start on them."""
