"""The one MetaData that all rooms' tables live in, and the column types that they share."""

import json
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, MetaData, String, Text
from sqlalchemy.types import JSON

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def identifier(name: str = "id", **more: Any) -> Column[str]:
    """A uuid or another id of at most 64 characters."""
    return Column(name, String(64), **more)


def text(name: str, length: int = 255, **more: Any) -> Column[str]:
    """A string of at most `length` characters."""
    return Column(name, String(length), **more)


def prose(name: str, **more: Any) -> Column[str]:
    """A string of any length."""
    return Column(name, Text, **more)


def moment(name: str, **more: Any) -> Column[int]:
    """A time: microseconds since 1970-01-01 UTC, by the database's clock."""
    return Column(name, BigInteger, **more)


def number(name: str, **more: Any) -> Column[int]:
    """An integer of 64 bits."""
    return Column(name, BigInteger, **more)


def flag(name: str, default: bool = False, **more: Any) -> Column[bool]:
    """True or false, never null."""
    return Column(name, Boolean(create_constraint=False), nullable=False, default=default, **more)


def document(name: str, **more: Any) -> Column[Any]:
    """A JSON value, kept as text on both databases."""
    return Column(name, JSON(none_as_null=True), **more)


def read_document(text: str | bytes) -> Any:
    """The JSON value that a column holds, read much faster than by `json`, which reads what only it could write."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)
