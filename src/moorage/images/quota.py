"""How many of each thing one image may have."""

from moorage.images.errors import QuotaExceeded
from moorage.images.settings import ImageSettings


def check_properties(count: int, settings: ImageSettings) -> None:
    """Refuse more properties than an image may have."""
    _check("properties", count, settings.properties)


def check_tags(count: int, settings: ImageSettings) -> None:
    """Refuse more tags than an image may have."""
    _check("tags", count, settings.tags)


def check_members(count: int, settings: ImageSettings) -> None:
    """Refuse sharing an image with more projects than is allowed."""
    _check("members", count, settings.members)


def check_locations(count: int, settings: ImageSettings) -> None:
    """Refuse saying of more places that an image's data are there than is allowed."""
    _check("locations", count, settings.locations)


def _check(what: str, asked: int, limit: int) -> None:
    if asked > limit >= 0:
        raise QuotaExceeded(limit=limit, what=what, asked=asked)
