"""`moorage down`: stop everything of one state directory, the control plane first, then devices, gates and daemons."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator

from sqlalchemy import select as query

from moorage.app import App, build
from moorage.config import Config
from moorage.core.errors import Conflict, Problem
from moorage.database.locks import started
from moorage.flows.rooms import Rooms
from moorage.operations.process import boot_id
from moorage.operations.records import processes
from moorage.place import Place

PATIENCE_S = 5.0


class HostTaken(Conflict):
    """Another process looks after this host and could not be stopped: {why}."""

    code = "host.taken"


def stop_all(config: Config) -> Iterator[str]:
    """Stop it all; yields a line for each thing that it stopped. What clients wrote before is durable."""
    place = Place(config.state)
    if not place.keys.exists():
        yield f"nothing of Moorage is in {config.state}"
        return
    app = build(config, "host")
    try:
        yield from _stop_control_plane(app)
        if not app.lock.acquire(PATIENCE_S):
            raise HostTaken(why=app.lock.why_not() or "it does not let go")
        app.equip(app.lock.fileno())
        yield from stop_data_plane(app.rooms)
    finally:
        app.stop()
    yield "everything is stopped"


def _stop_control_plane(app: App) -> Iterator[str]:
    with app.database.read() as tx:
        rows = tx.all(query(processes).where(processes.c.host == app.config.host, processes.c.boot == boot_id()))
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


def stop_data_plane(rooms: Rooms) -> Iterator[str]:
    """
    Devices first, so that what they hold back is written; then every export, its writes made durable; then the daemons.
    """
    if rooms.devices is not None:
        for attachment, device in rooms.devices.present().items():
            where = f", mounted on {device.mounted}" if device.mounted else ""
            yield f"removing device {device.path or '(half made)'} of attachment {attachment}{where}"
            with contextlib.suppress(Problem):
                rooms.devices.flush(attachment)
            rooms.devices.disconnect(attachment)
    for name, backend in rooms.backends.items():
        for volume, served in backend.survey().items():
            yield f"closing volume {volume} ({name}, {len(served.exports)} exports)"
            for attachment in served.exports if served.alive else ():
                with contextlib.suppress(Problem):
                    backend.withdraw(volume, attachment)
            if served.alive or served.lossless:
                backend.clear(volume)
