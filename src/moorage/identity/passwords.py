"""
Passwords: argon2id, at most two at a time (19 MiB each), on threads of their own; nothing is remembered.

An unknown user costs as much as a known one, so that time does not tell who exists.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from moorage.identity.errors import TooManyLogins

T = TypeVar("T")

AT_ONCE = 2

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_slots = threading.BoundedSemaphore(AT_ONCE)
_pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")

#: What an unknown user's password is compared with. Nobody knows a password that fits.
_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$Nco4j+zq0fl6gGWYqXoF7g$PD6VfgWDrDfIcBdrYcNk+y2qMoKT4RFoLUXItQC1PUA"


def digest(password: str) -> str:
    """What is kept of `password`."""
    with _slots:
        return _hasher.hash(password)


def fits(kept: str | None, password: str) -> bool:
    """Whether `password` is the one that `kept` was made of; None fits none, and takes as long."""
    with _slots:
        try:
            return _hasher.verify(kept or _NOBODYS, password) and kept is not None
        except (Argon2Error, InvalidHashError):
            return False


class Turnstile:
    """The threads that passwords are worked on, with a bounded queue before them."""

    def __init__(self, waiting: int) -> None:
        self._places = threading.BoundedSemaphore(waiting + AT_ONCE)

    async def passed(self, work: Callable[[], T]) -> T:
        """What `work` returns, made on a thread for passwords; `TooManyLogins` when the queue is full."""
        if not self._places.acquire(blocking=False):
            raise TooManyLogins()
        future = _pool.submit(work)
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)
