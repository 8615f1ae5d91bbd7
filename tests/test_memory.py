"""What keeps a serving process small takes hold, and harms nothing where it cannot."""

import ctypes
import subprocess
import sys
from typing import Any

import pytest

from moorage import memory

PROGRAM = """
import gc, threading
from moorage import memory
memory.bound()
threads = [threading.Thread(target=lambda: bytearray(200_000)) for _ in range(20)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
memory.settle()
print(gc.get_freeze_count() > 1000, gc.get_threshold()[0] == memory.YOUNG, gc.isenabled())
"""


def test_a_process_goes_on_with_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True"] * 3


def test_another_c_library_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> Any:
        raise OSError("there is none")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    memory.bound()
