"""Hashing an image in the background is about its hashes, so that nothing else that is done to the image waits."""

from alembic import op

revision = "0019_image_hashing"
down_revision = "0018_image_hashes"


def upgrade() -> None:
    """Change what is under way."""
    op.execute("UPDATE operations SET resource_kind = 'image-hashes' WHERE kind = 'hash-image'")
