"""
Property protections: who may set, see, change and remove which properties of images.

Without any, everybody who may do it with the image may do it with each of its properties.  With some, the first whose
expression is found in a property's name decides; a property that none of them names is nobody's.  What Moorage itself
keeps as a property (`os_glance...`) is exempt.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from moorage.core.caller import Caller
from moorage.images.errors import PropertyForbidden
from moorage.images.image import RESERVED_PREFIX

EVERYBODY, NOBODY = "@", "!"


class Action(StrEnum):
    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class PropertyProtection:
    """One `[[images.property_protections]]` table. The first one that fits a property's name counts."""

    name: str = ""  #: regular expression that is searched in a property's name
    create: tuple[str, ...] = ()  #: roles that may add such a property; "@": everybody, "!": nobody
    read: tuple[str, ...] = ()  #: roles that see it
    update: tuple[str, ...] = ()  #: roles that may change it
    delete: tuple[str, ...] = ()  #: roles that may remove it

    def __post_init__(self) -> None:
        compiled(self.name)


@lru_cache
def compiled(expression: str) -> re.Pattern[str]:
    """The expression; `ValueError` where it is none."""
    try:
        return re.compile(expression)
    except re.error as problem:
        raise ValueError(f"{expression!r} is no regular expression: {problem}") from None


Protections = tuple[PropertyProtection, ...]


def allows(protections: Protections, caller: Caller, action: Action, name: str) -> bool:
    """Whether the caller may do this with a property of this name."""
    if not protections or name.startswith(RESERVED_PREFIX):
        return True
    for one in protections:
        if compiled(one.name).search(name):
            roles: tuple[str, ...] = getattr(one, action)
            return NOBODY not in roles and (EVERYBODY in roles or not caller.roles.isdisjoint(roles))
    return False


def check(protections: Protections, caller: Caller, action: Action, names: Iterable[str]) -> None:
    """Refuse what the caller may not do with one of these properties."""
    for name in names:
        if not allows(protections, caller, action, name):
            raise PropertyForbidden(name=name, action=action)


def readable(
    protections: Protections, caller: Caller, properties: Mapping[str, str | None]
) -> Mapping[str, str | None]:
    """The properties that the caller sees."""
    if not protections:
        return properties
    return {name: value for name, value in properties.items() if allows(protections, caller, Action.READ, name)}
