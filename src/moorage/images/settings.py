"""What can be configured of images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageSettings:
    """`[images]`"""

    size_cap: int = 1 << 40  #: bytes that one image may have
