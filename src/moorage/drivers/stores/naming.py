"""Which names an object may have: short, plain, and never a way out of the store."""

import re

from moorage.core.errors import Problem

FOLDERS = ("images", "staging")  #: where all names begin: a root may hold other things, which stay out of reach
PART = ".part"  #: how a file store marks what is half-written, so no name may end with it
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_LONGEST = 500


class NameRefused(Problem):
    """A store cannot keep an object named {name!r}."""

    status, code = 500, "store.name-refused"


def checked(name: str) -> str:
    """`name` itself when a store may use it, a refusal otherwise."""
    first, *rest = name.split("/")
    plain = first in FOLDERS and rest and all(_SEGMENT.fullmatch(segment) for segment in rest)
    if not plain or len(name) > _LONGEST or name.endswith(PART):
        raise NameRefused(name=name[:_LONGEST])
    return name


def image_of(name: str) -> str:
    """The image that the object belongs to, as its name tells: `images/<image id>/...`."""
    return name.split("/")[1] if "/" in name else name
