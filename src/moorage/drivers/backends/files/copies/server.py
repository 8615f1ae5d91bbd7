"""
A program: serves one copy by NBD, read-only, to the storage daemons of volumes that lie on it.

It is started with everything that it needs already open: the copy's file and book, a socket for daemons and one for
whoever fetches.  What is there it reads; what is not there it asks for, over the latter, once for all who wait, and
waits until the book says that it has come, as one waits for a slow disk: it asks again for what did not come, as long
as anybody wants it.  It writes nothing and knows no store.  Where the operator wants readers to have an end of waiting,
they get an error then, and never a wrong byte; so do those of a daemon that whoever fetches wants to be let go, for it
is to close a door.  It uses nothing but Python's own library, in one module, so that it is small; the rights that it is
started with are gone before it says a word.
"""

import mmap
import os
import queue
import resource
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence

CHUNK = 4 << 20
PAGE = 4096
LONGEST = 32 << 20
EXPIRE_S = 1.0
SILENT_S = 10.0  # a fetcher that says nothing for so long is stopped, whatever its connection looks like
EIO, EPERM, EINVAL, EOVERFLOW = 5, 1, 22, 75
OPTION = struct.Struct(">8sII")
REPLY = struct.Struct(">8sIII")
REQUEST = struct.Struct(">IHHQQI")
ANSWER = struct.Struct(">IIQ")
NUMBER = struct.Struct(">I")
PULSE = 0xFFFFFFFF  # no chunk: what a fetcher says when there is nothing to say
LET_GO = 0xFFFFFFFE  # no chunk either: the next number is the pid of the daemon whose reads are to wait no longer
SAID = struct.Struct(">IB")
PEER = struct.Struct("3i")
FLAGS = 1 | 2 | 4 | 256  # has flags, read-only, flush, several connections see the same
EXPORT_NAME, ABORT, LIST, INFO, GO = 1, 2, 3, 6, 7
ACK, SERVER, INFO_REPLY, UNSUPPORTED, INVALID = 1, 2, 3, (1 << 31) + 1, (1 << 31) + 3
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3


class Bye(Exception):
    """The other side has hung up, or speaks no NBD."""


class Waiting:
    """A read that some chunks are missing for."""

    def __init__(self, client: "Client", handle: int, offset: int, length: int) -> None:
        self.client, self.handle, self.offset, self.length = client, handle, offset, length
        self.missing: set[int] = set()
        self.until = 0.0


