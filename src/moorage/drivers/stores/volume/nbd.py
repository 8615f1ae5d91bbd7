"""
An NBD connection that many threads share: requests are sent as they come, a thread of its own takes the answers.

It speaks to one export and asks for nothing but simple replies. Whoever waits for an answer is told when the server is
gone or has been silent for too long, and the connection is of no use from then on.
"""

import contextlib
import itertools
import socket
import struct
import threading
from dataclasses import dataclass, field

GREETING = struct.Struct(">8s8sH")
OPTION = struct.Struct(">8sII")
OPTION_REPLY = struct.Struct(">QIII")
OPTION_MAGIC, REPLY_MAGIC, REQUEST_MAGIC = 0x3E889045565A9, 0x67446698, 0x25609513
REQUEST = struct.Struct(">IHHQQI")
REPLY = struct.Struct(">IIQ")
CLIENT_FLAGS = 3  #: fixed newstyle, no zeroes
OPTION_GO, ACK, INFO, INFO_EXPORT = 7, 1, 3, 0
READ, WRITE, DISCONNECT, FLUSH, ZERO = 0, 1, 2, 3, 6
READ_ONLY, CAN_FLUSH, CAN_ZERO = 1 << 1, 1 << 2, 1 << 6
LONGEST_OPTION_BYTES = 1 << 20
SILENCE_S = 60.0  #: how long one answer may take


class Broken(Exception):
    """The server is gone, was silent, or said what it should not."""


class Failed(Exception):
    """The server answered a request with an error number, which is the argument."""


@dataclass
class Pending:
    """A request under way."""

    connection: "Connection"
    length: int = 0  #: bytes that the answer carries
    data: bytearray = field(default_factory=bytearray, repr=False)
    error: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    broken: str = ""

    def result(self) -> bytearray:
        """What was read, once it is there; nothing for other requests."""
        if not self.over.wait(SILENCE_S):
            self.connection.abort(f"it was silent for {SILENCE_S:.0f} s")
        if self.broken:
            raise Broken(self.broken)
        if self.error:
            raise Failed(self.error)
        return self.data


class Connection:
    """An export that is open. `close` may be called by anybody, twice too."""

    def __init__(self, peer: socket.socket, export: str) -> None:
        self._socket = peer
        self._sending, self._guard = threading.Lock(), threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._handles = itertools.count(1)
        self._broken = ""
        try:
            peer.settimeout(SILENCE_S)
            self.size, self._flags = self._negotiate(export.encode())
            peer.settimeout(None)
            seconds = struct.pack("ll", int(SILENCE_S), 0)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        except BaseException as problem:
            peer.close()
            if isinstance(problem, OSError):
                raise Broken(str(problem) or type(problem).__name__) from None
            raise
        threading.Thread(target=self._receive, name="nbd", daemon=True).start()

    @property
    def read_only(self) -> bool:
        """Whether the server refuses writes."""
        return bool(self._flags & READ_ONLY)

    @property
    def usable(self) -> bool:
        """Whether requests have a chance."""
        return not self._broken

    def read(self, offset: int, length: int) -> Pending:
        """Ask for `length` bytes."""
        return self._ask(READ, offset, length)

    def write(self, offset: int, data: bytes | memoryview) -> Pending:
        """Have `data` written."""
        return self._ask(WRITE, offset, len(data), data)

    def zero(self, offset: int, length: int) -> Pending:
        """Have nothing but zeros there."""
        if not self._flags & CAN_ZERO:
            return self.write(offset, bytes(length))
        return self._ask(ZERO, offset, length)

    def flush(self) -> None:
        """All that was confirmed is durable."""
        if self._flags & CAN_FLUSH:
            self._ask(FLUSH, 0, 0).result()

    def close(self) -> None:
        """Say goodbye. What is under way is not waited for."""
        with contextlib.suppress(OSError, Broken):
            self._ask(DISCONNECT, 0, 0)
        self.abort("it was closed")

    def abort(self, why: str) -> None:
        """Hang up; whoever waits hears why."""
        self._broken = self._broken or why
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._guard:
            left, self._pending = list(self._pending.values()), {}
        for pending in left:
            pending.broken = self._broken
            pending.over.set()

    def _ask(self, kind: int, offset: int, length: int, payload: bytes | memoryview = b"") -> Pending:
        pending, handle = Pending(self, length if kind == READ else 0), next(self._handles)
        with self._guard:
            if self._broken:
                raise Broken(self._broken)
            self._pending[handle] = pending
        try:
            with self._sending:
                self._socket.sendall(REQUEST.pack(REQUEST_MAGIC, 0, kind, handle, offset, length))
                if payload:
                    self._socket.sendall(payload)
        except OSError as problem:
            self.abort(problem.strerror or type(problem).__name__)
            raise Broken(self._broken) from None
        return pending

    def _receive(self) -> None:
        why = "it hung up"
        try:
            while True:
                magic, error, handle = REPLY.unpack(self._take(REPLY.size))
                with self._guard:
                    pending = self._pending.pop(handle, None)
                if magic != REPLY_MAGIC or pending is None:
                    why = "it does not speak NBD"
                    break
                pending.error = error
                try:
                    if pending.length and not error:
                        pending.data = self._take(pending.length)
                except OSError:
                    pending.broken = why
                    raise
                finally:
                    pending.over.set()
        except OSError:
            pass
        finally:
            self.abort(why)
            self._socket.close()

    def _negotiate(self, export: bytes) -> tuple[int, int]:
        magic, option_magic, _ = GREETING.unpack(self._take(GREETING.size))
        if (magic, option_magic) != (b"NBDMAGIC", b"IHAVEOPT"):
            raise Broken("it does not speak NBD")
        wish = struct.pack(">I", len(export)) + export + struct.pack(">H", 0)
        self._socket.sendall(struct.pack(">I", CLIENT_FLAGS))
        self._socket.sendall(OPTION.pack(b"IHAVEOPT", OPTION_GO, len(wish)) + wish)
        found: tuple[int, int] | None = None
        while True:
            magic_number, _, kind, length = OPTION_REPLY.unpack(self._take(OPTION_REPLY.size))
            if magic_number != OPTION_MAGIC or length > LONGEST_OPTION_BYTES:
                raise Broken("it does not speak NBD")
            told = self._take(length)
            if kind == ACK and found is not None:
                return found
            if kind == INFO and len(told) == 12 and struct.unpack_from(">H", told)[0] == INFO_EXPORT:
                found = struct.unpack_from(">QH", told, 2)
            elif kind != INFO:
                raise Broken(f"it refuses the export ({kind:#x})")

    def _take(self, length: int) -> bytearray:
        data = bytearray(length)
        view = memoryview(data)
        got = 0
        while got < length:
            count = self._socket.recv_into(view[got:])
            if not count:
                raise ConnectionResetError("it hung up")
            got += count
        return data
