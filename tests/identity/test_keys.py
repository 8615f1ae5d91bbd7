"""The key file: rotated, shared, private."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moorage.identity.keys import FILE, Keys, write_secret


def held(keys: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((keys / FILE).read_text())
    return found


def test_what_is_sealed_is_unsealed_and_nothing_else_is(keys: Path) -> None:
    ring = Keys(keys, 60)
    text = ring.seal(b"x" * 90)
    assert ring.unseal(text) == b"x" * 90
    for wrong in ("", "x", text[:-2], "A" + text[1:], text[:40] + "x" + text[41:], "é", "x" * 5000, text + "é"):
        assert ring.unseal(wrong) is None


def test_the_file_is_its_owners_alone(keys: Path) -> None:
    Keys(keys, 60).seal(b"x")
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}


def test_rotation_uses_a_key_that_everybody_knew_already(keys: Path) -> None:
    ring, other_host = Keys(keys, 3600), Keys(keys, 3600)
    before = ring.seal(b"before")
    copied = (keys / FILE).read_text()
    following = held(keys)[0]["key"]
    ring.rotate()
    assert held(keys)[1]["key"] == following
    after = ring.seal(b"after")
    assert (ring.unseal(before), ring.unseal(after)) == (b"before", b"after")
    write_secret(keys / FILE, copied)  # a host whose copy of the file is one rotation behind
    assert (other_host.unseal(before), other_host.unseal(after)) == (b"before", b"after")


def test_retired_keys_go_when_none_of_their_tokens_can_be_valid(keys: Path) -> None:
    ring = Keys(keys, 3600)
    for _ in range(5):
        ring.rotate()
    assert len(held(keys)) == 7
    Keys(keys, -1).rotate()
    assert len(held(keys)) == 3  # the next one, the current one, and the one retired just now


def test_all_who_begin_at_once_have_the_same_keys(keys: Path) -> None:
    rings = [Keys(keys, 60) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda ring: ring.seal(b"x"), rings))
    assert all(ring.unseal(text) == b"x" for ring in rings for text in texts)


def test_a_secret_file_is_whole_or_not_there(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secret(keys / "s", "old")

    def cut(handle: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(OSError, match="full"):
        write_secret(keys / "s", "new")
    assert [path.name for path in keys.iterdir()] == ["s"]
    assert (keys / "s").read_text() == "old"
