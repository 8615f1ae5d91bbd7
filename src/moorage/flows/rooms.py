"""The rooms: what a process is built of, as handlers and steps see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moorage.database import Database
from moorage.hosts.devices import Devices
from moorage.images.imports.fetch import Fetch
from moorage.images.imports.method import Method
from moorage.images.imports.transformation import Transformation
from moorage.images.signatures.certificates import Certificates
from moorage.images.store import Store
from moorage.operations.flow import Flows
from moorage.volumes.backend import Backend
from moorage.volumes.compute import Compute


@dataclass
class Rooms:
    """Built once, by `app`, and passed; nothing in it is global."""

    database: Database
    state: Path  #: the state directory
    run: Path  #: where sockets are: short paths
    host: str  #: this host's name; its side effects are in the queue `host:<name>`
    process: str = ""  #: id of this process in the journal, for operations that a request carries out itself
    backends: Mapping[str, Backend] = field(default_factory=dict)  #: by name; empty in a process without the host lock
    stores: Mapping[str, Store] = field(default_factory=dict)  #: by id
    default_store: str = ""
    fetch: Fetch | None = None  #: the way out, to what users name
    staging: Store | None = None  #: where bytes wait outside of all stores to be imported
    methods: Mapping[str, Method] = field(default_factory=dict)  #: ways to import from elsewhere, by name
    transformations: Sequence[Transformation] = ()  #: what becomes of an import's bytes, in this order
    certificates: Certificates | None = None  #: the key manager, as far as signatures of images need one
    devices: Devices | None = None  #: block devices of this host
    flows: Flows = field(default_factory=Flows)  #: all that the runner can carry out
    runner: Any = None  #: the journal's runner, for operations that a request carries out itself
    settings: Any = None  #: the tree of `moorage.config`
    tail: Any = None  #: the newest events, for who follows them (`operations.tail`)
    identity: Any = None  #: what tokens are made and checked with (`identity.tokens`)
    compute: Compute | None = None  #: the cloud's Compute, to be asked outside of transactions

    @property
    def host_queue(self) -> str:
        """The queue of work that touches this host's daemons, volume files and devices."""
        return f"host:{self.host}"
