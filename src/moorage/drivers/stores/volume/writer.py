"""
A volume being written: as large as the object where that is known, doubled whenever it is full where not.

Blocks of zeros are left out where a new volume reads as zeros, which ours do.
"""

import contextlib
import errno
from collections import deque
from collections.abc import Callable, Iterator

from moorage.drivers.stores.volume import nbd
from moorage.drivers.stores.volume.holding import Holding
from moorage.drivers.stores.volume.pool import Pool
from moorage.drivers.stores.volume.service import BlockStorage
from moorage.images.store import StoreFull, StoreUnavailable, Writer

GIB = 1 << 30
PIECE_BYTES = 1 << 20
HOLE_BYTES = 64 << 10
_ZEROS = bytes(HOLE_BYTES)
UNDER_WAY = 8  #: writes that were sent and not confirmed yet
GROWTH = 2
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class VolumeWriter(Writer):
    """The volume `id`, open to this writer alone."""

    def __init__(
        self,
        store: str,
        service: BlockStorage,
        pool: Pool,
        id: str,
        size_gib: int,
        finish: Callable[[str, int, int], None],
    ) -> None:
        """`finish(id, size, size_gib)` makes the closed volume what the store's name stands for."""
        self._store, self._service, self._pool, self.id, self._finish = store, service, pool, id, finish
        self._size_gib, self._size = size_gib, 0
        self._left = bytearray()
        self._pending: deque[nbd.Pending] = deque()
        self._holding: Holding | None = pool.take(id, "rw")
        self._committed = self._aborted = False

    def write(self, chunk: bytes) -> None:
        if not self._left and len(chunk) >= PIECE_BYTES:
            whole = len(chunk) - len(chunk) % PIECE_BYTES
            self._put(memoryview(chunk)[:whole])
            self._left += memoryview(chunk)[whole:]
            return
        self._left += chunk
        if len(self._left) >= PIECE_BYTES:
            whole = len(self._left) - len(self._left) % PIECE_BYTES
            ready, self._left = self._left[:whole], self._left[whole:]
            self._put(memoryview(ready))

    def commit(self) -> None:
        if self._committed:
            return
        if self._aborted or self._holding is None:
            raise StoreUnavailable(store=self._store, why="the object was given up")
        if self._left:
            self._put(memoryview(self._left))
            self._left = bytearray()
        self._close()
        self._finish(self.id, self._size, self._size_gib)
        self._committed = True

    def abort(self) -> None:
        if self._committed:
            return
        self._aborted = True
        holding, self._holding = self._holding, None
        if holding is not None:
            holding.close()
        self._service.delete(self.id)

    def __del__(self) -> None:
        if getattr(self, "_holding", None) is not None:
            with contextlib.suppress(Exception):
                self._holding.connection.abort("its writer is gone")  # type: ignore[union-attr]

    def _put(self, data: memoryview) -> None:
        """Send `data`, whose place is behind all that came before."""
        if self._size + len(data) > self._size_gib * GIB:
            self._grow(self._size + len(data))
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            with self._as_problems():
                for begin, end, solid in runs(piece, self._size):
                    self._send(piece[begin:end], self._size + begin, solid)
            self._size += len(piece)

    def _send(self, data: memoryview, offset: int, solid: bool) -> None:
        connection = self._connection()
        if not solid and self._service.ours:
            return
        pending = connection.write(offset, data) if solid else connection.zero(offset, len(data))
        self._pending.append(pending)
        while len(self._pending) > UNDER_WAY or (self._pending and self._pending[0].over.is_set()):
            self._pending.popleft().result()

    def _connection(self) -> nbd.Connection:
        if self._holding is None:
            raise nbd.Broken("the object was given up")
        return self._holding.connection

    def _drain(self) -> None:
        while self._pending:
            self._pending.popleft().result()

    def _close(self) -> None:
        """All that was written is durable, and the volume is nobody's."""
        holding = self._holding
        assert holding is not None
        with self._as_problems():
            self._drain()
            holding.connection.flush()
        holding.close()
        self._holding = None

    def _grow(self, needed: int) -> None:
        self._close()
        larger = max(self._size_gib * GROWTH, -(-needed // GIB))
        self._service.settled(self.id)
        self._service.extend(self.id, larger)
        self._size_gib = larger
        self._holding = self._pool.take(self.id, "rw")

    @contextlib.contextmanager
    def _as_problems(self) -> Iterator[None]:
        try:
            yield
        except nbd.Failed as problem:
            if problem.args[0] in NO_ROOM:
                raise StoreFull(store=self._store) from problem
            raise StoreUnavailable(store=self._store, why=f"its volume fails with error {problem}") from problem
        except nbd.Broken as problem:
            raise StoreUnavailable(store=self._store, why=str(problem)) from problem


def runs(piece: memoryview, offset: int) -> Iterator[tuple[int, int, bool]]:
    """The piece, which goes to `offset`, as stretches that are either solid or nothing but whole blocks of zeros."""
    begin, solid = 0, True
    first = -offset % HOLE_BYTES
    edges = [*range(first, len(piece), HOLE_BYTES), len(piece)]
    at = 0
    for edge in edges:
        if edge == at:
            continue
        here = edge - at < HOLE_BYTES or piece[at:edge] != _ZEROS
        if here != solid and at > begin:
            yield begin, at, solid
            begin = at
        solid, at = here, edge
    if at > begin:
        yield begin, at, solid
