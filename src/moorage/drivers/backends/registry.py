"""The kinds of backends that a configuration may name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from moorage.core.errors import Problem
from moorage.volumes.backend import Backend


class BackendKindUnknown(Problem):
    """There is no kind of backend named {kind}; there are {kinds}."""

    code = "backend.kind-unknown"


# fmt: off
@dataclass(frozen=True)
class Options:
    """What a backend may need to know; each kind takes what it needs."""

    name: str = "files"               #: what the configuration calls it; error texts name it
    root: Path = Path()               #: the directory that layers are named in
    run_dir: Path = Path()            #: the directory for sockets; its path is short
    daemon_uid: int | None = None     #: with root: who daemons run as (uid and gid)
    gate_uid: int | None = None       #: with root: who gates run as (uid and gid)
    door_gid: int | None = None       #: the group whose members may open gates on unix sockets
    lock: int | None = None           #: descriptor of the host lock, which short helpers inherit
    gate_host: str = "127.0.0.1"      #: the address that gates with TLS listen on
    shown_host: str | None = None     #: the address that clients are told; by default `gate_host`
    spares: int = 0                   #: daemons kept ready for the next volumes; `close` ends them
    fault_patience_s: float = 0.0     #: how long readers wait for bytes of copies; 0: until they come
    absence_patience_s: float = 0.0   #: how long while this process is stopped; 0: until it is back
# fmt: on


def _memory(_: Options) -> Backend:
    from moorage.drivers.backends.memory import MemoryBackend

    return MemoryBackend()


def _files(options: Options) -> Backend:
    from moorage.drivers.backends.files.backend import FilesBackend
    from moorage.drivers.backends.files.gate import TlsDoor
    from moorage.drivers.backends.files.rights import Rights

    rights = Rights.of(options.daemon_uid, options.gate_uid, options.door_gid)
    tls = TlsDoor(options.gate_host, options.shown_host)
    return FilesBackend(
        options.root,
        options.run_dir,
        rights,
        lock=options.lock,
        tls=tls,
        spares=options.spares,
        name=options.name,
        fault_patience_s=options.fault_patience_s,
        absence_patience_s=options.absence_patience_s,
    )


KINDS: Mapping[str, Callable[[Options], Backend]] = {
    "memory": _memory,
    "files": _files,
}


def build(kind: str, options: Options) -> Backend:
    """A backend of `kind`, ready for use."""
    if kind not in KINDS:
        raise BackendKindUnknown(kind=kind, kinds=", ".join(KINDS))
    return KINDS[kind](options)
