"""The kinds of connectors there are."""

from collections.abc import Callable, Mapping
from pathlib import Path

from moorage.core.errors import Problem
from moorage.hosts.devices import Devices


class ConnectorKindUnknown(Problem):
    """There is no kind of connector named {kind}; there are {kinds}."""

    code = "device.kind-unknown"


def _loop(run: Path, lock: int | None) -> Devices:
    from moorage.drivers.connectors.loop import LoopDevices

    return LoopDevices(run / "dev", lock)


def _memory(run: Path, lock: int | None) -> Devices:
    from moorage.drivers.connectors.memory import MemoryDevices

    return MemoryDevices()


KINDS: Mapping[str, Callable[[Path, int | None], Devices]] = {
    "loop": _loop,
    "memory": _memory,
}


def build(kind: str, run: Path, lock: int | None = None) -> Devices:
    """A connector of `kind` that keeps its files in `run`; its tools hold the host lock's descriptor `lock`."""
    if kind not in KINDS:
        raise ConnectorKindUnknown(kind=kind, kinds=", ".join(KINDS))
    return KINDS[kind](run, lock)
