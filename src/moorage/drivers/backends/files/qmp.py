"""
A conversation with a storage daemon: JSON lines over its private socket, one connection for one action.

A daemon that says nothing for some seconds counts as silent, one that nobody can connect to as gone.

Each byte that a daemon is told costs it 3 to 4 us, since QEMU reads its monitor one by one: who can do without a
question does without it.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

PATIENCE_S = 5.0
ANSWER_LIMIT_BYTES = 16 << 20
RESET = b"\xff"  #: no JSON has this byte: the daemon drops what it had read of an unfinished command


class Silent(Exception):
    """The daemon does not answer."""


class Gone(Exception):
    """Nobody listens, or the daemon hung up."""


class Refusal(Exception):
    """The daemon says no; its words are the message."""


@dataclass(frozen=True)
class Hurry:
    """What is done, again and again, while the daemon is kept from what it was asked for."""

    every_s: float
    act: Callable[[], None]


NO_HURRY = Hurry(float("inf"), lambda: None)


class Monitor:
    """An open conversation. Closes with its `with` block."""

    def __init__(self, path: Path, patience_s: float = PATIENCE_S, hurry: Hurry = NO_HURRY) -> None:
        self._patience_s, self.hurry = patience_s, hurry
        self._pending, self._asked = b"", 0
        self._events: list[dict[str, Any]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._connect(path)
        except BaseException:
            self._socket.close()
            raise

    def _connect(self, path: Path) -> None:
        self._socket.settimeout(self._patience_s)
        try:
            self._socket.connect(str(path))
        except (TimeoutError, BlockingIOError) as error:  # the latter where its queue is full
            raise Silent from error
        except (ConnectionError, FileNotFoundError) as error:
            raise Gone from error
        self._receive(time.monotonic() + self._patience_s)
        self._put(RESET)  # whoever was killed in the middle of a conversation may have left the parser half-way
        try:
            self.ask("qmp_capabilities")
        except Refusal as error:  # seen of a daemon that was just starting: it had lost a letter of the command
            raise Gone from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        """What the daemon returns for `command`; underscores in names stand for hyphens, in commands they stay."""
        self._asked += 1
        message: dict[str, Any] = {"execute": command, "id": self._asked}
        if arguments:
            message["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._put(msgspec.json.encode(message) + b"\n")
        deadline = time.monotonic() + self._patience_s
        while True:
            message = self._hurried(deadline)
            if "event" in message:
                self._events.append(message)
            elif message.get("id") != self._asked:
                continue  # what it says of the reset, or of somebody's half sentence
            elif "return" in message:
                return message["return"]
            else:
                raise Refusal(message["error"]["desc"])

    def _hurried(self, deadline: float) -> dict[str, Any]:
        while True:
            try:
                return self._receive(min(deadline, time.monotonic() + self.hurry.every_s))
            except Silent:
                if time.monotonic() >= deadline:
                    raise
            self.hurry.act()

    def forget(self, event: str, **data: Any) -> None:
        """What has come of `event` with at least `data` was about something else."""
        self._events = [message for message in self._events if not _matches(message, event, data)]

    def wait(self, event: str, patience_s: float, **data: Any) -> bool:
        """Whether `event` with at least `data` has come, waiting for it at most `patience_s`."""
        deadline = time.monotonic() + patience_s
        while True:
            for message in self._events:
                if _matches(message, event, data):
                    self._events.remove(message)
                    return True
            try:
                self._events.append(self._receive(deadline))
            except Silent:
                return False

    def _put(self, text: bytes) -> None:
        self._socket.settimeout(self._patience_s)
        try:
            self._socket.sendall(text)
        except TimeoutError as error:
            raise Silent from error
        except ConnectionError as error:
            raise Gone from error

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._pending:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                chunk = self._socket.recv(65536)
            except TimeoutError as error:
                raise Silent from error
            except ConnectionError as error:
                raise Gone from error
            if not chunk or len(self._pending) > ANSWER_LIMIT_BYTES:
                raise Gone
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, Any] = msgspec.json.decode(line)
        return message


def _matches(message: dict[str, Any], event: str, data: dict[str, Any]) -> bool:
    return message.get("event") == event and data.items() <= message.get("data", {}).items()
