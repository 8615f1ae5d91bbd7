"""
The app: builds every room from the configuration, wires them, starts and stops them. The one place that sees them all.

`up` is everything in one process; `api`, `worker` and `host` are parts of it, for more processes on the same database.
"""

import importlib
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from moorage.api.service import Service
from moorage.api.shell import Shell
from moorage.config import Config
from moorage.core.caller import Caller
from moorage.database import Database
from moorage.database.migrate import upgrade
from moorage.duty import HostDuty
from moorage.flows.reconcile import at_start
from moorage.flows.registry import FLOWS
from moorage.flows.rooms import Rooms
from moorage.identity import bootstrap
from moorage.identity.tokens import Tokens
from moorage.operations.host_lock import HostLock
from moorage.operations.process import Process
from moorage.operations.runner import Runner
from moorage.operations.waiting import Ends
from moorage.place import Place

log = logging.getLogger(__name__)

ANYWHERE = "any"  #: the queue of work that any process may do

ROLES = ("up", "api", "worker", "host")

SERVICES = (
    ("moorage.api.identity.service", "IdentityService"),
    ("moorage.api.block_storage.service", "BlockStorageService"),
    ("moorage.api.image.service", "ImageService"),
    ("moorage.api.moorage.service", "MoorageService"),
    ("moorage.api.front", "Front"),
)


class App:
    """One process of Moorage, built and not yet started."""

    def __init__(self, config: Config, role: str = "up") -> None:
        self.config, self.role, self.place = config, role, Place(config.state)
        self.place.prepare()
        self.database = Database(config.database_url)
        upgrade(self.database)
        self.me = Process.this(role, config.host)
        self.rooms = self._rooms()
        _bootstrap(self.database, self.rooms, config, self.place)
        self.sql = ThreadPoolExecutor(1 if self.database.dialect == "sqlite" else 4, thread_name_prefix="sql")
        self.files = ThreadPoolExecutor(4, thread_name_prefix="files")
        self.runner = Runner(
            self.database, FLOWS, self.rooms, self.me, {ANYWHERE} if role in ("up", "worker") else set(), threads=config.worker_threads
        )
        self.ends = Ends(self.database, self.files)
        self.shell = Shell(self.rooms, self._services(), self._authenticate, self.ends, self.sql, self.files, public_url=config.public_url or None)
        self.lock = HostLock(self.place.host_lock)
        self.duty = HostDuty(self.lock, self.rooms, self.runner, lambda: at_start(self.rooms)) if role in ("up", "host") else None

    def start(self) -> None:
        """Begin to carry out operations, and to look after this host where that is this process's role."""
        self.runner.start()
        if self.duty is not None:
            self.duty.start()

    def stop(self) -> None:
        """Let go of everything; daemons go on, to be adopted by whoever comes next."""
        self.runner.stop()
        if self.duty is not None:
            self.duty.stop()
        self.sql.shutdown(wait=False, cancel_futures=True)
        self.files.shutdown(wait=False, cancel_futures=True)
        self.database.close()

    def _rooms(self) -> Rooms:
        config = self.config
        tokens = Tokens(self.database, self.place.keys, config.identity)
        return Rooms(
            database=self.database, state=config.state, run=self.place.sockets, host=config.host, process=self.me.id,
            default_store=config.default_store, settings=config, identity=tokens,
        )

    def _services(self) -> list[Service]:
        return [getattr(importlib.import_module(module), name)() for module, name in SERVICES]

    def _authenticate(self, headers: Mapping[str, str], request_id: str) -> Caller:
        caller: Caller = self.rooms.identity.caller(headers, request_id)
        return caller


def _bootstrap(database: Database, rooms: Rooms, config: Config, place: Place) -> None:
    """Make what a new cloud starts with; nothing where it is there already."""
    bootstrap.run(database, place.keys, config.region)
    bootstrap.write_clouds(place.clouds, place.keys, config.base_url, config.region)


def build(config: Config, role: str = "up") -> App:
    """The app of `config` in the given role."""
    if role not in ROLES:
        raise ValueError(f"there is no role {role}")
    return App(config, role)


__all__ = ["Any", "App", "build"]
