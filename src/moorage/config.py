"""
The configuration: one tree of dataclasses, read from one TOML file, passed and never global.

No file is needed. Unknown keys are refused, with the nearest name that there is; every key is on
`docs/configuration.md`.
"""

import dataclasses
import difflib
import os
import re
import socket
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moorage.core.errors import Problem
from moorage.drivers.fetch.settings import FetchSettings
from moorage.drivers.remotes.settings import RemoteSettings
from moorage.drivers.stores.s3.settings import S3Settings
from moorage.drivers.stores.swift.settings import SwiftSettings
from moorage.drivers.stores.volume.settings import VolumeStoreSettings
from moorage.identity.settings import IdentitySettings
from moorage.images.settings import ImageSettings
from moorage.settled import complaints
from moorage.volumes.settings import VolumeSettings

READ_ONLY = frozenset({"http"})  #: kinds of stores that nothing is uploaded to
_STORE_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PATH = re.compile(r"path|staging_path|certificates|cacert|ceph_conf|\w+_file")  #: settings that name files


class BadConfiguration(Problem):
    """The configuration is wrong: {reason}"""

    status, code = 500, "configuration.bad"


@dataclass(frozen=True)
class BackendSettings:
    """One `[[backends]]` table: where volumes are kept."""

    name: str = "files"  #: what volume types call it (`volume_backend_name`)
    kind: str = "files"  #: files or memory
    path: str = ""  #: directory that layers are named in; default: the state directory


@dataclass(frozen=True)
class StoreSettings:
    """One `[[stores]]` table: where images are kept."""

    id: str = "files"  #: what clients call it
    kind: str = "files"  #: files, http, s3, swift, volume or memory
    description: str = ""  #: shown by stores discovery
    path: str = ""  #: directory that images are named in, for kind files; default: the state directory
    weight: int = 0  #: a store of higher weight is read from first
    default: bool = False  #: where images go that name no store; the first writable store, if none says so
    decompress: bool = False  #: whether what is imported into it is unpacked: gzip, xz, zstd, or a zip with one file
    convert: str = ""  #: what is imported into it becomes raw or qcow2; default: it stays what it is
    s3: S3Settings = field(default_factory=S3Settings)  #: the table `[stores.s3]`
    swift: SwiftSettings = field(default_factory=SwiftSettings)  #: the table `[stores.swift]`
    volume: VolumeStoreSettings = field(default_factory=VolumeStoreSettings)  #: the table `[stores.volume]`


@dataclass(frozen=True)
class RightsSettings:
    """`[rights]`: the unprivileged users that storage daemons and gates run as when Moorage is started by root."""

    daemon_uid: int = 64731  #: owns volume files and runs storage daemons
    gate_uid: int = 64732  #: runs the gates in front of them


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    listen: str = "127.0.0.1:8790"  #: host and port of the API
    database: str = (
        ""  #: SQLAlchemy URL (sqlite or postgresql); $MOORAGE_DATABASE wins; default: moorage.db in the state directory
    )
    public_url: str = ""  #: what links and the catalog begin with, when it is not what clients connect to
    cors_origins: tuple[str, ...] = ()  #: origins whose pages may use the APIs from within browsers; "*" is all of them
    region: str = "RegionOne"  #: the one region of the catalog
    host: str = field(
        default_factory=socket.gethostname
    )  #: this host's name in attachments and queues; default: its host name
    worker_threads: int = 8  #: operations that one process carries out at once: of its host, and as many others
    gate_host: str = ""  #: address that gates for clients outside listen on; default: the host of `listen`
    identity: IdentitySettings = field(default_factory=IdentitySettings)  #: the table `[identity]`
    volumes: VolumeSettings = field(default_factory=VolumeSettings)  #: the table `[volumes]`
    images: ImageSettings = field(default_factory=ImageSettings)  #: the table `[images]`
    fetch: FetchSettings = field(default_factory=FetchSettings)  #: the table `[fetch]`
    rights: RightsSettings = field(default_factory=RightsSettings)  #: the table `[rights]`
    backends: tuple[BackendSettings, ...] = (BackendSettings(),)  #: the tables `[[backends]]`
    remotes: tuple[RemoteSettings, ...] = ()  #: the tables `[[remotes]]`
    stores: tuple[StoreSettings, ...] = (StoreSettings(),)  #: the tables `[[stores]]`
    state: Path = Path()  #: the state directory; set by `--state`, not in the file

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.state / 'moorage.db'}"

    @property
    def base_url(self) -> str:
        """What links begin with when a request does not say it."""
        return (self.public_url or f"http://{self.listen}").rstrip("/")

    @property
    def default_store(self) -> str:
        chosen = [store for store in self.stores if store.default]
        writable = [store for store in self.stores if store.kind not in READ_ONLY]
        return next(iter([*chosen, *writable, *self.stores])).id


