"""The host lock: one process at a time, its helpers included; who hangs is succeeded, who lives is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from moorage.core import pids
from moorage.database import Database
from moorage.operations import process
from moorage.operations.host_lock import HostLock
from moorage.operations.journal import SECOND
from moorage.operations.process import Process
from moorage.operations.records import processes
from tests.operations.crash import wait_stopped
from tests.patience import until

HOLD = """
import sys, time, pathlib, subprocess
from moorage.operations.host_lock import HostLock
lock = HostLock(pathlib.Path(sys.argv[1]))
assert lock.acquire()
if sys.argv[2:] == ["helper"]:
    helper = subprocess.Popen(["sleep", "60"], pass_fds=[lock.fileno()])
    print(helper.pid, flush=True)
elif sys.argv[2:] == ["daemon"]:
    daemon = subprocess.Popen(["sleep", "60"])
    print(daemon.pid, flush=True)
else:
    print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(state_dir: Path) -> Any:
    """Start a process that holds the lock; what it said first."""
    started: list[subprocess.Popen[str]] = []

    def hold(*how: str) -> tuple[subprocess.Popen[str], str]:
        script = [sys.executable, "-c", HOLD, str(state_dir / "host.lock"), *how]
        child = subprocess.Popen(script, stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield hold
    for child in started:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def listed(database: Database, pid: int, silent_s: float = 0.0) -> None:
    """Enter the process in the list of those alive, last heard of some time ago."""
    with database.write() as tx:
        who = Process(str(pid), "here", pid, pids.started(pid) or "", process.boot_id(), "host")
        process.register(tx, who, [])
        heard = tx.now - int(silent_s * SECOND)
        tx.run(update(processes).where(processes.c.id == who.id).values(heartbeat_at=heard))


def test_one_process_has_it_and_says_who_it_is(state_dir: Path, holder: Any) -> None:
    child, _ = holder()
    lock = HostLock(state_dir / "host.lock")
    assert not lock.try_acquire() and not lock.held
    found = lock.holder()
    assert found is not None and (found.pid, found.started) == (child.pid, pids.started(child.pid))
    assert f"Process {child.pid} looks after this host" in str(lock.why_not())
    child.kill()
    child.wait()
    assert lock.acquire(timeout_s=60) and lock.why_not() is None
    assert lock.holder() is not None and lock.holder().pid == os.getpid()  # type: ignore[union-attr]
    lock.release()
    assert lock.holder() is None and lock.why_not() is None


def test_it_is_not_free_before_the_helpers_have_ended(state_dir: Path, holder: Any) -> None:
    child, helper = holder("helper")
    lock = HostLock(state_dir / "host.lock")
    child.kill()
    child.wait()
    assert not lock.try_acquire() and "short helper" in str(lock.why_not())
    os.kill(int(helper), signal.SIGKILL)
    assert lock.acquire(timeout_s=60)
    lock.release()


def test_daemons_do_not_hold_it(state_dir: Path, holder: Any) -> None:
    child, daemon = holder("daemon")
    child.kill()
    child.wait()
    lock = HostLock(state_dir / "host.lock")
    assert lock.acquire(timeout_s=60)
    lock.release()
    os.kill(int(daemon), signal.SIGKILL)


def test_a_stopped_holder_is_killed_once_it_was_silent_for_a_lease(
    state_dir: Path, database: Database, holder: Any
) -> None:
    child, _ = holder()
    listed(database, child.pid)
    lock = HostLock(state_dir / "host.lock", database, lease_s=5.0)
    child.send_signal(signal.SIGSTOP)
    wait_stopped(child.pid)
    assert not lock.acquire(timeout_s=0.3) and child.poll() is None and "will be succeeded" in str(lock.why_not())
    with database.write() as tx:
        tx.run(update(processes).values(heartbeat_at=tx.now - 6 * SECOND))
    assert lock.acquire(timeout_s=60) and child.wait(60) == -signal.SIGKILL
    lock.release()


def test_one_that_runs_is_killed_only_after_a_lease_before_our_eyes(
    state_dir: Path, database: Database, holder: Any
) -> None:
    """A clock that was set makes all heartbeats look old; the next ones come soon."""
    child, _ = holder()
    listed(database, child.pid, silent_s=3600)
    lock = HostLock(state_dir / "host.lock", database, lease_s=4.0)
    assert not lock.acquire(timeout_s=0.4) and child.poll() is None
    with database.write() as tx:
        tx.run(update(processes).values(heartbeat_at=tx.now))
    assert not lock.acquire(timeout_s=0.3) and child.poll() is None
    with database.write() as tx:
        tx.run(update(processes).values(heartbeat_at=tx.now - 3600 * SECOND))
    assert lock.acquire(timeout_s=60) and child.wait(60) == -signal.SIGKILL
    lock.release()


def test_without_a_database_nobody_is_killed(state_dir: Path, holder: Any) -> None:
    child, _ = holder()
    child.send_signal(signal.SIGSTOP)
    assert not HostLock(state_dir / "host.lock", lease_s=0.0).acquire(timeout_s=0.3) and child.poll() is None


def test_a_file_that_names_somebody_else_kills_nobody(state_dir: Path, database: Database, holder: Any) -> None:
    child, _ = holder()
    innocent = subprocess.Popen(["sleep", "60"])
    path = state_dir / "host.lock"
    said = path.read_text().replace(str(child.pid), str(innocent.pid))
    path.write_text(said.replace(str(pids.started(child.pid)), str(pids.started(innocent.pid))))
    listed(database, innocent.pid, silent_s=3600)
    innocent.send_signal(signal.SIGSTOP)
    assert not HostLock(path, database, lease_s=0.0).acquire(timeout_s=0.3)
    assert innocent.poll() is None and child.poll() is None
    innocent.kill()
    innocent.wait()


def test_without_permission_it_waits_and_says_so(
    state_dir: Path, database: Database, holder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, _ = holder()
    listed(database, child.pid, silent_s=3600)
    child.send_signal(signal.SIGSTOP)
    wait_stopped(child.pid)
    # As if it were another user's process; what the kernel says to that is the next test, which needs root.
    monkeypatch.setattr("moorage.operations.host_lock.kill", lambda pid, start: False)
    lock = HostLock(state_dir / "host.lock", database, lease_s=0.1)
    assert not lock.acquire(timeout_s=0.3) and child.poll() is None
    assert f"kill -KILL {child.pid}" in str(lock.why_not())


@pytest.mark.root
def test_killing_without_permission_says_no() -> None:
    child = subprocess.Popen(["sleep", "60"])
    start = str(pids.started(child.pid))
    if (other := os.fork()) == 0:
        os.setuid(65534)
        os._exit(7 if pids.kill(child.pid, start) is False else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) == 7 and child.poll() is None
    child.kill()
    child.wait()


def test_killing_needs_the_start_time_to_match() -> None:
    child = subprocess.Popen(["sleep", "60"])
    assert pids.kill(child.pid, "1") and child.poll() is None
    assert pids.kill(child.pid, str(pids.started(child.pid))) and child.wait(60) == -signal.SIGKILL
    until(lambda: pids.started(child.pid) is None)
