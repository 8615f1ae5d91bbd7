"""Services that a run of the tests starts once for all of its workers: whose they are, and how they end with it."""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TEMPORARY = Path("/tmp")


def born(pid: int) -> list[int | str | None]:
    """A pid and its start time, which no later process of the same pid has; None: it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return [pid, None]
    return [pid, None if fields[0] == "Z" else fields[19]]


def new_home(prefix: str) -> Path:
    """A directory for a service, in which is written whose run it belongs to."""
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=TEMPORARY))
    (home / "run").write_text(json.dumps(born(int(os.environ.get("MOORAGE_TEST_RUN", os.getpid())))))
    return home


def kill(pid: int, number: int) -> None:
    """Send the signal, and wait five seconds at most until the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        for _ in range(100):
            if born(pid)[1] is None:
                return
            time.sleep(0.05)


def clear_away_dead(prefix: str, end: Callable[[Path], None]) -> None:
    """`end` the services of runs that were killed."""
    for home in TEMPORARY.glob(prefix + "*"):
        with contextlib.suppress(FileNotFoundError, PermissionError, ValueError):
            run = json.loads((home / "run").read_text())
            if born(run[0])[1] != run[1]:
                end(home)
