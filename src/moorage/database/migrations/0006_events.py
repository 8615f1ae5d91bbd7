"""Events: found in order by resource and by project, and up to which number they are forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0006_events"
down_revision = "0005_hosts"


def upgrade() -> None:
    """Exchange the indexes, and note that nothing has been forgotten but what is gone already."""
    op.drop_index("ix_events_at", "events")
    op.drop_index("ix_events_resource", "events")
    op.create_index("ix_events_resource", "events", ["resource_kind", "resource_id", "id"])
    op.create_index("ix_events_project", "events", ["project_id", "id"])
    op.create_table("event_floor", sa.Column("forgotten", sa.BigInteger, nullable=False))
    op.execute("INSERT INTO event_floor (forgotten) SELECT coalesce(min(id) - 1, 0) FROM events")
