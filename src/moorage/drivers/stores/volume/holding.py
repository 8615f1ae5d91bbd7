"""An attachment of ours with the connection through it: taken, renewed, given back."""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from moorage.core.errors import Problem
from moorage.drivers.stores.volume import nbd
from moorage.drivers.stores.volume.register import Register
from moorage.drivers.stores.volume.service import BlockStorage

log = logging.getLogger(__name__)

Open = Callable[[Mapping[str, Any]], nbd.Connection]


class Holding:
    """One volume made usable for this process. `close` ends it; a process that dies leaves that to its lease."""

    def __init__(self, holder: "Holder", volume: str, mode: str, attachment: str, info: Mapping[str, Any]) -> None:
        self._holder, self.volume, self.mode, self.attachment = holder, volume, mode, attachment
        self.leased = "generation" in info  # only Moorage counts them, and only Moorage knows leases
        self.connection = holder.open(info)
        self._closing = threading.Lock()
        self._closed = False

    def renew(self) -> None:
        """Its lease has a full term again; what is not ours any more hangs up."""
        if not self.leased or self._closed:
            return
        try:
            self._holder.service.complete(self.attachment)
        except Problem as problem:
            log.warning("attachment %s of volume %s was not renewed: %s", self.attachment, self.volume, problem)

    def leave(self) -> None:
        """Hang up, and close where no lease does it: the process ends, and need not wait for what ends by itself."""
        self.connection.close()
        if not self.leased:
            self.close()

    def close(self) -> None:
        """The volume is this process's no more. Twice is fine."""
        with self._closing:
            if self._closed:
                return
            self.connection.close()
            self._holder.release(self.volume, self.attachment)
            self._closed = True


class Holder:
    """Takes attachments for this process."""

    def __init__(self, service: BlockStorage, open: Open, connector: Mapping[str, Any], register: Register) -> None:
        self.service, self.open, self._connector, self._register = service, open, connector, register

    def take(self, volume: str, mode: str) -> Holding:
        """The volume, open in `mode`. Whatever goes wrong on the way leaves no attachment."""
        self._register.intend(volume)
        attachment, info = self._attached(volume, mode)
        try:
            info = info if info is not None else self.service.connect(attachment, self._connector)
            holding = Holding(self, volume, mode, attachment, info)
        except BaseException:
            self._let_go(volume, attachment)
            raise
        try:
            self.service.complete(attachment)
        except BaseException:
            holding.connection.close()
            self._let_go(volume, attachment)
            raise
        return holding

    def release(self, volume: str, attachment: str) -> None:
        """The attachment is over."""
        self.service.detach(attachment)
        self._register.strike(volume, attachment)

    def _attached(self, volume: str, mode: str) -> tuple[str, Mapping[str, Any] | None]:
        """
        A new attachment. Our own Block Storage opens it at once or leaves nothing; another one might leave one reserved
        whose id nobody has learnt.
        """
        if self.service.ours:
            return self.service.attach(volume, mode, self._connector)
        attachment = self.service.reserve(volume, mode)
        self._register.note(volume, attachment)
        return attachment, None

    def _let_go(self, volume: str, attachment: str) -> None:
        with contextlib.suppress(Problem):
            self.release(volume, attachment)
