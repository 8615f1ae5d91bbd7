"""Have the kernel begin to write a file to the disk while more of it is still coming, so that its end does not wait."""

import ctypes
from collections.abc import Callable
from functools import cache

STEP_BYTES = 8 << 20
_WRITE = 2  #: SYNC_FILE_RANGE_WRITE: begin, wait for nothing; errors stay for the fsync to find


@cache
def _sync_file_range() -> Callable[..., int] | None:
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


def begin_writeback(fd: int, offset: int, length: int) -> None:
    """Tell the kernel; where it cannot be told, nothing is lost but time."""
    function = _sync_file_range()
    if function is not None:
        function(fd, offset, length, _WRITE)
