"""The pace of work in the background: so many bytes a second, and an ear for what ends it."""

import time
from collections.abc import Callable

MIB = 1 << 20
LONGEST_NAP_S = 0.5  #: how long it hears nothing at most; and what it lags behind by more is not made up for


class Pace:
    """Keeps who calls `passed` at `rate_mib` MiB a second on the whole; 0 is as fast as it goes."""

    def __init__(
        self,
        rate_mib: int,
        check: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate_bytes, self._check, self._clock, self._sleep = rate_mib * MIB, check, clock, sleep
        self._due = clock()

    def passed(self, count: int) -> None:
        """Come back when more may pass; raises what ends the work."""
        self._check()
        if not self._rate_bytes:
            return
        self._due = max(self._due, self._clock() - LONGEST_NAP_S) + count / self._rate_bytes
        while (ahead := self._due - self._clock()) > 0:
            self._sleep(min(ahead, LONGEST_NAP_S))
            self._check()
