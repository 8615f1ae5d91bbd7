"""Running programs: helpers under limits that keep the host lock, daemons that outlive us or never begin."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moorage.core.errors import Conflict
from moorage.drivers import daemons
from moorage.drivers.backends.files.layers import MEMORY_LIMIT_BYTES
from moorage.drivers.processes import Identity
from moorage.drivers.programs import Account, Helpers, Pen, ProgramFailed, ProgramMissing, ProgramSlow
from tests.drivers.plane import arguments, running
from tests.patience import eventually

ROOM = 256 << 20


def run(*argv: str, time_limit_s: float = 10, lock: int | None = None) -> bytes:
    return Helpers(lock).run(argv, time_limit_s=time_limit_s, memory_limit_bytes=ROOM)


def named(word: str) -> list[int]:
    return [pid for pid in running() if word in arguments(pid)]


# helpers


def test_a_helper_returns_what_it_wrote() -> None:
    assert run("echo", "hello") == b"hello\n"


def test_a_helper_that_fails_says_why() -> None:
    with pytest.raises(ProgramFailed, match=r"ls failed: .*no-such-file"):
        run("ls", "/no-such-file")
    with pytest.raises(ProgramFailed, match="exit status 1"):
        run("false")


def test_a_missing_program_is_named_with_its_remedy() -> None:
    with pytest.raises(ProgramMissing, match="no-such-program is missing"):
        run("no-such-program")


def test_a_helper_that_takes_too_long_is_ended_with_its_children() -> None:
    with pytest.raises(ProgramSlow):
        run("sh", "-c", "sleep 1234.5 & sleep 1234.5; true", time_limit_s=0.3)
    assert eventually(lambda: not named("1234.5"))


def test_a_helper_has_no_more_memory_than_it_may() -> None:
    with pytest.raises(ProgramFailed, match="MemoryError"):
        run("python3", "-c", "bytearray(1 << 30)")


def test_a_helper_may_have_many_threads_within_its_memory() -> None:
    """QEMU starts 64 where files are slow; reserved stacks and arenas count, and an extension failed for them."""
    threads = "import threading\nall_in = threading.Barrier(64)\n"
    threads += "def work():\n    kept = [bytes(100) for _ in range(1000)]\n    all_in.wait()\n"
    threads += "several = [threading.Thread(target=work) for _ in range(64)]\n"
    threads += "for one in several: one.start()\nfor one in several: one.join()\nprint('all')"
    argv = [sys.executable, "-c", threads]
    assert Helpers().run(argv, time_limit_s=30, memory_limit_bytes=MEMORY_LIMIT_BYTES) == b"all\n"


def test_a_helper_that_writes_without_end_is_ended() -> None:
    with pytest.raises(ProgramFailed, match="more than it may"):
        run("yes")


def test_a_helper_leaves_no_core_and_gets_none_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_PASSWORD", "secret")
    assert b"secret" not in run("env")
    assert run("sh", "-c", "ulimit -c") == b"0\n"


def test_the_lock_is_not_free_before_a_helper_of_a_killed_process_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "host.lock"
    child = os.fork()
    if child == 0:
        lock = os.open(path, os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("sleep", "4321.5", time_limit_s=60, lock=lock)
        os._exit(1)
    assert eventually(lambda: any("sh" not in arguments(pid) for pid in named("4321.5")))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with path.open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for pid in named("4321.5"):
            os.kill(pid, signal.SIGKILL)

        def free() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        assert eventually(free)


@pytest.mark.root
def test_a_helper_runs_as_whom_it_is_told_with_no_groups_of_ours() -> None:
    seen = Helpers().run(["id"], time_limit_s=5, memory_limit_bytes=ROOM, account=Account(64731, 64731))
    assert seen.split()[0].startswith(b"uid=64731") and b"groups=64731" in seen and b"(root)" not in seen


# daemons


def test_a_daemon_begins_with_go_and_outlives_the_thread_that_started_it() -> None:
    started: list[daemons.Daemon] = []

    def begin() -> None:
        daemon = daemons.start(["sleep", "5432.1"])
        # While a process puts another program in its own place, it has no arguments.
        assert eventually(lambda: "sh" in arguments(daemon.identity.pid).split(" ")[0])
        daemon.go()
        daemon.release()
        started.append(daemon)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    identity = started[0].identity
    assert eventually(lambda: "sleep" in arguments(identity.pid).split(" ")[0])
    assert identity.alive()
    assert identity.end(5)
    assert not identity.alive()


def test_a_daemon_whose_starter_dies_before_go_never_begins(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = os.fork()
    if child == 0:
        daemons.start(["touch", str(mark)])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert eventually(lambda: not named(str(mark)))
    assert not mark.exists()


def test_a_daemon_inherits_what_it_is_given_and_nothing_else(tmp_path: Path) -> None:
    secret, given = os.open(tmp_path / "a", os.O_CREAT), os.open(tmp_path / "b", os.O_CREAT)
    os.set_inheritable(secret, True)
    high = fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, 10)
    daemon = daemons.start(["sleep", "6543.2"], inherit=(high,))
    daemon.go()
    daemon.release()
    pid = daemon.identity.pid
    assert eventually(lambda: "sleep" in arguments(pid).split(" ")[0])
    entries = {int(entry.name): os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    assert daemon.identity.end(5)
    for descriptor in (secret, given, high):
        os.close(descriptor)
    assert entries.pop(high) == str(tmp_path / "b")
    assert set(entries) == {0, 1, 2}


def test_a_listening_socket_is_handed_over_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        daemon = daemons.start(["nbdkit", "-f", "null", "1M"], listening=listener)
    daemon.go()
    daemon.release()
    argv = ["nbdinfo", "--size", f"nbd+unix:///?socket={path}"]
    seen = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert daemon.identity.end(5)
    assert seen.stdout == f"{1 << 20}\n"


def test_an_abandoned_daemon_is_gone_and_its_last_words_are_kept() -> None:
    daemon = daemons.start(["ls", "/no-such-file"])
    daemon.go()
    assert eventually(lambda: not daemon.identity.alive())
    assert "no-such-file" in daemon.abandon()
    waiting = daemons.start(["sleep", "7654.3"])
    waiting.abandon()
    assert not named("7654.3")


# identity


def test_a_signal_goes_only_to_the_process_that_is_meant() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        meant = Identity.of(process.pid)
        for other in (
            Identity(meant.pid, meant.start - 1, meant.boot),
            Identity(meant.pid, meant.start, "another boot"),
        ):
            assert not other.alive()
            assert other.end(1)
        assert process.poll() is None
        assert meant.alive()
        assert meant.end(5)
        assert not meant.alive()


def test_a_stopped_process_is_alive_and_can_be_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        identity = Identity.of(process.pid)
        assert identity.alive()
        assert not identity.wait(0.05)
        assert identity.end(5)
        assert not identity.alive()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="knows the number of the system call on x86-64 only")
def test_a_process_whose_first_thread_has_left_is_alive_until_the_last_has() -> None:
    """A kill is a fence only when no thread is left that could still be writing."""
    leave = "ctypes.CDLL(None).syscall(60, 0)"  # exit of one thread, on x86-64
    code = f"import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); {leave}"
    with subprocess.Popen(["python3", "-c", code]) as process:
        assert eventually(lambda: ") Z " in Path(f"/proc/{process.pid}/stat").read_text())
        identity = Identity.of(process.pid)
        assert identity.alive()
        assert identity.end(5)
        assert not identity.alive()


def test_waiting_for_the_end_of_a_process_sees_it() -> None:
    with subprocess.Popen(["sleep", "0.2"]) as process:
        identity = Identity.of(process.pid)
        assert identity.wait(60)


HELP = """
import os, sys
from moorage.drivers.programs import Helpers, Pen
pen = Pen(file_limit_bytes=1 << 20, check=lambda: None)
Helpers().run(sys.argv[1:], time_limit_s=60, memory_limit_bytes=1 << 30, pen=pen)
"""


def test_a_helper_in_a_pen_ends_with_whoever_started_it() -> None:
    while_s = f"59.{os.getpid()}"  # nobody else's
    with subprocess.Popen([sys.executable, "-c", HELP, "sleep", while_s]) as starter:
        found = lambda: [pid for pid in running() if arguments(pid).strip() == f"/usr/bin/sleep {while_s}"]  # noqa: E731
        assert eventually(lambda: bool(found()))
        starter.kill()
        assert eventually(lambda: not found())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take the network away")
def test_a_helper_in_a_pen_has_no_network_and_no_long_files(tmp_path: Path) -> None:
    pen = Pen(file_limit_bytes=1 << 20, check=lambda: None)

    def said(*words: str) -> bytes:
        return Helpers().run(words, time_limit_s=20, memory_limit_bytes=1 << 30, pen=pen)

    assert said("sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1").split() == [b"lo"]
    with pytest.raises(ProgramFailed):
        said("dd", "if=/dev/zero", f"of={tmp_path}/long", "bs=1M", "count=2", "status=none")
    assert (tmp_path / "long").stat().st_size == 1 << 20


def test_a_helper_in_a_pen_ends_when_its_work_is_no_longer_wanted() -> None:
    def unwanted() -> None:
        raise Conflict(reason="nobody wants it")

    with pytest.raises(Conflict):  # and not that its time is over
        pen = Pen(file_limit_bytes=0, check=unwanted)
        Helpers().run(["sleep", "60"], time_limit_s=60, memory_limit_bytes=1 << 30, pen=pen)
