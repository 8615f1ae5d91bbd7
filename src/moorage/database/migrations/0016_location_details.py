"""What clients of the old way to set locations remember of each."""

import sqlalchemy as sa
from alembic import op

revision = "0016_location_details"
down_revision = "0015_metadefs"


def upgrade() -> None:
    """Add the column."""
    op.add_column("image_locations", sa.Column("details", sa.JSON))
