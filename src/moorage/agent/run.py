"""
`moorage host --join URL`: this host uses volumes of a Moorage elsewhere.

SIGTERM stops the agent and nothing else: devices go on, until their leases lapse or the next start takes them up.
"""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import click

from moorage.agent import credential
from moorage.agent.devices import LeasedDevices
from moorage.agent.front import Front
from moorage.agent.heart import Heart
from moorage.client import clouds
from moorage.client.session import Session
from moorage.core.errors import Conflict
from moorage.drivers.connectors import registry
from moorage.operations.host_lock import HostLock
from moorage.place import Place


class StateTaken(Conflict):
    """The state directory has somebody already: {why}"""

    code = "agent.state-taken"


def run(state: Path, url: str, name: str, lease_s: int, secret_file: Path | None, os_cloud: str | None) -> None:
    """Be the agent until SIGTERM or SIGINT."""
    place = Place(state)
    place.prepare()
    lock = HostLock(place.host_lock)
    if not lock.try_acquire():
        raise StateTaken(why=lock.why_not() or "it does not say who it is.")
    try:
        mine = credential.obtain(place.keys / credential.NAME, url, name, secret_file, _registration(os_cloud))
        devices = LeasedDevices(registry.build("loop", place.sockets, lock.fileno()), place.sockets / "psk")
        heart = Heart(mine, devices, str(place.agent))
        devices.on_new(heart.hurry)
        _serve(Front(place.agent, mine, devices, lease_s, lambda: heart.trouble), heart, name, url)
    finally:
        lock.release()


def _serve(front: Front, heart: Heart, name: str, url: str) -> None:
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    front.start()
    heart.start()
    click.echo(f"moorage host is running: it is {name}, of {url}")
    over.wait()
    heart.stop()
    front.stop()


def _registration(os_cloud: str | None) -> Callable[[str], str] | None:
    """How the host is registered the first time: with the administrator's cloud, where one is named."""
    if os_cloud is None and not os.environ.get("OS_CLOUD") and not os.environ.get("OS_AUTH_URL"):
        return None

    def register(name: str) -> str:
        session = Session(clouds.find(os_cloud, os.environ))
        return str(session.ask("moorage", "POST", "/hosts", {"host": {"name": name}})["host"]["secret"])

    return register
