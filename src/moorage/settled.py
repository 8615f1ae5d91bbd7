"""
What settings have to be, beyond their types, before anything is started with them: rows of a setting, what it must be,
and whether a configuration has it so.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from moorage.config import Config

METHODS = frozenset({"glance-direct", "web-download", "copy-image", "glance-download"})
_LONGEST_HASH = 64  #: bytes of a digest that a row has room for

#: The least that numbers may be. Others may not be negative, but for those that know -1 as no limit.
LEAST: dict[str, float] = {
    "worker_threads": 1,
    "identity.token_ttl_s": 1,
    "identity.expired_window_s": 0,
    "identity.cached_tokens": 0,
    "identity.logins_waiting": 1,
    "volumes.max_page": 1,
    "volumes.hydrations": 1,
    "volumes.hydration_mib_per_s": 0,
    "volumes.fault_patience_s": 0,
    "volumes.absence_patience_s": 0,
    "images.size_cap": 1,
    "images.largest_disk": 1,
    "images.page": 1,
    "images.largest_page": 1,
    "images.upload_idle_s": 1,
    "images.hash_rate_mib": 0,
    "rights.daemon_uid": 1,
    "rights.gate_uid": 1,
}


def complaints(config: "Config") -> Iterator[str]:
    """What is wrong with the configuration, a sentence each."""
    for name, least in LEAST.items():
        if _value(config, name) < least:
            yield f"{name} is {least:g} at least, not {_value(config, name):g}."
    for name, must, fine in RULES:
        if not fine(config):
            yield f"{name} {must}."
    yield from _same_places(config)


def _value(config: "Config", name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _address(config: "Config") -> bool:
    host, colon, port = config.listen.rpartition(":")
    return bool(host and colon and re.fullmatch(r"[0-9]{1,5}", port)) and int(port) < 1 << 16


def _url(config: "Config") -> bool:
    try:
        parts = urlsplit(config.public_url)
    except ValueError:
        return False
    return not config.public_url or (parts.scheme in ("http", "https") and bool(parts.hostname))


def _database(config: "Config") -> bool:
    try:
        return make_url(config.database_url).get_backend_name() in ("sqlite", "postgresql")
    except ArgumentError:
        return False


def _hash(config: "Config") -> bool:
    try:
        return 0 < hashlib.new(config.images.hash_algorithm).digest_size <= _LONGEST_HASH
    except ValueError:
        return False


RULES: Sequence[tuple[str, str, Callable[["Config"], bool]]] = (
    ("listen", "is HOST:PORT, such as 127.0.0.1:8790 or [::1]:8790", _address),
    ("public_url", "is an http or https URL", _url),
    ("database", "is the URL of a database, sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME", _database),
    ("region", "is not empty", lambda config: bool(config.region)),
    ("host", "is not empty", lambda config: bool(config.host)),
    ("volumes.cache", 'is "back" or "through"', lambda config: config.volumes.cache in ("back", "through")),
    ("volumes.no_compute", 'is "allow" or "refuse"', lambda config: config.volumes.no_compute in ("allow", "refuse")),
    (
        "volumes.default_backend",
        "is the name of one of [[backends]]",
        lambda config: config.volumes.default_backend in ("", *(backend.name for backend in config.backends)),
    ),
    (
        "images.hash_algorithm",
        "is an algorithm of Python's hashlib with a digest of 512 bits at most, such as sha512",
        _hash,
    ),
    (
        "images.import_methods",
        f"are some of {', '.join(sorted(METHODS))}",
        lambda config: set(config.images.import_methods) <= METHODS,
    ),
    (
        "rights",
        "names two different users",
        lambda config: config.rights.daemon_uid != config.rights.gate_uid,
    ),
)


def _same_places(config: "Config") -> Iterator[str]:
    """Backends, and stores, that would take one another's bytes for bytes that belong to nobody."""
    if not config.backends:
        yield "There is no table [[backends]]."
    names = [backend.name for backend in config.backends]
    if len(set(names)) < len(names):
        yield "Two of [[backends]] have the same name."
    held = [("files", _folder(backend.path, config)) for backend in config.backends if backend.kind == "files"]
    if len(set(held)) < len(held):
        yield "Two of [[backends]] keep their volumes in the same directory (`path`)."
    kept: dict[object, str] = {}
    for store in config.stores:
        place = _place(store, config)
        if place is not None and place in kept:
            yield f"The stores {kept[place]} and {store.id} keep their images in the same place."
        kept[place] = store.id


def _place(store: Any, config: "Config") -> object:
    """Where a store's bytes are, to tell whether another one's are there too; None where that cannot be said."""
    if store.kind == "files":
        return ("files", _folder(store.path, config))
    if store.kind == "s3":
        return ("s3", store.s3.endpoint.rstrip("/"), store.s3.bucket, store.s3.prefix)
    if store.kind == "swift":
        swift = store.swift
        account = (swift.user, swift.project, swift.project_domain, swift.application_credential_id, swift.region)
        return ("swift", swift.auth_url.rstrip("/"), swift.endpoint, *account, swift.container, swift.prefix)
    return None


def _folder(path: str, config: "Config") -> str:
    return os.path.realpath(path or config.state)
