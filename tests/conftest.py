"""What all tests share: a state directory, and a database on each of the two engines."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from moorage.database import Database
from moorage.drivers.processes import Identity
from moorage.identity import passwords
from moorage.place import Place
from tests import postgres, radosgw, schema
from tests import test_house as house


def pytest_report_header() -> str:
    return f"house: {house.summary()}"


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the session that outlives all workers
        os.environ["MOORAGE_TEST_RUN"] = str(os.getpid())


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Long bytes that differ are said in two lines, so that whatever else a failure says is found."""
    if op != "==" or not isinstance(left, bytes) or not isinstance(right, bytes) or max(len(left), len(right)) < 1024:
        return None
    at = next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    return [
        f"{len(left)} bytes == {len(right)} others",
        f"from byte {at} on: {left[at : at + 40]!r} and {right[at : at + 40]!r}",
    ]


def run_directory(factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of this run share, and no other run."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        postgres.Server(run_directory(session.config._tmp_path_factory)).stop()
        radosgw.Cluster(run_directory(session.config._tmp_path_factory)).stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
    items.sort(key=lambda item: not item.nodeid.startswith("tests/test_tour.py"))  # the longest: nobody waits for it


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> postgres.Server:
    """The run's PostgreSQL; started when the first test asks for a database of it."""
    return postgres.Server(run_directory(tmp_path_factory))


@pytest.fixture(autouse=True)
def _quick_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests that cost little: every cloud makes three. Tests of passwords, and real servers, make real ones."""
    if not request.node.nodeid.startswith("tests/identity/test_passwords.py"):
        monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A state directory of the test's own."""
    with state_directory() as path:
        yield path


@contextlib.contextmanager
def state_directory() -> Iterator[Path]:
    """An empty state directory, gone afterwards; daemons of other users can pass through, and its name is short."""
    path = Path(tempfile.mkdtemp(prefix="moor-", dir="/tmp"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        _end_daemons(path)
        for log in path.parent.glob(f"{path.name}-*.log"):  # of the processes that tests.server starts
            log.unlink(missing_ok=True)
        for directory in (path, Place(path).sockets):
            shutil.rmtree(directory, ignore_errors=True)


def _end_daemons(path: Path) -> None:
    """End the storage daemons, gates and servers of copies that a test has left to whoever comes next: nobody does."""
    for record in (*path.rglob("run/daemons/*.json"), *path.rglob("run/copies/*.json")):
        with contextlib.suppress(OSError, ValueError):
            said = json.loads(record.read_text())
            gates = [entry["gate"] for entry in said.get("entries", {}).values() if entry.get("gate")]
            for process in (said["process"], *gates):
                Identity(process["pid"], process["start"], process["boot"]).end(5)


@contextlib.contextmanager
def database_with_schema(engine: str, state: Path, server: postgres.Server) -> Iterator[str]:
    """The URL of a database of that engine with today's schema and no rows."""
    if engine == "sqlite":
        url = f"sqlite:///{state}/moorage.db"
        schema.begin(url)
        yield url
    else:
        with server.database("schema", schema.migrate) as url:
            yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, state_dir: Path, postgres_server: postgres.Server) -> Iterator[str]:
    """The URL of a database with today's schema and no rows, on each engine."""
    with database_with_schema(request.param, state_dir, postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(
    request: pytest.FixtureRequest, state_dir: Path, postgres_server: postgres.Server
) -> Iterator[str]:
    """The URL of an empty database, as a first start finds it, on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{state_dir}/moorage.db"
    else:
        with postgres_server.database() as url:
            yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, state_dir: Path, postgres_server: postgres.Server) -> Iterator[Database]:
    """A database with today's schema and no rows, on each engine."""
    with database_with_schema(request.param, state_dir, postgres_server) as url:
        yield from opened(url)


def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()
