"""
A PostgreSQL of our own for one run of the tests: started by the worker that needs it first, stopped at the end.

One server for all workers (a file in the run's directory says where), one database for each test, made as a copy of a
template.  A server whose test run was killed is stopped by the next run.
"""

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.ports import free_port
from tests.runs import clear_away_dead, kill, new_home

SETTINGS = {
    "fsync": "off",  # only processes are killed here, and what they wrote is the kernel's; four times as fast
    "max_connections": "300",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "autovacuum": "off",
    "jit": "off",
    "log_min_messages": "fatal",
}
INITDB = ("-A", "scram-sha-256", "-E", "UTF8", "--locale", "C", "--no-sync")
HOMES = "moorage-postgres-"  # in the temporary directory: one for each run


def binaries() -> Path:
    """Where the server's programs are; the test is skipped where they are nowhere."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    if there := shutil.which("initdb"):
        return Path(there).resolve().parent
    pytest.skip("PostgreSQL is not installed (Debian: postgresql)")


class Server:
    """The run's server, wherever in the run it was started."""

    def __init__(self, run: Path) -> None:
        self._note = run / "postgres.json"
        self._lock = run / "postgres.lock"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _where(self) -> str:
        """The server's URL without a database; starts it when nobody has yet."""
        with self._alone():
            if not self._note.exists():
                self._note.write_text(json.dumps(start()))
            return str(json.loads(self._note.read_text())["url"])

    @contextlib.contextmanager
    def database(self, template: str = "template1", make: Callable[[str], None] | None = None) -> Iterator[str]:
        """The URL of a new database, gone afterwards: a copy of `template`, which `make` fills the first time."""
        where, name = self._where(), "test_" + secrets.token_hex(8)
        with psycopg.connect(f"{where}/postgres", autocommit=True) as admin:
            with self._alone():
                known = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone()
                if not known and make:
                    draft = (
                        f"{template}_draft"  # renamed when it is complete, so that a failure leaves no half template
                    )
                    admin.execute(f'DROP DATABASE IF EXISTS "{draft}" WITH (FORCE)')
                    admin.execute(f'CREATE DATABASE "{draft}"')
                    make(f"{where}/{draft}")
                    admin.execute(f'ALTER DATABASE "{draft}" RENAME TO "{template}"')
                admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            try:
                yield f"{where}/{name}"
            finally:
                admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def stop(self) -> None:
        """Leave no server and no files. For the session that outlives all workers."""
        if self._note.exists():
            end(Path(json.loads(self._note.read_text())["home"]))
            self._note.unlink()


def start() -> dict[str, str]:
    """Start a server in a new directory, as an unprivileged user; its URL and its directory."""
    programs = binaries()
    clear_away_dead(HOMES, end)
    home = new_home(HOMES)
    password, who = secrets.token_hex(16), {}
    (home / "password").write_text(password)
    if os.geteuid() == 0:  # PostgreSQL refuses to be root
        user = next(entry for name in ("postgres", "nobody") for entry in pwd.getpwall() if entry.pw_name == name)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        for path in (home, *home.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
    subprocess.run(
        [programs / "initdb", "-D", home / "data", "-U", "moorage", "--pwfile", home / "password", *INITDB],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=home,
        **who,
    )
    for _ in range(5):  # a free port may be gone by the time that the server binds it
        port = free_port()
        settings = SETTINGS | {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": str(home)}
        subprocess.Popen(
            [programs / "postgres", "-D", home / "data", *(f"-c{key}={value}" for key, value in settings.items())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(home / "log").open("w"),
            start_new_session=True,
            cwd=home,
            **who,
        )
        url = f"postgresql://moorage:{password}@127.0.0.1:{port}"
        if answers(url, home):
            return {"url": url, "home": str(home)}
    raise RuntimeError((home / "log").read_text())


def answers(url: str, home: Path) -> bool:
    """Whether the server is up; waits until it is, or has ended."""
    for _ in range(600):
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(f"{url}/postgres", connect_timeout=5).close()
            return True
        if "FATAL" in (home / "log").read_text() and not (home / "data/postmaster.pid").exists():
            return False
        time.sleep(0.1)
    return False


def end(home: Path) -> None:
    """Stop the server of `home` at once, by the pid that it wrote, and remove its files."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError, IndexError):
        pid = int((home / "data/postmaster.pid").read_text().splitlines()[0])
        if str(home).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            kill(pid, signal.SIGQUIT)
    shutil.rmtree(home, ignore_errors=True)
