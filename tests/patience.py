"""Waiting for what comes about by itself, as long as a busy machine may take for it and no longer."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PAUSE_S = 0.01


def eventually(holds: Callable[[], Any], patience_s: float = 60.0) -> bool:
    """Whether it comes true."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_S)
    return True


def until(holds: Callable[[], Any], patience_s: float = 60.0, what: str = "it never came to that") -> None:
    """Return when it is true; the test fails where it does not become so."""
    assert eventually(holds, patience_s), what


@contextmanager
def set_in_the_end(*events: threading.Event) -> Iterator[None]:
    """Whoever goes on until one of the events is set does not go on for ever, whatever fails within the block."""
    try:
        yield
    finally:
        for event in events:
            event.set()
