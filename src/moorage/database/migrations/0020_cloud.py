"""The name of this database's cloud, by which a state directory knows that it belongs to it."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0020_cloud"
down_revision = "0019_image_hashing"


def upgrade() -> None:
    """Make the table and its one row."""
    table = op.create_table(
        "cloud",
        sa.Column("id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cloud"),
    )
    op.bulk_insert(table, [{"id": str(uuid.uuid4())}])
