"""What a process remembers of tokens: nothing that has changed, and not without end."""

from pathlib import Path

import pytest

from moorage.core.errors import Unauthenticated
from moorage.database import Database, Transaction
from moorage.identity import bootstrap, login, versions
from moorage.identity.settings import IdentitySettings
from moorage.identity.tokens import Tokens


def fresh(database: Database, tokens: Tokens, name: str = "demo") -> str:
    """A token, by the whole way in."""
    secret = bootstrap.password(tokens.keys._path.parent, name)
    who = {"name": name, "domain": {"id": "default"}, "password": secret}
    with database.read() as tx:
        attempt = login.begin(tx, tokens, {"methods": ["password"], "password": {"user": who}})
    assert attempt.proven()
    with database.read() as tx:
        return login.finish(tx, tokens, attempt, None).text


def test_a_second_use_costs_one_statement(database: Database, tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    text = fresh(database, tokens)
    said: list[str] = []
    for name in ("one", "all"):  # by which all others read
        reads = getattr(Transaction, name)
        monkeypatch.setattr(Transaction, name, lambda *of, reads=reads: said.append(str(of[1])) or reads(*of))
    tokens.caller({"x-auth-token": text}, "r")
    assert len(said) > 3
    said.clear()
    tokens.caller({"x-auth-token": text}, "r")
    assert len(said) == 1 and "identity_versions" in said[0]


def test_every_change_is_noticed(database: Database, tokens: Tokens) -> None:
    text = fresh(database, tokens)
    first = tokens.caller({"x-auth-token": text}, "r")
    known = tokens._remembered[2]
    assert text in known
    with database.write() as tx:
        versions.change(tx)
    assert tokens.caller({"x-auth-token": text}, "r") == first
    assert tokens._remembered[2] is not known


def test_it_is_bounded(database: Database, keys: Path) -> None:
    bootstrap.run(database, keys, "RegionOne")
    tokens = Tokens(database, keys, IdentitySettings(cached_tokens=2))
    texts = [fresh(database, tokens) for _ in range(4)]
    for text in texts * 2:
        tokens.caller({"x-auth-token": text}, "r")
        assert len(tokens._remembered[2]) <= 2


def test_a_user_who_changed_between_proof_and_token_gets_none(database: Database, tokens: Tokens, keys: Path) -> None:
    who = {"name": "demo", "domain": {"id": "default"}, "password": bootstrap.password(keys, "demo")}
    with database.read() as tx:
        attempt = login.begin(tx, tokens, {"methods": ["password"], "password": {"user": who}})
    assert attempt.proven()
    from moorage.core.caller import NOBODY
    from moorage.identity import user

    assert attempt.users[0] is not None
    with database.write() as tx:
        user.update(tx, NOBODY, attempt.users[0]["id"], {}, "another digest")
    with database.read() as tx, pytest.raises(Unauthenticated):
        login.finish(tx, tokens, attempt, None)
