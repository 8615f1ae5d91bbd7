"""
The app: builds every room from the configuration, wires them, starts and stops them. The one place that sees them all.

`up` is everything in one process; `api`, `worker` and `host` are parts of it, for more processes on the same database.
"""

import logging
import os
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from sqlalchemy.exc import OperationalError

from moorage.api.block_storage.service import BlockStorageService
from moorage.api.cors import Cors
from moorage.api.front import Front
from moorage.api.identity.service import IdentityService
from moorage.api.image.service import ImageService
from moorage.api.moorage.service import MoorageService
from moorage.api.service import Service
from moorage.api.shell import Shell
from moorage.config import BackendSettings, Config, StoreSettings
from moorage.core.caller import Caller
from moorage.core.errors import Problem
from moorage.database import Database
from moorage.database.migrate import upgrade
from moorage.drivers.backends import registry as backends
from moorage.drivers.backends.files.rights import Rights
from moorage.drivers.certificates.directory import DirectoryCertificates
from moorage.drivers.compute import HttpCompute, Reach
from moorage.drivers.connectors import registry as connectors
from moorage.drivers.fetch.client import GuardedFetch
from moorage.drivers.stores import registry as stores
from moorage.drivers.stores.health import Watched
from moorage.drivers.stores.volume.around import Around
from moorage.drivers.transformations import registry as transformations
from moorage.duty import HostDuty
from moorage.flows.attachments.lapse_leases import listen_and_lapse
from moorage.flows.images.clear import STAGING
from moorage.flows.images.forgetting import retention as digest_retention
from moorage.flows.images.incoming.web_download import WebDownload
from moorage.flows.reconciliation.reconcile import at_start
from moorage.flows.registry import FLOWS
from moorage.flows.rooms import Rooms
from moorage.flows.volumes import hydrate_copy, mend_volume
from moorage.flows.volumes.copy_supply import StoreSupply
from moorage.hearing import Hearing
from moorage.hosts import cloud
from moorage.identity import bootstrap as identity_bootstrap
from moorage.identity.deputy import Deputy
from moorage.identity.keys import write_secret
from moorage.identity.tokens import Tokens
from moorage.images import outages
from moorage.images.imports.fetch import Fetch
from moorage.images.imports.method import Method
from moorage.images.records import images
from moorage.images.retention import retention as image_retention
from moorage.images.store import Store, Trouble
from moorage.inside import Inside
from moorage.operations.host_lock import HostLock
from moorage.operations.process import Process
from moorage.operations.runner import Runner
from moorage.operations.tail import Tail
from moorage.operations.waiting import Ends
from moorage.place import Place
from moorage.volumes import bootstrap as volumes_bootstrap
from moorage.volumes import custody
from moorage.volumes.backend import Backend
from moorage.volumes.retention import retention

log = logging.getLogger(__name__)

ANYWHERE = "any"  #: the queue of work that any process may do


SPARES = 2  #: storage daemons that are kept started, so that the first attachment of a volume need not wait for one

ROLES = ("up", "api", "worker", "host")

SERVICES: tuple[type[Service], ...] = (IdentityService, BlockStorageService, ImageService, MoorageService)


class DatabaseUnusable(Problem):
    """The database cannot be used: {reason}"""

    status, code = 503, "database.unusable"


