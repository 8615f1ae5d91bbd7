"""The wrapper that disables a store which is down keeps the contract, and lets nobody wait for what is known."""

import threading

import pytest

from moorage.drivers.stores.health import Watched
from moorage.drivers.stores.memory import MemoryStore
from moorage.images.store import ObjectUnavailable, StoreUnavailable
from tests.contracts.stores.contract import BYTES, NAME, StoreContract, put, read
from tests.patience import until


class Breakable(MemoryStore):
    """A store that is down while `why` says so, and one object that never can be read."""

    why = ""
    asked = 0

    def _held(self, name):
        self._check()
        if name.endswith("cursed"):
            raise StoreUnavailable(store=self.id, why="this one is cursed")
        if name.endswith("foreign"):
            raise ObjectUnavailable(image="x", store=self.id, why="its server is away")
        return super()._held(name)

    def free(self):
        self._check()
        return super().free()

    def delete(self, name):
        self._check()
        super().delete(name)

    def _check(self):
        self.asked += 1
        if self.why:
            raise StoreUnavailable(store=self.id, why=self.why)


@pytest.fixture
def inner():
    return Breakable("far")


@pytest.fixture
def store(inner):
    store = Watched(inner, pauses_s=(0.01, 0.05))
    yield store
    store.close()


class TestWatched(StoreContract):
    @pytest.fixture
    def store(self):
        return Watched(MemoryStore("memory"))

    @pytest.fixture
    def small_store(self):
        return lambda: Watched(MemoryStore("small", room_bytes=3 << 20))


def test_a_store_that_is_down_is_not_asked_again_by_those_who_need_it(store, inner):
    put(store)
    assert store.trouble() is None
    store._pauses_s = (60.0,)
    inner.why = "no connection"
    with pytest.raises(StoreUnavailable, match="The store far does not answer: no connection"):
        store.size(NAME)
    until(store.trouble)
    assert store.trouble().why == "no connection"
    asked = inner.asked
    for verb in (store.size, store.open, store.delete, lambda name: store.create(name, None)):
        with pytest.raises(StoreUnavailable, match=r"no connection \(since 2\d{3}-.* UTC\)"):
            verb(NAME)
    assert inner.asked == asked


def test_it_comes_back_by_itself(store, inner):
    put(store)
    inner.why = "away"
    store.look()
    until(store.trouble)
    inner.why = ""
    until(lambda: store.trouble() is None)
    assert read(store) == BYTES
    inner.why = "away again"
    with pytest.raises(StoreUnavailable):
        store.size(NAME)
    until(store.trouble)
    assert store.trouble().why == "away again"


def test_one_object_that_cannot_be_read_disables_nothing(store):
    for name, what in (("images/8a1c/cursed", StoreUnavailable), ("images/8a1c/foreign", ObjectUnavailable)):
        with pytest.raises(what):
            store.size(name)
    until(lambda: not store._looking)
    assert store.trouble() is None


def test_a_store_that_is_down_at_the_start_is_known_to_be(inner):
    inner.why = "not yet there"
    store = Watched(inner, pauses_s=(0.01,))
    assert store.trouble() is None
    store.look()
    until(store.trouble)
    inner.why = ""
    until(lambda: store.trouble() is None)


def test_what_breaks_in_the_middle_of_a_read_is_noticed(store, inner):
    put(store)

    def broken():
        yield b"first"
        inner.why = "it broke off"
        raise StoreUnavailable(store="far", why="it broke off")

    inner.open = lambda name, offset=0, length=None: broken()
    chunks = store.open(NAME)
    assert next(chunks) == b"first"
    with pytest.raises(StoreUnavailable):
        next(chunks)
    until(store.trouble)


def test_an_upload_under_way_is_cleared_away_even_while_the_store_is_known_to_be_down(store, inner):
    writer = store.create(NAME, None)
    inner.why = "away"
    store.look()
    until(store.trouble)
    writer.abort()
    inner.why = ""
    until(lambda: store.trouble() is None)
    assert store.names() == frozenset()


def test_a_store_that_is_closed_is_looked_after_no_longer(store, inner):
    inner.why = "away"
    store.look()
    until(store.trouble)
    store.close()
    until(lambda: not [t for t in threading.enumerate() if t.name == "store-far"])


def test_its_loss_and_its_return_are_told_of_once_each_and_in_their_order(inner):
    told = []
    store = Watched(inner, pauses_s=(0.01,), tell=lambda id, trouble, away_s: told.append((id, trouble.why, away_s)))
    for turn in (1, 2):
        inner.why = f"away {turn}"
        with pytest.raises(StoreUnavailable):
            store.size(NAME)
        until(lambda turn=turn: len(told) == 2 * turn - 1)
        inner.why = f"still away {turn}"  # not another outage
        asked = inner.asked
        until(lambda asked=asked: inner.asked > asked + 2)
        inner.why = ""
        until(lambda turn=turn: len(told) == 2 * turn)
    store.close()
    assert [(id, why, away_s is None) for id, why, away_s in told] == [
        ("far", f"away {turn}", began) for turn in (1, 2) for began in (True, False)
    ]
    assert all(away_s > 0 for *_, away_s in told[1::2])


def test_who_cannot_be_told_keeps_nobody_from_looking_after_the_store(inner):
    def deaf(*said):
        raise RuntimeError("the database is away, too")

    store = Watched(inner, pauses_s=(0.01,), tell=deaf)
    inner.why = "away"
    store.look()
    until(store.trouble)
    inner.why = ""
    until(lambda: store.trouble() is None and not store._looking)
    store.close()
