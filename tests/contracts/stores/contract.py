"""The promises of `moorage.images.store`, which every store keeps; a store passes by subclassing this."""

import os
from collections.abc import Callable

import pytest

from moorage.core.errors import Problem
from moorage.images.store import ObjectMissing, Store, StoreFull, StoreUnavailable

NAME = "images/8a1c/op1-1"
LATER = "images/8a1c/op1-2"
BYTES = os.urandom((2 << 20) + 12_345)
HOLES = b"".join((bytes(200_000), b"x", bytes(65_536), os.urandom(70_001), bytes(1 << 20)))
STRANGE_NAMES = (
    "", "/", "/etc/passwd", "../out", "images/../../out", "images//x", "images/./x", "images/x/", "images/.hidden",
    "images/x\0y", "images/x\ny", "images/-rf", "images/é", "images/x.part", "x" * 201, "a/" * 260 + "a", "a\\b", "~",
    "images", "staging", "volumes/1/head", "keys/1", "moorage.db", "images\\..\\x",
)  # fmt: skip


def read(store: Store, name: str = NAME, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join(store.open(name, offset, length))


def put(store: Store, data: bytes = BYTES, name: str = NAME, step: int = 300_000) -> None:
    writer = store.create(name, len(data))
    for start in range(0, len(data), step):
        writer.write(data[start : start + step])
    writer.commit()


class StoreContract:
    """Subclasses give `store`, and `small_store`: one with room for less than 4 MiB, made by a function or skipped."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def small_store(self) -> Callable[[], Store]:
        raise NotImplementedError

    def test_what_was_written_is_read(self, store):
        put(store)
        assert read(store) == BYTES
        assert store.size(NAME) == len(BYTES)
        assert store.names() == {NAME}

    @pytest.mark.parametrize("step", [1_000, 65_536, 131_071, 1 << 20, 4 << 20])
    def test_zeros_are_bytes_like_any_other(self, store, step):
        put(store, HOLES, step=step)
        assert read(store) == HOLES
        assert store.size(NAME) == len(HOLES)

    @pytest.mark.parametrize("data", [b"", bytes(1), bytes(300_000)])
    def test_an_object_may_be_empty_or_nothing_but_zeros(self, store, data):
        put(store, data)
        assert (read(store), store.size(NAME)) == (data, len(data))

    def test_nothing_is_visible_before_the_commit(self, store):
        writer = store.create(NAME, None)
        writer.write(BYTES)
        for look in (store.size, store.open):
            with pytest.raises(ObjectMissing):
                look(NAME)
        writer.commit()
        assert read(store) == BYTES

    def test_chunks_are_at_most_one_mebibyte(self, store):
        put(store)
        sizes = [len(chunk) for chunk in store.open(NAME)]
        assert max(sizes) <= 1 << 20 and min(sizes) > 0

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, 0),
            (0, 1),
            (1, None),
            (7, 1 << 20),
            (5, (1 << 20) + 1),
            (len(BYTES) - 3, 100),
            (len(BYTES), 5),
            (len(BYTES) + 9, None),
        ],
    )
    def test_a_part_is_read_by_offset_and_length(self, store, offset, length):
        put(store)
        end = None if length is None else offset + length
        assert read(store, offset=offset, length=length) == BYTES[offset:end]

    def test_two_read_at_once(self, store):
        put(store)
        first, second = store.open(NAME), store.open(NAME, 1)
        assert (next(first)[1:100], next(second)[:99]) == (BYTES[1:100], BYTES[1:100])

    def test_an_abort_leaves_nothing(self, store):
        writer = store.create(NAME, len(BYTES))
        writer.write(BYTES)
        writer.abort()
        writer.abort()
        assert store.names() == frozenset()
        with pytest.raises(ObjectMissing):
            store.size(NAME)

    def test_an_abort_after_the_commit_does_nothing(self, store):
        writer = store.create(NAME, None)
        writer.write(BYTES)
        writer.commit()
        writer.abort()
        assert read(store) == BYTES

    def test_committing_twice_is_committing_once(self, store):
        writer = store.create(NAME, None)
        writer.write(b"once")
        writer.commit()
        writer.commit()
        assert read(store) == b"once"

    def test_what_was_aborted_cannot_be_committed(self, store):
        writer = store.create(NAME, None)
        writer.write(b"never")
        writer.abort()
        with pytest.raises(Problem):
            writer.commit()
        assert store.names() == frozenset()

    def test_deleting_twice_is_deleting_once(self, store):
        put(store)
        put(store, b"stays", LATER)
        store.delete(NAME)
        store.delete(NAME)
        assert store.names() == {LATER}
        with pytest.raises(ObjectMissing):
            store.open(NAME)

    def test_a_delete_takes_the_half_written_too(self, store):
        writer = store.create(NAME, None)
        writer.write(BYTES)
        assert store.names() == {NAME}
        store.delete(NAME)
        assert store.names() == frozenset()
        with pytest.raises(Problem):
            writer.commit()
        assert store.names() == frozenset()

    def test_a_reader_finishes_what_a_delete_takes_away_or_is_told(self, store):
        put(store)
        chunks = store.open(NAME)
        first = next(chunks)
        store.delete(NAME)
        try:
            rest = b"".join(chunks)
        except (ObjectMissing, StoreUnavailable):
            assert not store.traits.local_files  # a reader elsewhere may be told instead
        else:
            assert first + rest == BYTES

    def test_a_leftover_is_replaced(self, store):
        left = store.create(NAME, None)
        left.write(b"half of an earlier try")
        put(store, b"whole")
        assert read(store) == b"whole"
        assert store.names() == {NAME}

    def test_a_finished_leftover_is_out_of_sight_once_the_name_is_written_again(self, store):
        put(store)
        writer = store.create(NAME, None)
        with pytest.raises(ObjectMissing):
            store.size(NAME)
        writer.commit()
        assert read(store) == b""

    def test_an_overtaken_writer_can_neither_publish_nor_spoil(self, store):
        slow = store.create(NAME, None)
        slow.write(b"slow")
        fast = store.create(NAME, None)
        fast.write(b"fast")
        slow.write(b"er")
        with pytest.raises(Problem):
            slow.commit()
        slow.abort()
        fast.commit()
        assert read(store) == b"fast"

    def test_objects_do_not_touch_one_another(self, store):
        first, second = store.create(NAME, None), store.create(LATER, None)
        first.write(b"1")
        second.write(b"2")
        first.commit()
        second.abort()
        assert store.names() == {NAME}
        assert read(store) == b"1"

    @pytest.mark.parametrize("name", STRANGE_NAMES)
    def test_a_name_never_leads_out_of_the_store(self, store, name):
        for verb in (store.size, store.open, store.delete, lambda name: store.create(name, None)):
            with pytest.raises(Problem):
                verb(name)
        assert store.names() == frozenset()

    def test_a_missing_object_is_named_by_its_image_and_store(self, store):
        with pytest.raises(ObjectMissing) as caught:
            store.size(NAME)
        assert caught.value.facts == {"image": "8a1c", "store": store.id}

    def test_a_full_store_says_so_and_keeps_nothing(self, small_store):
        store = small_store()
        before = store.free()
        writer = store.create(NAME, None)
        with pytest.raises(StoreFull):
            for _ in range(8):
                writer.write(os.urandom(1 << 20))
            writer.commit()
        writer.abort()
        assert store.names() == frozenset()
        assert store.free() == before
        put(store, b"fits")
        assert read(store) == b"fits"

    def test_a_path_is_given_only_for_local_files(self, store):
        put(store)
        path = store.path(NAME)
        assert (path is not None) == store.traits.local_files
        assert path is None or path.read_bytes() == BYTES
