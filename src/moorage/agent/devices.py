"""
The devices of an agent: each is made of an address that its caller was given, and ends with its door.

A lease that could not be renewed does not mean that the device was fenced: perhaps there is nobody to renew it with,
and nobody who fences.  So the agent looks whether its door still answers, and takes the device away where it does not.
"""

import contextlib
import logging
import mmap
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moorage.core.errors import Problem, Refused
from moorage.core.ids import is_uuid
from moorage.hosts.devices import Device, Devices

log = logging.getLogger(__name__)

AGAIN_S = 1.0  #: how soon a device whose lease is not renewed is looked at again
BLOCK = 4096


def now() -> float:
    """Seconds, also those that the machine has slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeasedDevices:
    """The devices of this host, and until when each may be kept."""

    def __init__(self, devices: Devices, keys: Path) -> None:
        self._devices, self._keys = devices, keys
        self._made: Callable[[], None] = lambda: None
        self._until: dict[str, float] = {}
        self._looking: set[str] = set()
        self._guard = threading.Lock()

    def on_new(self, made: Callable[[], None]) -> None:
        """Call `made` whenever a device was made."""
        self._made = made

    def connect(self, attachment: str, asked: Mapping[str, Any]) -> Device:
        """Give the attachment a device; its lease, if it has one, has just begun."""
        uri, term_s = str(asked.get("uri", "")), asked.get("term_s")
        if not is_uuid(attachment) or not uri.startswith(("nbds://", "nbd+unix://")) or "?" in uri.partition("+")[0]:
            raise Refused(reason="A device needs the id of an attachment, and the address that its update answered.")
        began = now()
        with self._key(attachment, asked) as key:
            address = f"{uri}?tls-psk-file={quote(str(key))}" if key is not None else uri
            device = self._devices.connect(attachment, address, read_only=asked.get("read_only") is True)
        if isinstance(term_s, int) and term_s > 0:
            with self._guard:
                self._until[attachment] = began + term_s
        self._made()
        return device

    @contextlib.contextmanager
    def _key(self, attachment: str, asked: Mapping[str, Any]) -> Any:
        """A file with the attachment's TLS key, as long as it takes to connect."""
        identity, secret = str(asked.get("tls_psk_identity", "")), str(asked.get("tls_psk", ""))
        if not secret:
            yield None
            return
        if not is_uuid(identity) or not secret.isascii() or not secret.isalnum() or len(secret) > 1024:
            raise Refused(reason="That is no TLS key of an attachment.")
        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._keys / attachment
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                file.write(f"{identity}:{secret}\n")
            yield path
        finally:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def disconnect(self, attachment: str, *, flush: bool) -> None:
        """Leave nothing of the device; what was written to it is durable first, where that can be."""
        if not is_uuid(attachment):
            raise Refused(reason="That is no id of an attachment.")
        if flush:
            try:
                self._devices.flush(attachment)
            except Problem as problem:
                log.warning("%s", problem.sentence)
        self._devices.disconnect(attachment)
        with self._guard:
            self._until.pop(attachment, None)

    def present(self) -> dict[str, dict[str, Any]]:
        """Every device of this host, as it is told of."""
        return {id: asdict(device) for id, device in self._devices.present().items()}

    def obstacles(self) -> list[str]:
        """Why this host cannot make devices; none where it can."""
        return self._devices.obstacles()

    def renewed(self, sent: float, terms: Mapping[str, int]) -> None:
        """What was `sent` then was heard: these leases go on for their terms from then."""
        with self._guard:
            for id, term_s in terms.items():
                self._until[id] = max(self._until.get(id, 0.0), sent + term_s)

    def look_at_unrenewed(self) -> None:
        """Take the devices away whose leases could not be renewed in time and whose doors have been closed."""
        with self._guard:
            late = [id for id, until in self._until.items() if until <= now() and id not in self._looking]
            self._looking.update(late)
        for id in late:
            threading.Thread(target=self._look_at, args=(id,), name="agent-look", daemon=True).start()

    def _look_at(self, attachment: str) -> None:
        """On a thread of its own: what is read from a door that nobody answers at may hang."""
        try:
            device = self._devices.present().get(attachment)
            if device is None or not device.alive or not answers(device.path):
                log.error("attachment %s has been fenced: its device is taken away", attachment)
                self.disconnect(attachment, flush=False)
        except Exception:
            log.exception("the device of attachment %s could not be looked at", attachment)
        finally:
            with self._guard:
                self._looking.discard(attachment)
                if attachment in self._until:
                    self._until[attachment] = max(self._until[attachment], now() + AGAIN_S)


def answers(path: str) -> bool:
    """Whether a block can be read from the device, past every cache."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with mmap.mmap(-1, BLOCK) as block:  # aligned, as direct reads have to be
            return os.preadv(fd, [block], 0) == BLOCK
    except OSError:
        return False
    finally:
        os.close(fd)
