"""Imports of images: what is staged, tasks, and how far they are with each store."""

import sqlalchemy as sa
from alembic import op

revision = "0013_image_imports"
down_revision = "0012_adopted_locations"


def upgrade() -> None:
    """Make the tables."""
    with op.batch_alter_table("images") as batch:
        batch.add_column(sa.Column("import_id", sa.String(64)))
    op.create_table(
        "image_staged",
        sa.Column("object", sa.String(500), nullable=False),
        sa.Column("image_id", sa.String(64), nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_staged_image_id"),
        sa.PrimaryKeyConstraint("object", name="pk_image_staged"),
    )
    op.create_index("ix_image_staged_image_id", "image_staged", ["image_id"])
    _tasks()


def _tasks() -> None:
    op.create_table(
        "image_tasks",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("image_id", sa.String(64)),
        sa.Column("owner", sa.String(255)),
        sa.Column("user_id", sa.String(64)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("input", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("message", sa.Text),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_image_tasks"),
    )
    op.create_index("ix_image_tasks_image_id", "image_tasks", ["image_id", "created_at"])
    op.create_index("ix_image_tasks_created_at", "image_tasks", ["created_at", "id"])
    op.create_index("ix_image_tasks_expires_at", "image_tasks", ["expires_at"])
    op.create_table(
        "image_task_stores",
        sa.Column("task_id", sa.String(64), nullable=False),
        sa.Column("store", sa.String(255), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("object", sa.String(500)),
        sa.Column("reason", sa.Text),
        sa.ForeignKeyConstraint(["task_id"], ["image_tasks.id"], name="fk_image_task_stores_task_id"),
        sa.PrimaryKeyConstraint("task_id", "store", name="pk_image_task_stores"),
    )


def downgrade() -> None:
    """Nothing: a release that does not know these tables does not start on them."""