class Copy:
    """The copy, and who waits for which chunk of it."""

    def __init__(self, data: int, book: int, size: int, patience_s: float, absence_s: float) -> None:
        self.data, self.size = data, size
        self.patience_s = patience_s  #: how long a read waits for somebody who fetches; 0: until he succeeds
        self.absence_s = absence_s  #: how long it waits while nobody does; 0: until somebody does
        self.book = mmap.mmap(book, 0, prot=mmap.PROT_READ)
        self.guard = threading.Lock()
        self.waiting: dict[int, list[Waiting]] = {}  #: by chunk
        self.fetcher: socket.socket | None = None
        self.heard, self.attended = 0.0, False  #: when the fetcher has said something last; whether he is well

    def missing(self, offset: int, length: int) -> set[int]:
        """The chunks of that range that are not there."""
        first, last = offset // CHUNK, (offset + length - 1) // CHUNK
        states = self.book[PAGE + first : PAGE + last + 1]
        return {first + n for n, state in enumerate(states) if not state} if 0 in states else set()

    def want(self, read: Waiting) -> None:
        """Have the read answered as soon as its chunks are there."""
        with self.guard:
            read.until = self.until()
            read.missing = self.missing(read.offset, read.length)
            asked = [chunk for chunk in read.missing if chunk not in self.waiting]
            for chunk in read.missing:
                self.waiting.setdefault(chunk, []).append(read)
            fetcher = self.fetcher
        if not read.missing:
            read.client.later.put((read, 0))
        elif fetcher is not None:
            self.ask(fetcher, asked)

    def ask(self, fetcher: socket.socket, chunks: Iterable[int]) -> None:
        """Ask for chunks; one who has hung up is no harm: the next is asked for everything that is waited for."""
        try:
            fetcher.sendall(b"".join(NUMBER.pack(chunk) for chunk in chunks))
        except OSError:
            pass

    def came(self, chunk: int, well: bool) -> None:
        """
        Answer those who waited for the chunk and for nothing else. If not `well`, ask again, where patience has no end;
        else answer all who waited for it.
        """
        with self.guard:
            again = self.fetcher if not well and not self.patience_s and chunk in self.waiting else None
            for read in () if again else self.waiting.pop(chunk, ()):
                read.missing.discard(chunk)
                if not well:
                    self.drop(read)
                if not read.missing or not well:
                    read.missing = set()
                    read.client.later.put((read, 0 if well else EIO))
        if again is not None:
            self.ask(again, (chunk,))

    def let_go(self, pid: int) -> None:
        """Have the reads of one daemon wait no longer."""
        with self.guard:
            for read in {id(r): r for reads in self.waiting.values() for r in reads if r.client.pid == pid}.values():
                self.drop(read)
                read.missing = set()
                read.client.later.put((read, EIO))

    def drop(self, read: Waiting) -> None:
        """Take a read off what else it waits for."""
        for chunk in read.missing:
            others = [other for other in self.waiting.get(chunk, ()) if other is not read]
            if others:
                self.waiting[chunk] = others
            else:
                self.waiting.pop(chunk, None)

    def until(self) -> float:
        """How long a read waits that begins to wait now."""
        return time.monotonic() + ((self.patience_s if self.attended else self.absence_s) or float("inf"))

    def attend(self) -> None:
        """Whenever somebody begins to fetch, or is gone, all who wait do so anew, as long as that is worth it."""
        attended = self.fetcher is not None and time.monotonic() < self.heard + SILENT_S
        if attended is not self.attended:
            self.attended = attended
            for reads in self.waiting.values():
                for read in reads:
                    read.until = self.until()

    def expire(self) -> None:
        """Answer reads that have waited too long; they see what the last one to come did not."""
        with self.guard:
            self.attend()
            now = time.monotonic()
            late = {id(r): r for reads in self.waiting.values() for r in reads if r.until < now}
            for read in late.values():
                self.drop(read)
                read.missing = set()
                read.client.later.put((read, EIO if self.missing(read.offset, read.length) else 0))

    def serve_fetcher(self, fetcher: socket.socket) -> None:
        """Speak with whoever fetches now, until he hangs up or another one comes."""
        with self.guard:
            before, self.fetcher, self.heard = self.fetcher, fetcher, time.monotonic()
            chunks = list(self.waiting)
        if before is not None:
            try:
                before.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.ask(fetcher, chunks)
        try:
            while True:
                chunk, well = SAID.unpack(take(fetcher, SAID.size))
                if self.fetcher is fetcher:
                    self.heard = time.monotonic()
                if chunk == LET_GO:
                    self.let_go(SAID.unpack(take(fetcher, SAID.size))[0])
                else:
                    self.came(chunk, bool(well))
        except (Bye, OSError):
            pass
        with self.guard:
            if self.fetcher is fetcher:
                self.fetcher = None
        fetcher.close()


def take(connection: socket.socket, length: int) -> bytes:
    """Exactly `length` bytes."""
    data = bytearray()
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise Bye
        data += part
    return bytes(data)


