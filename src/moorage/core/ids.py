"""Identifiers: uuids with and without dashes, names nobody can guess."""

import re
import secrets
import uuid

_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


def new_uuid() -> str:
    """A fresh uuid with dashes: volumes, attachments, images, operations."""
    return str(uuid.uuid4())


def new_hex() -> str:
    """A fresh uuid without dashes: projects, users, roles and other nouns of Identity."""
    return uuid.uuid4().hex


def new_secret(bits: int = 128) -> str:
    """`bits` random bits in hex: what must not be guessed."""
    return secrets.token_hex(bits // 8)


def is_uuid(text: object) -> bool:
    """Whether `text` is a uuid, dashes or not."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None