class App:
    """One process of Moorage, built and not yet started."""

    def __init__(self, config: Config, role: str = "up") -> None:
        self.config, self.role, self.place = config, role, Place(config.state)
        self.place.prepare()
        if not config.database:
            self.place.keep_private(self.place.database)
        self.database = Database(config.database_url)
        self._upgrade()
        self.me = Process.this(role, config.host)
        self.lock = HostLock(self.place.host_lock, self.database)
        bootstrap(
            config,
            self.place,
            self.database,
            address=role == "up" or (role == "api" and not self.place.clouds.exists()),
        )
        self.rooms = self._rooms()
        self.equip(None)
        self.sql = ThreadPoolExecutor(1 if self.database.dialect == "sqlite" else 4, thread_name_prefix="sql")
        self.files = ThreadPoolExecutor(4, thread_name_prefix="files")
        self.asking = ThreadPoolExecutor(4, thread_name_prefix="asking")
        self.runner = Runner(
            self.database,
            self.rooms.flows,
            self.rooms,
            self.me,
            {ANYWHERE} if role in ("up", "worker") else set(),
            threads=config.worker_threads,
        )
        for job in (*retention(self.database), *image_retention(self.database), *digest_retention(self.database)):
            self.runner.periodic.add(job)
        self.rooms.runner = self.runner
        self.ends = Ends(self.database, self.files, self.runner.carries)
        self.rooms.tail = Tail(self.database, self.files)
        self.services = self._services()
        shell = Shell(
            self.rooms,
            self.services,
            self._authenticate,
            self.ends,
            self.sql,
            self.files,
            public_url=config.public_url or None,
            asking=self.asking,
        )
        self.bare, self.shell = shell, Cors(shell, config.cors_origins)
        self.duty = HostDuty(self.lock, self.take_up) if role in ("up", "host") else None
        self.hearing = Hearing(self.database, lambda: listen_and_lapse(self.rooms)) if role in ("up", "api") else None

    def _upgrade(self) -> None:
        """The database has the tables of this release, and is the one that the state directory belongs to."""
        try:
            upgrade(self.database)
        except OperationalError as problem:
            raise DatabaseUnusable(reason=str(problem.orig).splitlines()[0]) from None
        with self.database.read() as tx:
            id = cloud.id_of(tx)
        if not cloud.belonging(self.place.cloud, id):
            write_secret(self.place.cloud, f"{id}\n")

    def start(self) -> None:
        """Begin to carry out operations, and to look after this host where that is this process's role."""
        for store in self.rooms.stores.values():
            store.look()
        self.runner.start()
        if self.duty is not None:
            self.duty.start()
        if self.hearing is not None:
            self.hearing.start()

    def stop(self) -> None:
        """Let go of everything; daemons go on, to be adopted by whoever comes next."""
        self.rooms.tail.close()
        self.inside.close()
        if self.hearing is not None:
            self.hearing.stop()
        self.runner.stop()
        for backend in self.rooms.backends.values():
            backend.close()
        self.bare.close()
        for store in self.rooms.stores.values():
            store.close()
        if self.duty is not None:
            self.duty.stop()
        self.sql.shutdown(wait=False, cancel_futures=True)
        self.files.shutdown(wait=False, cancel_futures=True)
        self.asking.shutdown(wait=False, cancel_futures=True)
        self.database.close()

    def _rooms(self) -> Rooms:
        config = self.config
        tokens = Tokens(self.database, self.place.keys, config.identity)
        deputy = Deputy(self.database, tokens, config.region, config.base_url)

        self.inside = Inside(deputy.token, self._inner_shell, 1 if self.database.dialect == "sqlite" else 4)

        def compute() -> Reach:
            places = deputy.places("compute")
            return Reach(places.urls, places.token)

        fetch = GuardedFetch(config.fetch)
        rights = Rights.of(config.rights.daemon_uid, config.rights.gate_uid)
        return Rooms(
            database=self.database,
            state=config.state,
            run=self.place.sockets,
            host=config.host,
            process=self.me.id,
            flows=FLOWS,
            stores={s.id: self._store(s, fetch) for s in config.stores},
            default_store=config.default_store,
            staging=self._staging(),
            fetch=fetch,
            certificates=DirectoryCertificates(Path(config.images.certificates or config.state / "certificates")),
            transformations=transformations.build(config.stores, rights),
            methods={WebDownload.name: WebDownload(fetch), **self._remotes()},
            settings=config,
            identity=tokens,
            compute=HttpCompute(compute),
        )

    def equip(self, lock: int | None) -> None:
        """Give the rooms their drivers; what they run short helpers with is `lock`, the host lock's descriptor."""
        self.rooms.backends = {b.name: self._backend(b, lock) for b in self.config.backends}
        self.rooms.devices = connectors.build("loop", self.place.sockets, lock)

    def take_up(self) -> None:
        """Look after this host from now on: adopt what runs, bring it in line with the rows, serve the host's queue."""
        self.equip(self.lock.fileno())
        self.supply()
        at_start(self.rooms)
        hydrate_copy.resume(self.rooms)
        self.runner.periodic.add(hydrate_copy.resuming(self.rooms))
        mend_volume.watch(self.rooms)
        self.runner.serve(self.rooms.host_queue)

    def supply(self) -> None:
        """Fetch from our stores, from now on, what readers of copies miss."""
        for backend in self.rooms.backends.values():
            backend.supply(StoreSupply(self.rooms))

    def _backend(self, settings: BackendSettings, lock: int | None) -> Backend:
        config = self.config
        options = backends.Options(
            name=settings.name,
            root=Path(settings.path or config.state),
            run_dir=self.place.sockets,
            daemon_uid=config.rights.daemon_uid,
            gate_uid=config.rights.gate_uid,
            lock=lock,
            spares=SPARES if lock is not None else 0,
            fault_patience_s=float(max(config.volumes.fault_patience_s, 0)),
            absence_patience_s=float(max(config.volumes.absence_patience_s, 0)),
            gate_host=config.gate_host or config.listen.rpartition(":")[0].strip("[]"),
        )
        return backends.build(settings.kind, options)

    def _store(self, settings: StoreSettings, fetch: Fetch) -> Store:
        owner = self._reader()
        around = Around(
            host=self.config.host,
            ours=self.inside,
            folder=self.place.state / "stores",
            owner_of=self._owner_of,
            trim=self._trim,
        )
        root = settings.path or self.config.state
        options = {"root": root, "owner": owner, "around": around, "fetch": fetch, **vars(settings)}
        return Watched(stores.build(settings.kind, settings.id, options), tell=self._tell_of_store)

    def _tell_of_store(self, store: str, trouble: Trouble, away_s: float | None) -> None:
        """Let events say that this process lost the store, or found it again."""
        self.database.transact(lambda tx: outages.tell(tx, self.me, store, trouble, away_s))

    def _remotes(self) -> dict[str, Method]:
        """The way to import from other clouds, where the configuration names any."""
        if not self.config.remotes:
            return {}
        from moorage.drivers.remotes.glance import GlanceDownload

        return {GlanceDownload.name: GlanceDownload(self.config.remotes)}

    def _staging(self) -> Store:
        root = self.config.images.staging_path or self.config.state
        return stores.build("files", STAGING, {"root": root, "owner": self._reader()})

    def _reader(self) -> tuple[int, int] | None:
        """Who may read the files of images besides ourselves: storage daemons and conversions."""
        return (0, self.config.rights.daemon_uid) if os.geteuid() == 0 else None

    def _trim(self, volume: str, size_gib: int) -> None:
        """An image-volume of ours is shorter, which Block Storage has no call for."""
        self.database.transact(lambda tx: custody.trim(tx, volume, size_gib))

    def _owner_of(self, image: str) -> str | None:
        """The project of an image."""
        with self.database.read() as tx:
            row = tx.get(images, image)
        return row["owner"] if row is not None else None

    def _inner_shell(self, sql: Executor, files: Executor) -> Shell:
        """The shell that our own stores ask our own services through."""
        ends = Ends(self.database, files, self.runner.carries)
        return Shell(self.rooms, self.services, self._authenticate, ends, sql, files, asking=files)

    def _services(self) -> list[Service]:
        services = [service() for service in SERVICES]  # type: ignore[call-arg]
        return [*services, Front(services)]

    def _authenticate(self, headers: Mapping[str, str], request_id: str) -> Caller:
        caller: Caller = self.rooms.identity.caller(headers, request_id)
        return caller


def bootstrap(config: Config, place: Place, database: Database, *, address: bool) -> None:
    """Make what a new cloud starts with; nothing where it is there already. `address`: clients find us at ours now."""
    identity_bootstrap.run(database, place.keys, config.region)
    if address:
        identity_bootstrap.write_clouds(place.clouds, place.keys, config.base_url, config.region)
    database.transact(lambda tx: volumes_bootstrap.bootstrap(tx, config.volumes))


def build(config: Config, role: str = "up") -> App:
    """The app of `config` in the given role."""
    if role not in ROLES:
        raise ValueError(f"there is no role {role}")
    return App(config, role)
