"""The kinds of stores that a configuration may name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from moorage.core.errors import Problem
from moorage.images.store import Store


class StoreKindUnknown(Problem):
    """There is no kind of store named {kind}; there are {kinds}."""

    code = "store.kind-unknown"


def _memory(id: str, settings: Mapping[str, Any]) -> Store:
    from moorage.drivers.stores.memory import MemoryStore

    return MemoryStore(id, room_bytes=settings.get("room_bytes"))


def _files(id: str, settings: Mapping[str, Any]) -> Store:
    from moorage.drivers.stores.files import FilesStore

    return FilesStore(id, Path(settings["root"]), owner=settings.get("owner"))


def _volume(id: str, settings: Mapping[str, Any]) -> Store:
    from moorage.drivers.stores.volume.build import build as build_volume

    return build_volume(id, settings["volume"], settings["around"])


def _http(id: str, settings: Mapping[str, Any]) -> Store:
    from moorage.drivers.stores.http import HttpStore

    return HttpStore(id, settings["fetch"])


def _s3(id: str, settings: Mapping[str, Any]) -> Store:
    from moorage.drivers.stores.s3.store import S3Store

    return S3Store(id, settings["s3"])


def _swift(id: str, settings: Mapping[str, Any]) -> Store:
    from moorage.drivers.stores.swift.store import SwiftStore

    return SwiftStore(id, settings["swift"])


#: The sub-table of `[[stores]]` that has a kind's name is among the settings, under that name.
KINDS: Mapping[str, Callable[[str, Mapping[str, Any]], Store]] = {
    "memory": _memory,
    "files": _files,
    "volume": _volume,
    "http": _http,
    "s3": _s3,
    "swift": _swift,
}


def build(kind: str, id: str, settings: Mapping[str, Any]) -> Store:
    """A store of `kind`, ready for use; nothing is asked of it yet."""
    if kind not in KINDS:
        raise StoreKindUnknown(kind=kind, kinds=", ".join(KINDS))
    return KINDS[kind](id, settings)
