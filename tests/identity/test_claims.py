"""Claims are packed small and unpacked whole."""

import msgspec
import pytest

from moorage.core.ids import new_hex
from moorage.identity.claims import METHODS, UNSCOPED, Claims, Scope, unpack
from moorage.identity.keys import Keys

NOW = 1_790_000_000_000_000
HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize("scope", [UNSCOPED, Scope("project", HEX), Scope("domain", "default"), Scope("system", "all")])
@pytest.mark.parametrize("credential", [None, HEX])
def test_there_and_back(scope: Scope, credential: str | None) -> None:
    claims = Claims(new_hex(), METHODS, scope, NOW, NOW - 1, (b"a" * 16, b"b" * 16), 7, credential)
    assert unpack(claims.pack()) == claims


@pytest.mark.parametrize("id", ["default", "A" * 32, "g" * 32, "x" * 64, "é" * 32, "٣" * 32])
def test_ids_of_any_kind(id: str) -> None:
    claims = Claims(id, ("password",), Scope("domain", id), NOW, NOW, (b"a" * 16,), 0)
    assert unpack(claims.pack()) == claims


def test_a_usual_token_stays_below_255_characters(keys) -> None:  # type: ignore[no-untyped-def]
    claims = Claims(
        new_hex(), ("password", "token"), Scope("project", new_hex()), NOW, NOW, (b"a" * 16, b"b" * 16), 1000
    )
    assert len(Keys(keys, 60).seal(claims.pack())) < 255


def test_another_form_is_not_a_token() -> None:
    assert unpack(msgspec.msgpack.encode([2, b"", 0, 0, "", 0, 0, [], 0, ""])) is None
