"""What the calls that name no attachment (os-reserve, os-attach and the like) have made, and said of one."""

import sqlalchemy as sa
from alembic import op

revision = "0008_marks"
down_revision = "0007_leases"


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("attachments") as table:
        table.add_column(sa.Column("origin", sa.String(16)))
        table.add_column(sa.Column("mark", sa.String(16)))
