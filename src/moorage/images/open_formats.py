"""Which formats images may have here: those that the configuration names."""

from collections.abc import Mapping
from typing import Any

from moorage.core.errors import Malformed
from moorage.images.settings import ImageSettings


class FormatClosed(Malformed):
    """Images have no {name} {format} here; it is one of: {formats}."""

    code = "image.format-closed"


def check(columns: Mapping[str, Any], settings: ImageSettings) -> None:
    """Refuse a format, of those that are set, that images do not have here."""
    for name, formats in (("disk_format", settings.disk_formats), ("container_format", settings.container_formats)):
        format = columns.get(name)
        if format is not None and format not in formats:
            raise FormatClosed(name=name, format=str(format)[:64], formats=", ".join(formats))
