"""The PostgreSQL that the tests start: a database each, a template, and nothing left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from moorage.database import Database
from moorage.database.migrate import applied, known, upgrade
from tests import postgres
from tests.runs import clear_away_dead


def test_a_database_of_each_engine_answers(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as tx:
        assert tx.now > 0
    database.close()


def test_a_migrated_database_of_each_engine_knows_every_change(database: Database) -> None:
    assert upgrade(database) == []
    with database.read() as tx:
        assert sorted(row["name"] for row in tx.all(select(applied))) == known()


def test_a_template_is_filled_once_and_copied(postgres_server: postgres.Server) -> None:
    made = []

    def make(url: str) -> None:
        made.append(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t (n int)")

    name = f"filled_{os.getpid()}"
    for _ in range(2):
        with postgres_server.database(name, make) as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
            connection.execute("INSERT INTO t VALUES (1)")
    assert len(made) == 1


def test_a_database_is_gone_afterwards_even_while_used(postgres_server: postgres.Server) -> None:
    with postgres_server.database() as url:
        kept = psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError):
        kept.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_the_server_of_a_killed_run_is_stopped_by_the_next(tmp_path: Path) -> None:
    postgres.binaries()
    script = (
        "import json, os; os.environ['MOORAGE_TEST_RUN'] = str(os.getpid())\n"
        "from tests import postgres; print(json.dumps(postgres.start()))"
    )
    root = Path(__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=root)
    note = json.loads(run.stdout)
    psycopg.connect(note["url"] + "/postgres").close()
    clear_away_dead(postgres.HOMES, postgres.end)
    assert not Path(note["home"]).exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(note["url"] + "/postgres")
