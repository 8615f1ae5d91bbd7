"""The first start, and all later ones."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from sqlalchemy import func, select

from moorage.core.caller import NOBODY
from moorage.database import Database
from moorage.identity import bootstrap, lookup, passwords, rows, user, versions
from moorage.identity.records import assignments, endpoints, projects, regions, roles, services, users

TABLES = (users, projects, roles, assignments, services, endpoints, regions)


def counts(database: Database) -> list[int]:
    with database.read() as tx:
        return [tx.value(select(func.count()).select_from(table)) for table in TABLES]


def test_a_later_start_changes_nothing(database: Database, keys: Path) -> None:
    bootstrap.run(database, keys, "RegionOne")
    before = counts(database)
    with database.read() as tx:
        version = versions.current(tx)
    bootstrap.run(database, keys, "RegionOne")
    with database.read() as tx:
        assert versions.current(tx) == version
    assert counts(database) == before
    assert before[0] == 4


def test_what_was_deleted_or_changed_stays_so(database: Database, keys: Path) -> None:
    bootstrap.run(database, keys, "RegionOne")
    with database.write() as tx:
        demo = lookup.user(tx, {"name": "demo", "domain": {"id": "default"}})
        assert demo is not None
        user.delete(tx, NOBODY, demo["id"])
    bootstrap.run(database, keys, "Elsewhere")
    with database.read() as tx:
        assert lookup.user(tx, {"name": "demo", "domain": {"id": "default"}}) is None
        assert {row["region_id"] for row in rows.listed(tx, endpoints)} == {"Elsewhere"}
        assert len(rows.listed(tx, endpoints)) == 12


def test_a_crash_between_files_and_rows_loses_no_password(
    database: Database, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "_catalog", die)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.run(database, keys, "RegionOne")
    there = {name: bootstrap.password(keys, name) for name in bootstrap.PEOPLE}
    assert counts(database)[0] == 0
    assert all(there.values())
    bootstrap.run(database, keys, "RegionOne")
    assert {name: bootstrap.password(keys, name) for name in bootstrap.PEOPLE} == there
    with database.read() as tx:
        for name, secret in there.items():
            row = lookup.user(tx, {"name": name, "domain": {"id": "default"}})
            assert row is not None and passwords.fits(row["password"], secret or "")


PROCESS = """
import sys
from pathlib import Path
from moorage.database import Database
from moorage.identity import bootstrap
bootstrap.run(Database(sys.argv[1]), Path(sys.argv[2]), "RegionOne")
bootstrap.write_clouds(Path(sys.argv[3]), Path(sys.argv[2]), "http://127.0.0.1:1", "RegionOne")
"""


def test_processes_that_start_at_once_make_one_cloud(database: Database, keys: Path, state_dir: Path) -> None:
    command = [sys.executable, "-c", PROCESS, database.url, str(keys), str(state_dir / "clouds.yaml")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        said = process.communicate()[1]
        assert process.returncode == 0, said
    assert counts(database)[0] == 4
    with database.read() as tx:
        row = lookup.user(tx, {"name": "demo", "domain": {"id": "default"}})
    clouds = yaml.safe_load((state_dir / "clouds.yaml").read_text())["clouds"]
    assert row is not None and passwords.fits(row["password"], clouds["moorage"]["auth"]["password"])


def test_clouds_yaml_follows_the_address_and_keeps_what_a_user_wrote(
    database: Database, keys: Path, state_dir: Path
) -> None:
    path = state_dir / "clouds.yaml"
    assert not bootstrap.write_clouds(path, keys, "http://a:1", "RegionOne")
    bootstrap.run(database, keys, "RegionOne")
    assert bootstrap.write_clouds(path, keys, "http://a:1/", "RegionOne")
    assert path.stat().st_mode & 0o777 == 0o600
    clouds = yaml.safe_load(path.read_text())
    assert set(clouds["clouds"]) == {"moorage", "moorage-admin"}
    assert clouds["clouds"]["moorage"]["auth"]["auth_url"] == "http://a:1/identity/v3"
    clouds["clouds"]["other"] = {"auth": {"auth_url": "http://elsewhere"}}
    clouds["clouds"]["moorage"]["auth"]["password"] = "changed"
    path.write_text(yaml.safe_dump(clouds))
    for broken in ("- a list", "clouds: [", "text", "clouds: 5", "clouds: {moorage: 5}"):
        path.write_text(broken)
        assert bootstrap.write_clouds(path, keys, "http://b:2", "Two")
        assert path.read_text() == broken
    path.write_text(yaml.safe_dump(clouds))
    before = path.stat()
    bootstrap.write_clouds(path, keys, "http://a:1", "RegionOne")
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    bootstrap.write_clouds(path, keys, "http://b:2", "Two")
    after = yaml.safe_load(path.read_text())["clouds"]
    assert after["other"] == {"auth": {"auth_url": "http://elsewhere"}}
    assert after["moorage"]["auth"]["password"] == "changed"
    assert {after[name]["auth"]["auth_url"] for name in ("moorage", "moorage-admin")} == {"http://b:2/identity/v3"}
    assert after["moorage"]["region_name"] == "Two"
