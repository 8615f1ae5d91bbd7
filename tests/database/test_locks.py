"""Locks between threads and processes: fair, alone, and succeeded when their holder is stopped."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.core.pids import flock_holder
from moorage.database import Database
from moorage.database.locks import FileLock, Queue
from tests.operations.crash import wait_stopped
from tests.patience import until

COUNT = """
import sys, pathlib
from moorage.database.locks import FileLock
lock, number = FileLock(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[3])):
    with lock.held():
        number.write_text(str(int(number.read_text()) + 1))
"""
HOLD = """
import sys, time, pathlib
from moorage.database.locks import FileLock
with FileLock(pathlib.Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(60)
"""


def test_threads_are_served_in_the_order_in_which_they_came() -> None:
    queue, order = Queue(), []
    threads = [threading.Thread(target=lambda n=n: _enter(queue, order, n)) for n in range(8)]
    with queue:
        for n, thread in enumerate(threads):
            thread.start()
            until(lambda n=n: len(queue._waiting) > n)
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def _enter(queue: Queue, order: list[int], n: int) -> None:
    with queue:
        order.append(n)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT is heard, even where whoever started the tests has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_who_is_interrupted_while_waiting_leaves_the_queue() -> None:
    queue, main = Queue(), threading.get_ident()

    def interrupt() -> None:
        until(lambda: queue._waiting)
        time.sleep(0.1)  # and it waits by then
        signal.pthread_kill(main, signal.SIGINT)

    with queue, pytest.raises(KeyboardInterrupt):
        threading.Thread(target=interrupt).start()
        with queue:
            pass
    with queue:
        pass


def test_processes_take_turns(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    script = [sys.executable, "-c", COUNT, str(tmp_path / "lock"), str(number), "200"]
    children = [subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for child in children:
        assert child.stdout is not None and child.stdout.readline()
    for child in children:
        child.communicate("\n", timeout=60)
        assert child.returncode == 0
    assert number.read_text() == "600"


def test_a_stopped_holder_is_killed_when_patience_ends(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline()
    taken = threading.Event()

    def take() -> None:
        with FileLock(tmp_path / "lock", patience_s=0.5).held():
            taken.set()

    threading.Thread(target=take, daemon=True).start()
    assert not taken.wait(1.5) and child.poll() is None  # it is slow, not stopped
    child.send_signal(signal.SIGSTOP)
    wait_stopped(child.pid)
    assert taken.wait(60) and child.wait(60) == -signal.SIGKILL
    child.stdout.close()


def test_an_exception_between_the_two_gates_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FileLock(tmp_path / "lock")
    with monkeypatch.context() as patch:
        patch.setattr(lock._lock, "acquire", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError), lock.held():
            pass
    other = FileLock(tmp_path / "lock")
    with other.held():
        assert flock_holder(other._lock._fd) is not None
    assert flock_holder(other._lock._fd) is None


def test_a_stopped_process_does_not_hold_up_the_database(state_dir: Path) -> None:
    url = f"sqlite:///{state_dir}/moorage.db"
    script = (
        "import sys, os, signal\nfrom moorage.database import Database\n"
        "with Database(sys.argv[1]).write():\n    os.kill(os.getpid(), signal.SIGSTOP)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, url])
    wait_stopped(child.pid)
    with Database(url, patience_s=0.3).write() as tx:
        assert tx.now
    assert child.wait(60) == -signal.SIGKILL
