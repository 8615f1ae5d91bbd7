"""How far something is, on standard error: a bar that moves on a terminal, a line now and then elsewhere."""

import shutil
import sys
from collections.abc import Mapping
from typing import Any

WIDTH = 24
MIB = 1 << 20
_ERASE = "\r\x1b[K"
STEP_PERCENT = 10  #: where there is no terminal, a line is written that often


class Bar:
    """One operation, drawn again and again until it is over."""

    def __init__(self) -> None:
        self._moves = sys.stderr.isatty()
        self._last: Any = None

    def draw(self, operation: Mapping[str, Any]) -> None:
        """It is so far."""
        if self._moves:
            columns = shutil.get_terminal_size().columns
            sys.stderr.write(_ERASE + line(operation)[: columns - 1])
            sys.stderr.flush()
            return
        far = operation.get("progress") or {}
        states = [(store["id"], store["state"]) for store in far.get("stores", ())]
        now = (operation["step"], operation["going_back"], (_percent(far) or 0) // STEP_PERCENT, states)
        if now != self._last:
            self._last = now
            sys.stderr.write(line(operation) + "\n")

    def end(self) -> None:
        """Leave the line to others."""
        if self._moves:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()


def line(operation: Mapping[str, Any]) -> str:
    """How far it is, on one line."""
    what = f"{operation['kind']}: {'going back, ' if operation['going_back'] else ''}{operation['step']}"
    far = operation.get("progress")
    if far is None:
        return what
    stores = [_store(store, far["size"]) for store in far["stores"]]
    return "  ".join([what, *_measured(far), *stores])


def _measured(far: Mapping[str, Any]) -> list[str]:
    percent = _percent(far)
    done = -(-far["done"] // MIB) if far["done"] == far["size"] else far["done"] // MIB
    if percent is None:
        return [f"{done} MiB"]
    full = WIDTH * percent // 100
    return [f"[{'#' * full}{'.' * (WIDTH - full)}] {percent:3} %", f"{done} of {-(-far['size'] // MIB)} MiB"]


def _percent(far: Mapping[str, Any]) -> int | None:
    size = far.get("size")
    return min(100, 100 * far["done"] // size) if size else None


def _store(store: Mapping[str, Any], size: int | None) -> str:
    far = f"{min(100, 100 * store['done'] // size)} %" if size else f"{store['done'] // MIB} MiB"
    return f"{store['id']}: {far if store['state'] == 'waiting' else store['state']}"
