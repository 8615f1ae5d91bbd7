"""A small NBD client: enough to flush an export of our own, and to see that a gate is open."""

import socket
import struct
from pathlib import Path
from typing import Self

GREETING = struct.Struct(">8s8sH")
OPTION = struct.Struct(">8sII")
OPTION_REPLY = struct.Struct(">8sIIi")
REQUEST = struct.Struct(">IHHQQI")
REPLY = struct.Struct(">IIQ")
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
OPTION_GO, REPLY_ACK, REPLY_INFO = 7, 1, 3
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
FRAME_LIMIT_BYTES = 1 << 20


class Broken(Exception):
    """The server hung up, was silent, or said what it should not."""


class Failed(Exception):
    """The server answered a request with the error number that is the argument."""


class Client:
    """A connection to one export. Closes with its `with` block."""

    def __init__(self, path: Path, export: str, patience_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(patience_s)
        try:
            self._socket.connect(str(path))
            self._negotiate(export.encode())
        except OSError as error:
            self._socket.close()
            raise Broken(str(error)) from error
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _negotiate(self, export: bytes) -> None:
        magic, option_magic, _ = GREETING.unpack(self._take(GREETING.size))
        if (magic, option_magic) != (b"NBDMAGIC", b"IHAVEOPT"):
            raise Broken("it does not speak NBD")
        wish = struct.pack(">I", len(export)) + export + struct.pack(">H", 0)
        self._socket.sendall(struct.pack(">I", FIXED_NEWSTYLE | NO_ZEROES))
        self._socket.sendall(OPTION.pack(b"IHAVEOPT", OPTION_GO, len(wish)) + wish)
        while True:
            _, _, kind, length = OPTION_REPLY.unpack(self._take(OPTION_REPLY.size))
            if not 0 <= length <= FRAME_LIMIT_BYTES:
                raise Broken("it answers at too great length")
            self._take(length)
            if kind == REPLY_ACK:
                return
            if kind != REPLY_INFO:
                raise Broken(f"it refuses the export ({kind & 0xFFFFFFFF:#x})")

    def request(self, kind: int, offset: int = 0, length: int = 0, payload: bytes = b"") -> bytes:
        """What a READ returns; nothing for WRITE and FLUSH, once the server has confirmed them."""
        try:
            self._socket.sendall(REQUEST.pack(0x25609513, 0, kind, 1, offset, length or len(payload)) + payload)
            _, failure, _ = REPLY.unpack(self._take(REPLY.size))
            if failure:
                raise Failed(failure)
            return self._take(length) if kind == READ else b""
        except OSError as error:
            raise Broken(str(error)) from error

    def _take(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            chunk = self._socket.recv(length - len(parts))
            if not chunk:
                raise Broken("it hung up")
            parts += chunk
        return bytes(parts)


def greets(family: socket.AddressFamily, address: object, patience_s: float) -> bool:
    """Whether an NBD server at `address` says who it is."""
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(patience_s)
        try:
            probe.connect(address)  # type: ignore[arg-type]
            return probe.recv(8) == b"NBDMAGIC"
        except OSError:
            return False