class Client:
    """One connection of a daemon: a thread reads its requests, another answers those that had to wait."""

    def __init__(self, copy: Copy, connection: socket.socket) -> None:
        self.copy, self.connection = copy, connection
        self.pid = PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))[0]
        self.later: queue.SimpleQueue[tuple[Waiting, int] | None] = queue.SimpleQueue()
        self.sending = threading.Lock()

    def run(self) -> None:
        """Serve until the daemon hangs up."""
        try:
            if self.negotiate():
                threading.Thread(target=self.answer_late, daemon=True).start()
                while self.request():
                    pass
        except (Bye, OSError, struct.error):
            pass
        finally:
            self.later.put(None)
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.connection.close()

    def negotiate(self) -> bool:
        """Come to an understanding; whether requests follow."""
        self.connection.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
        bare = take(self.connection, 4)[3] & 2
        while True:
            magic, option, length = OPTION.unpack(take(self.connection, OPTION.size))
            if magic != b"IHAVEOPT" or length > 65536:
                raise Bye
            data = take(self.connection, length)
            if option == EXPORT_NAME:
                about = struct.pack(">QH", self.copy.size, FLAGS)
                self.connection.sendall(about + (b"" if bare else bytes(124)))
                return True
            if option in (GO, INFO):
                if self.describe(option, data) and option == GO:
                    return True
            elif option == ABORT:
                self.reply(option, ACK)
                return False
            elif option == LIST:
                self.reply(option, SERVER, struct.pack(">I", 0))
                self.reply(option, ACK)
            else:
                self.reply(option, UNSUPPORTED)

    def describe(self, option: int, data: bytes) -> bool:
        """Say what is served, whatever name it is asked for by; whether the question made sense."""
        if len(data) < 6 or struct.unpack_from(">I", data)[0] > len(data) - 6:
            self.reply(option, INVALID)
            return False
        self.reply(option, INFO_REPLY, struct.pack(">HQH", 0, self.copy.size, FLAGS))
        self.reply(option, INFO_REPLY, struct.pack(">HIII", 3, 1, 4096, LONGEST))
        self.reply(option, ACK)
        return True

    def reply(self, option: int, kind: int, data: bytes = b"") -> None:
        """Answer an option."""
        self.connection.sendall(REPLY.pack(b"\x00\x03\xe8\x89\x04\x55\x65\xa9", option, kind, len(data)) + data)

    def request(self) -> bool:
        """Take one request; whether there may be more."""
        magic, _, kind, handle, offset, length = REQUEST.unpack(take(self.connection, REQUEST.size))
        if magic != 0x25609513 or kind == DISCONNECT:
            return False
        if kind == READ:
            self.read(handle, offset, length)
        elif kind == WRITE:
            if length > LONGEST:
                return False
            take(self.connection, length)
            self.answer(handle, EPERM)
        else:
            self.answer(handle, 0 if kind == FLUSH else EINVAL)
        return True

    def read(self, handle: int, offset: int, length: int) -> None:
        """Answer a read, now or when its chunks have come."""
        if not 0 < length <= LONGEST or offset + length > self.copy.size:
            self.answer(handle, EINVAL)
        elif self.copy.missing(offset, length):
            self.copy.want(Waiting(self, handle, offset, length))
        else:
            self.give(handle, offset, length)

    def answer_late(self) -> None:
        """Answer those that had to wait; where the daemon has gone, its other thread sees that as well."""
        try:
            while (entry := self.later.get()) is not None:
                read, error = entry
                if error:
                    self.answer(read.handle, error)
                else:
                    self.give(read.handle, read.offset, read.length)
        except OSError:
            pass

    def answer(self, handle: int, error: int) -> None:
        """Answer without data."""
        with self.sending:
            self.connection.sendall(ANSWER.pack(0x67446698, error, handle))

    def give(self, handle: int, offset: int, length: int) -> None:
        """Answer with data that is there."""
        data = os.pread(self.copy.data, length, offset)
        if len(data) != length:  # a disk that fails, or a file that somebody cut: zeros would be a lie
            self.answer(handle, EIO)
            return
        with self.sending:
            self.connection.sendall(ANSWER.pack(0x67446698, 0, handle) + data)


def accept(listener: socket.socket) -> socket.socket | None:
    """A new connection, unless it is gone already."""
    try:
        connection, _ = listener.accept()
    except OSError:
        return None
    connection.setblocking(True)
    return connection


def main(words: Sequence[str]) -> None:
    """Serve until somebody ends this process."""
    data, book, serves, asks, size, patience_s, absence_s, uid, gid = map(int, words[:9])  # the rest is for people
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    threading.stack_size(256 << 10)
    copy = Copy(data, book, size, patience_s, absence_s)
    takers: dict[socket.socket, Callable[[socket.socket], None]] = {
        socket.socket(fileno=serves): lambda connection: Client(copy, connection).run(),
        socket.socket(fileno=asks): copy.serve_fetcher,
    }
    while True:
        ready, _, _ = select.select(list(takers), [], [], EXPIRE_S)
        for listener in ready:
            connection = accept(listener)
            if connection is not None:
                threading.Thread(target=takers[listener], args=(connection,), daemon=True).start()
        copy.expire()


if __name__ == "__main__":
    main(sys.argv[1:])