def state_directory(given: str | None = None) -> Path:
    """The state directory: as given, else `$MOORAGE_STATE`, else the usual place for root or for a user."""
    chosen = given or os.environ.get("MOORAGE_STATE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return usual_state()


def usual_state() -> Path:
    """The state directory where nothing names another."""
    return Path("/var/lib/moorage") if os.geteuid() == 0 else Path("~/.local/share/moorage").expanduser()


def load(path: Path | None, state: Path, **overrides: Any) -> Config:
    """
    The configuration in `path` (None: all defaults) for the state directory `state`; `overrides` win over the file.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
            raise BadConfiguration(reason=f"{path}: {problem}") from None
        raw = _placed(raw, path.absolute().parent)
    if "MOORAGE_DATABASE" in os.environ:
        raw["database"] = os.environ["MOORAGE_DATABASE"]
    raw |= {key: value for key, value in overrides.items() if value is not None}
    if "state" in raw:
        raise BadConfiguration(reason="`state` is set by --state or $MOORAGE_STATE, not in the file.")
    read: Config = _read(Config, raw, "")
    check_stores(read.stores)
    check_remotes(read.remotes)
    settled = dataclasses.replace(read, state=state)
    for complaint in complaints(settled):
        raise BadConfiguration(reason=complaint)
    return settled


def _placed(raw: Any, folder: Path) -> Any:
    """The file's tables with each path that is not absolute taken from the directory that the file is in."""
    if isinstance(raw, list):
        return [_placed(item, folder) for item in raw]
    if not isinstance(raw, dict):
        return raw
    return {
        key: str(folder / Path(value).expanduser())
        if isinstance(value, str) and value and _PATH.fullmatch(key)
        else _placed(value, folder)
        for key, value in raw.items()
    }


def check_remotes(remotes: tuple[RemoteSettings, ...]) -> None:
    """Refuse other clouds that cannot be told apart, or asked."""
    names = [remote.name for remote in remotes]
    if not all(remote.name and remote.auth_url for remote in remotes) or len(set(names)) < len(names):
        raise BadConfiguration(reason="remotes: each has a name of its own, and an auth_url.")


def check_stores(stores: tuple[StoreSettings, ...]) -> None:
    """Refuse stores that cannot be told apart, or among which images have no place to go to."""
    ids = [store.id for store in stores]
    defaults = [store for store in stores if store.default]
    plain = all(_STORE_ID.fullmatch(id) and not id.startswith("os_glance_") for id in ids)
    reasons = {
        "There is no table [[stores]].": not ids,
        "Two stores have the same id.": len(set(ids)) < len(ids),
        "An id is of 1 to 64 letters, digits, dots, dashes and underscores, and not os_glance_ and more.": not plain,
        "`convert` is raw, qcow2 or nothing.": any(store.convert not in ("", "raw", "qcow2") for store in stores),
        "One store at most is the default.": len(defaults) > 1,
        "A store that is read only cannot be the default, and one at least has to be writable.": all(
            store.kind in READ_ONLY for store in defaults or stores
        ),
    }
    for reason, wrong in reasons.items():
        if wrong:
            raise BadConfiguration(reason=f"stores: {reason}")


def _read(kind: Any, raw: Any, at: str) -> Any:
    """`raw` as an instance of `kind`: a dataclass, a tuple of them, or a plain value."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(raw, dict):
            raise BadConfiguration(reason=f"{at} must be a table.")
        hints = typing.get_type_hints(kind)
        for key in raw:
            if key not in hints:
                near = difflib.get_close_matches(key, hints, 1)
                raise BadConfiguration(
                    reason=f"there is no key {at}{key}" + (f"; did you mean {near[0]}?" if near else ".")
                )
        values = {key: _read(hints[key], value, f"{at}{key}.") for key, value in raw.items()}
        try:
            return kind(**values)
        except ValueError as problem:
            raise BadConfiguration(reason=f"{at.rstrip('.')}: {problem}") from None
    origin = typing.get_origin(kind)
    if origin in (tuple, frozenset):
        if not isinstance(raw, list):
            raise BadConfiguration(reason=f"{at.rstrip('.')} must be a list.")
        return origin(_read(typing.get_args(kind)[0], item, at) for item in raw)
    if origin is types.UnionType:
        kind = next(a for a in typing.get_args(kind) if a is not type(None))
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if origin is not dict and (not isinstance(raw, kind) or (kind is int and isinstance(raw, bool))):
        raise BadConfiguration(reason=f"{at.rstrip('.')} must be of type {kind.__name__}, not {type(raw).__name__}.")
    return raw
