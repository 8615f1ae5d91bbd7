"""`moorage down`: stop everything of one state directory, the control plane first, then devices, gates and daemons."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator

from sqlalchemy import select as query

from moorage.agent import credential
from moorage.app import App, build
from moorage.config import Config
from moorage.core.errors import Conflict, Problem
from moorage.database.locks import started
from moorage.drivers.connectors import registry as connectors
from moorage.flows.rooms import Rooms
from moorage.hosts.devices import Devices
from moorage.operations.host_lock import HostLock
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
    if (place.keys / credential.NAME).exists():
        yield from _stop_agent(place)
        return
    app = build(config, "host")
    try:
        yield from _stop_control_plane(app)
        if not app.lock.acquire(PATIENCE_S):
            raise HostTaken(why=app.lock.why_not() or "it does not let go")
        app.equip(app.lock.fileno())
        app.supply()  # what devices hold back may lie upon parts that have not come
        yield from stop_data_plane(app.rooms)
    finally:
        app.stop()
    yield "everything is stopped"


def _stop_agent(place: Place) -> Iterator[str]:
    """Stop the agent of a host that only uses volumes, and remove its devices; what it held lapses."""
    lock = HostLock(place.host_lock)
    holder = lock.holder()
    if holder is not None:
        yield f"stopping moorage host (pid {holder.pid})"
        _end(holder.pid)
    if not lock.acquire(PATIENCE_S):
        raise HostTaken(why=lock.why_not() or "it does not let go")
    try:
        yield from _remove_devices(connectors.build("loop", place.sockets, lock.fileno()))
    finally:
        lock.release()
    yield "everything is stopped; attachments of this host that were not detached lapse with their leases"


def _remove_devices(devices: Devices) -> Iterator[str]:
    for attachment, device in devices.present().items():
        where = f", mounted on {device.mounted}" if device.mounted else ""
        yield f"removing device {device.path or '(half made)'} of attachment {attachment}{where}"
        with contextlib.suppress(Problem):
            devices.flush(attachment)
        devices.disconnect(attachment)


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
    Who had a door finds it again at the next start, unless his writes could not be made durable.
    """
    if rooms.devices is not None:
        yield from _remove_devices(rooms.devices)
    for name, backend in rooms.backends.items():
        for volume, served in backend.survey().items():
            if not served.alive:  # what can be said of it is said at the next start
                continue
            yield f"closing volume {volume} ({name}, {len(served.exports)} exports)"
            try:
                backend.halt(volume)
            except Problem as problem:
                yield f"volume {volume}: {problem.sentence}"
                backend.clear(volume)
        backend.idle()
