"""
An image: a name, properties and, once somebody has uploaded them, bytes that never change again.

The table below is the whole life of an image; a move that it does not list is refused.  Bytes are there, and may be
read, from `finish` on: the same transaction makes the image active and its location visible.
"""

import re
from enum import StrEnum

from moorage.core.lifecycle import lifecycle

_ID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


class State(StrEnum):
    QUEUED = "queued"  #: a record without bytes
    SAVING = "saving"  #: bytes are coming in; an operation owns them
    UPLOADING = "uploading"  #: bytes are coming in to be imported later, or wait for that
    IMPORTING = "importing"  #: bytes are fetched, or copied from where they wait; an operation owns them
    ACTIVE = "active"  #: bytes are there and may be read
    DEACTIVATED = "deactivated"  #: bytes are there; only administrators may read them
    DELETED = "deleted"  #: gone; the row is kept, since an id is used once


ALIVE = frozenset(State) - {State.DELETED}
FILLED = frozenset({State.ACTIVE, State.DEACTIVATED})  #: there are bytes
IMPORTABLE = frozenset({State.QUEUED, State.UPLOADING})
ARRIVING = frozenset({State.SAVING, State.IMPORTING})  #: bytes are on their way into stores
WAITING = ARRIVING | {State.UPLOADING}

# fmt: off
LIFE = lifecycle(
    # event         may come from         leads to
    ("receive",     {State.QUEUED},       State.SAVING),
    ("stage",       {State.QUEUED},       State.UPLOADING),
    ("import",      IMPORTABLE,           State.IMPORTING),
    ("finish",      ARRIVING,             State.ACTIVE),
    ("fall-back",   WAITING,              State.QUEUED),       # the upload or import failed, and left nothing
    ("deactivate",  FILLED,               State.DEACTIVATED),
    ("reactivate",  FILLED,               State.ACTIVE),
    ("delete",      ALIVE,                State.DELETED),
)
# fmt: on


class Visibility(StrEnum):
    PRIVATE = "private"  #: its owner alone
    SHARED = "shared"  #: its owner, and the projects that are its members
    COMMUNITY = "community"  #: everybody who knows its id
    PUBLIC = "public"  #: everybody, and in everybody's list


class Acceptance(StrEnum):
    """What a project that an image is shared with makes of it."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
MORE_DISK_FORMATS = ("gpt", "luks")  #: that images may have as well, where the configuration says so

LARGEST_MINIMUM = 2**31 - 1  #: of min_disk and min_ram
RESERVED_PREFIX = "os_glance"

#: What only we say of an image.
READ_ONLY = frozenset(
    "id status size virtual_size checksum os_hash_algo os_hash_value created_at updated_at direct_url self file "
    "schema".split()
)
#: What is no property of an image, and must not look like one.
RESERVED = frozenset("location deleted deleted_at".split())
#: What is derived from where the bytes are.
DERIVED = frozenset({"stores", "locations"})


def is_id(text: str) -> bool:
    """Whether an image may have this id."""
    return _ID.fullmatch(text) is not None
