"""A database that goes away, or is full, in the middle of a call is called that, and the call may be repeated."""

import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from moorage.database import Transaction
from tests import postgres
from tests.cloud import running

Cut = Callable[[Transaction], None]


def cut(url: str) -> Cut:
    """The server ends all connections of the database."""

    def end(_: Transaction) -> None:
        with psycopg.connect(url, autocommit=True) as admin:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    return end


def fill(_: str) -> Cut:
    """The server says that its disk is full."""

    def end(tx: Transaction) -> None:
        tx.run(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$"))

    return end


@pytest.mark.parametrize(("harm", "said"), [(cut, "did not answer"), (fill, "is full")])
def test_it_is_said_and_the_call_repeated(
    harm: Callable[[str], Cut],
    said: str,
    state_dir: Path,
    postgres_server: postgres.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with postgres_server.database() as url, running(state_dir, url) as cloud:
        cloud.call("GET", "/volume/v3/volumes")  # a token is there
        finish, left = Transaction.finish, [harm(url)]

        def harmed(tx: Transaction) -> None:
            if left and threading.current_thread().name.startswith("sql"):  # where calls are answered
                left.pop()(tx)
            finish(tx)

        monkeypatch.setattr(Transaction, "finish", harmed)
        body = {"volume": {"size": 1}}
        refused = cloud.call("POST", "/volume/v3/volumes", body)
        assert not left
        assert (refused.status, said in refused.message) == (503, True)
        assert cloud.call("POST", "/volume/v3/volumes", body).status == 202
        assert len(cloud.call("GET", "/volume/v3/volumes").json["volumes"]) == 1
