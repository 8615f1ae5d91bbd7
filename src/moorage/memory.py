"""
Keep a serving process small, and quick where it makes many objects.

The C library gives each thread a pool of its own and lets go of little; ours are many and do little at once.
"""

import ctypes
import gc
from contextlib import suppress

_M_ARENA_MAX = -8
ARENAS = 2
YOUNG = 10_000  #: objects made before the youngest are looked through; a page of a list alone has some hundreds


def bound() -> None:
    """Share few pools among all threads. To be called before there are any."""
    with suppress(OSError, AttributeError):  # another C library than GNU's
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


def settle() -> None:
    """What was loaded at the start is never looked through again, and what the start alone needed is given back."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
