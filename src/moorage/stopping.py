"""`moorage down`: stop everything of one state directory, the control plane first, then devices, gates and daemons."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator

from sqlalchemy import select as query

from moorage.app import build
from moorage.config import Config
from moorage.core.errors import Conflict
from moorage.database import Database
from moorage.database.locks import started
from moorage.operations.process import boot_id
from moorage.operations.records import processes
from moorage.place import Place

PATIENCE_S = 5.0


class HostTaken(Conflict):
    """Another process looks after this host and could not be stopped: {holder}."""

    code = "host.taken"


def stop_all(config: Config) -> Iterator[str]:
    """Stop it all; yields a line for each thing that it stopped."""
    place = Place(config.state)
    if not place.locks.exists():
        yield f"nothing of Moorage is in {config.state}"
        return
    yield from _stop_control_plane(config)
    app = build(config, "host")
    try:
        if not app.lock.try_acquire():
            raise HostTaken(holder=app.lock.holder())
        yield from _stop_data_plane(app.rooms)
    finally:
        app.lock.release()
        app.database.close()


def _stop_control_plane(config: Config) -> Iterator[str]:
    database = Database(config.database_url, threads=1)
    try:
        with database.read() as tx:
            rows = tx.all(query(processes).where(processes.c.host == config.host, processes.c.boot == boot_id()))
    finally:
        database.close()
    for row in rows:
        if started(row["pid"]) == row["started"]:
            yield f"stopping moorage {row['role']} (pid {row['pid']})"
            _end(row["pid"])


def _end(pid: int) -> None:
    """SIGTERM, SIGCONT in case it is stopped, and SIGKILL when it has not ended in time."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            signal.pidfd_send_signal(handle, signal.SIGCONT)
            if not select.select([handle], [], [], PATIENCE_S)[0]:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [], PATIENCE_S)
        finally:
            os.close(handle)
