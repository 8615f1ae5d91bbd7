"""Volumes: found by name and by status, within a project and among all, however many there are."""

from alembic import op

revision = "0010_list_indexes"
down_revision = "0009_attachment_history"


def upgrade() -> None:
    """Make the indexes."""
    op.drop_index("ix_volumes_name", "volumes")
    op.create_index("ix_volumes_name", "volumes", ["name", "created_at", "id"])
    op.create_index("ix_volumes_project_id_name", "volumes", ["project_id", "name", "created_at", "id"])
    op.create_index("ix_volumes_project_id_status", "volumes", ["project_id", "status", "created_at", "id"])
    op.create_index("ix_volumes_status", "volumes", ["status", "created_at", "id"])
