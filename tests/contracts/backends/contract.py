"""
What every backend promises. A driver passes by subclassing `BackendContract` and giving it a `backend` fixture.

Tests that need bytes are skipped where a backend has no doors; the rest is for all.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from moorage.core.errors import Conflict, Problem
from moorage.volumes.backend import Backend, Cache, Door, Export, Foreign, Format, Layer
from tests.drivers.clients import ClientError, client

MIB = 1 << 20
PATTERN = b"moorage!" * 512


def layer(name: str = "volumes/v1/create-1", size: int = 8 * MIB, parent: Layer | None = None, **more: Any) -> Layer:
    return Layer(name, more.get("format", Format.QCOW2), size, parent)


def export(attachment: str = "a1", volume: str = "v1", *, read_only: bool = False, door: Door = Door.PRIVATE) -> Export:
    secret = secrets.token_hex(32) if door is Door.TLS else None
    return Export(attachment, volume, secrets.token_hex(16), read_only, door, secret)


class BackendContract:
    """The suite. `backend` is empty, and what it leaves running is ended by its fixture."""

    heads = (Format.RAW, Format.QCOW2)

    @pytest.fixture
    def bytes_too(self, backend: Backend) -> None:
        if not backend.traits.doors:
            pytest.skip("has no doors, so no bytes")

    @pytest.fixture
    def foreign(self) -> Foreign:
        """Something to convert, for backends that have bytes."""
        return Foreign("images/i1/upload-1", "vmdk")

    @contextmanager
    def attached(self, backend: Backend, head: Layer, **how: Any) -> Iterator[Any]:
        """A client of an attachment that exists for the time of the block."""
        wanted = export(secrets.token_hex(4), head.name.split("/")[1], **how)
        connection = backend.publish(wanted, head, Cache.BACK)
        try:
            with client(connection) as opened:
                yield opened
        finally:
            backend.withdraw(wanted.volume, wanted.attachment)

    def read(self, backend: Backend, head: Layer, length: int = len(PATTERN), offset: int = 0) -> bytes:
        with self.attached(backend, head, read_only=True) as nbd:
            return bytes(nbd.pread(length, offset))

    def write(self, backend: Backend, head: Layer, data: bytes = PATTERN, offset: int = 0) -> None:
        with self.attached(backend, head) as nbd:
            nbd.pwrite(data, offset)

    # layers

    @pytest.mark.parametrize("kind", Format)
    def test_creating_twice_is_creating_once(self, backend: Backend, kind: Format) -> None:
        made = layer(format=kind)
        backend.create(made)
        backend.create(made)
        assert backend.layers() == {made.name}

    def test_a_different_layer_of_the_same_name_is_refused(self, backend: Backend) -> None:
        backend.create(layer())
        with pytest.raises(Problem):
            backend.create(layer(size=16 * MIB))
        with pytest.raises(Problem):
            backend.create(layer(format=Format.RAW, size=16 * MIB))

    def test_a_deleted_layer_is_gone_and_deleting_it_twice_is_fine(self, backend: Backend) -> None:
        backend.create(layer())
        backend.delete(layer().name)
        backend.delete(layer().name)
        assert backend.layers() == frozenset()

    def test_a_layer_that_is_served_is_not_deleted(self, backend: Backend) -> None:
        backend.create(layer())
        backend.publish(export(), layer(), Cache.BACK)
        with pytest.raises(Problem):
            backend.delete(layer().name)
        backend.withdraw("v1", "a1")
        backend.delete(layer().name)

    def test_there_is_room(self, backend: Backend) -> None:
        space = backend.space()
        assert 0 < space.free <= space.total

    # doors

    def test_what_is_published_is_in_the_survey(self, backend: Backend) -> None:
        backend.create(layer())
        backend.publish(export("a1"), layer(), Cache.BACK)
        backend.publish(export("a2", read_only=True), layer(), Cache.BACK)
        served = backend.survey()["v1"]
        assert (served.alive, served.exports, served.head) == (True, {"a1", "a2"}, layer().name)

    def test_publishing_twice_is_publishing_once(self, backend: Backend) -> None:
        backend.create(layer())
        wanted = export()
        assert backend.publish(wanted, layer(), Cache.BACK) == backend.publish(wanted, layer(), Cache.BACK)
        backend.withdraw("v1", "a1")
        assert backend.survey() == {}

    def test_a_withdrawn_volume_is_published_nowhere(self, backend: Backend) -> None:
        backend.create(layer())
        backend.publish(export("a1"), layer(), Cache.BACK)
        backend.publish(export("a2"), layer(), Cache.BACK)
        backend.withdraw("v1", "a1")
        assert backend.survey()["v1"].exports == {"a2"}
        backend.withdraw("v1", "a2")
        assert "v1" not in backend.survey()

    def test_withdrawing_what_is_not_published_is_fine(self, backend: Backend) -> None:
        backend.withdraw("v1", "a1")
        backend.create(layer())
        backend.publish(export("a1"), layer(), Cache.BACK)
        backend.withdraw("v1", "a2")
        assert backend.survey()["v1"].exports == {"a1"}

    def test_clearing_ends_everything_of_the_volume_but_its_layers(self, backend: Backend) -> None:
        backend.create(layer())
        backend.publish(export("a1"), layer(), Cache.BACK)
        backend.clear("v1")
        backend.clear("v1")
        assert backend.survey() == {}
        assert backend.layers() == {layer().name}

    def test_a_halted_volume_is_served_to_nobody_and_has_lost_nothing(self, backend: Backend) -> None:
        backend.halt("v1")
        assert backend.survey() == {}
        backend.create(layer())
        wanted = export("a1")
        for _ in range(2):
            backend.publish(wanted, layer(), Cache.BACK)
            assert backend.survey()["v1"].exports == {"a1"}
            backend.halt("v1")
            backend.halt("v1")
            served = backend.survey()["v1"]
            assert (served.alive, served.exports, served.lossless) == (False, frozenset(), True)
        backend.clear("v1")
        assert backend.survey() == {}

    def test_another_head_is_refused_while_the_first_is_served(self, backend: Backend) -> None:
        other = layer("volumes/v1/create-2")
        backend.create(layer())
        backend.create(other)
        backend.publish(export("a1"), layer(), Cache.BACK)
        with pytest.raises(Problem):
            backend.publish(export("a2"), other, Cache.BACK)
        assert backend.survey()["v1"].exports == {"a1"}

    # bytes

    @pytest.mark.usefixtures("bytes_too")
    @pytest.mark.parametrize("kind", Format)
    def test_a_new_layer_reads_as_zeroes(self, backend: Backend, kind: Format) -> None:
        head = layer(format=kind)
        backend.create(head)
        with self.attached(backend, head) as nbd:
            assert nbd.get_size() == head.size
            assert nbd.pread(4096, head.size - 4096) == bytes(4096)

    @pytest.mark.usefixtures("bytes_too")
    @pytest.mark.parametrize("kind", Format)
    def test_what_one_attachment_writes_another_reads(self, backend: Backend, kind: Format) -> None:
        head = layer(format=kind)
        backend.create(head)
        with self.attached(backend, head) as writer, self.attached(backend, head) as reader:
            writer.pwrite(PATTERN, MIB)
            assert reader.pread(len(PATTERN), MIB) == PATTERN
        assert self.read(backend, head, offset=MIB) == PATTERN

    @pytest.mark.usefixtures("bytes_too")
    @pytest.mark.parametrize("kind", Format)
    def test_who_writes_when_his_volume_is_halted_finds_it_again(self, backend: Backend, kind: Format) -> None:
        head, wanted = layer(format=kind), export()
        backend.create(head)
        with client(backend.publish(wanted, head, Cache.BACK)) as writer:
            writer.pwrite(PATTERN, MIB)
            backend.halt("v1")
            with pytest.raises(ClientError):
                writer.pwrite(bytes(512), MIB)
        with client(backend.publish(wanted, head, Cache.BACK)) as again:
            assert again.pread(len(PATTERN), MIB) == PATTERN
        backend.withdraw("v1", wanted.attachment)

    @pytest.mark.usefixtures("bytes_too")
    def test_a_read_only_attachment_refuses_writes_while_its_sibling_writes(self, backend: Backend) -> None:
        for door in backend.traits.doors - {Door.TLS}:
            head = layer(f"volumes/{door}/create-1")
            backend.create(head)
            with (
                self.attached(backend, head) as writer,
                self.attached(backend, head, read_only=True, door=door) as reader,
            ):
                assert reader.is_read_only()
                reader.set_strict_mode(0)
                with pytest.raises(ClientError):
                    reader.pwrite(bytes(512), 0)
                writer.pwrite(PATTERN, 0)
                assert reader.pread(len(PATTERN), 0) == PATTERN

    @pytest.mark.usefixtures("bytes_too")
    def test_after_withdraw_nothing_of_its_holder_lands(self, backend: Backend) -> None:
        for door in backend.traits.doors - {Door.TLS}:
            head = layer(f"volumes/{door}/create-1")
            backend.create(head)
            wanted = export("a1", str(door), door=door)
            connection = backend.publish(wanted, head, Cache.BACK)
            with client(connection) as nbd, self.attached(backend, head) as sibling:
                nbd.pwrite(PATTERN, 0)
                backend.withdraw(str(door), "a1")
                with pytest.raises(ClientError):
                    nbd.pwrite(bytes(512), 0)
                with pytest.raises(ClientError):
                    nbd.pread(512, 0)
                assert sibling.pread(len(PATTERN), 0) == PATTERN
                with pytest.raises(ClientError), client(connection):
                    pass

    @pytest.mark.usefixtures("bytes_too")
    def test_a_new_generation_closes_the_one_before(self, backend: Backend) -> None:
        backend.create(layer())
        first = backend.publish(export("a1"), layer(), Cache.BACK)
        with client(first) as old:
            second = backend.publish(export("a1"), layer(), Cache.BACK)
            with pytest.raises(ClientError):
                old.pwrite(bytes(512), 0)
            with client(second) as new:
                new.pwrite(PATTERN, 0)
        backend.withdraw("v1", "a1")

    @pytest.mark.usefixtures("bytes_too")
    @pytest.mark.parametrize("kind", Format)
    def test_an_overlay_shows_its_parent_and_leaves_it_as_it_is(self, backend: Backend, kind: Format) -> None:
        parent = layer("volumes/v0/create-1", format=kind)
        backend.create(parent)
        self.write(backend, parent)
        first, second = layer("volumes/v1/clone-1", parent=parent), layer("volumes/v2/clone-1", parent=parent)
        for head in (first, second):
            backend.create(head)
        with self.attached(backend, first) as one, self.attached(backend, second) as two:
            assert one.pread(len(PATTERN), 0) == two.pread(len(PATTERN), 0) == PATTERN
            one.pwrite(b"\1" * 512, 0)
            assert two.pread(512, 0) == PATTERN[:512]
        assert self.read(backend, first, 512) == b"\1" * 512
        assert self.read(backend, parent) == PATTERN

    @pytest.mark.usefixtures("bytes_too")
    def test_a_parent_is_not_deleted_under_a_volume_in_use(self, backend: Backend) -> None:
        parent = layer("volumes/v0/create-1")
        head = layer("volumes/v1/clone-1", parent=parent)
        backend.create(parent)
        backend.create(head)
        with self.attached(backend, head), pytest.raises(Problem):
            backend.delete(parent.name)

    # freezing

    def test_advancing_twice_is_advancing_once_and_what_is_not_served_needs_none(self, backend: Backend) -> None:
        below, above = layer(), layer("volumes/v1/freeze-1", parent=layer())
        backend.create(below)
        backend.create(above)
        backend.advance("v1", above)
        assert backend.survey() == {}
        backend.publish(export("a1"), below, Cache.BACK)
        backend.advance("v1", above)
        backend.advance("v1", above)
        served = backend.survey()["v1"]
        assert (served.head, served.exports) == (above.name, {"a1"})
        backend.publish(export("a2"), above, Cache.BACK)
        assert backend.survey()["v1"].exports == {"a1", "a2"}

    def test_a_volume_goes_over_to_no_head_but_one_on_its_own(self, backend: Backend) -> None:
        below, other = layer(), layer("volumes/v2/create-1")
        strange = layer("volumes/v1/freeze-1", parent=other)
        for made in (below, other, strange):
            backend.create(made)
        backend.publish(export("a1"), below, Cache.BACK)
        with pytest.raises(Problem):
            backend.advance("v1", strange)
        assert backend.survey()["v1"].head == below.name

    @pytest.mark.usefixtures("bytes_too")
    @pytest.mark.parametrize("kind", Format)
    def test_what_was_written_before_is_below_and_what_comes_later_above(self, backend: Backend, kind: Format) -> None:
        below = layer(format=kind)
        backend.create(below)
        tops = [below]
        with self.attached(backend, below) as writer, self.attached(backend, below, read_only=True) as reader:
            for number in range(1, 4):
                writer.pwrite(bytes([number]) * 512, 0)
                tops.append(layer(f"volumes/v1/freeze-{number}", parent=tops[-1]))
                backend.create(tops[-1])
                backend.advance("v1", tops[-1])
                clone = layer(f"volumes/c{number}/clone-1", parent=tops[-2])
                backend.create(clone)
                writer.pwrite(b"\xff" * 512, 0)
                assert reader.pread(512, 0) == b"\xff" * 512
                assert self.read(backend, clone, 512) == bytes([number]) * 512
        assert self.read(backend, tops[-1], 512) == b"\xff" * 512
        for number, frozen in enumerate(tops[:-1], 1):
            clone = replace(layer(f"volumes/c{number}/clone-1", parent=frozen))
            assert self.read(backend, clone, 512) == bytes([number]) * 512

    # foreign formats

    def test_what_no_layer_can_lie_on_is_converted_once(self, backend: Backend, foreign: Foreign) -> None:
        head = layer(format=Format.RAW)
        assert backend.convert(head, foreign, lambda: None) >= 0
        backend.convert(head, foreign, lambda: None)
        assert backend.layers() == {head.name}

    @pytest.mark.usefixtures("bytes_too")
    @pytest.mark.parametrize("kind", ["vmdk", "vdi", "vhd", "vhdx"])
    def test_a_converted_layer_has_the_bytes_of_its_source_and_zeroes_behind(
        self, backend: Backend, stored: Callable[[str, bytes], Foreign], kind: str
    ) -> None:
        head, inside = layer(format=Format.RAW, size=16 * MIB), PATTERN * (2 * MIB // len(PATTERN)) + bytes(2 * MIB)
        backend.convert(head, stored(kind, inside), lambda: None)
        with self.attached(backend, head) as nbd:
            assert nbd.pread(len(inside), 0) == inside
            assert nbd.pread(MIB, 15 * MIB) == bytes(MIB)
            nbd.pwrite(PATTERN, 8 * MIB)

    @pytest.mark.usefixtures("bytes_too")
    def test_a_conversion_that_nobody_wants_any_more_leaves_no_layer(
        self, backend: Backend, stored: Callable[[str, bytes], Foreign]
    ) -> None:
        def unwanted() -> None:
            raise Conflict(reason="nobody wants it")

        head = layer(format=Format.RAW, size=16 * MIB)
        with pytest.raises(Conflict):
            backend.convert(head, stored("vmdk", PATTERN), unwanted)
        assert head.name not in backend.layers()

    @pytest.mark.usefixtures("bytes_too")
    def test_a_source_that_is_too_long_or_not_what_was_said_is_not_converted(
        self, backend: Backend, stored: Callable[[str, bytes], Foreign]
    ) -> None:
        long = stored("vmdk", PATTERN * (4 * MIB // len(PATTERN)))
        for head, source in (
            (layer(format=Format.RAW, size=MIB), long),
            (layer(format=Format.RAW), replace(long, format="vdi")),
            (layer(format=Format.RAW), replace(long, format="raw")),
            (layer(), long),
        ):
            with pytest.raises(Problem):
                backend.convert(head, source, lambda: None)
            assert head.name not in backend.layers()

    # growth

    @pytest.mark.parametrize("kind", Format)
    def test_extending_is_idempotent_and_never_cuts(self, backend: Backend, kind: Format) -> None:
        head = layer(format=kind)
        backend.create(head)
        backend.extend(head, 16 * MIB)
        backend.extend(head, 16 * MIB)
        backend.extend(head, 12 * MIB)
        if backend.traits.doors:
            with self.attached(backend, replace(head, size=16 * MIB)) as nbd:
                assert nbd.get_size() == 16 * MIB

    @pytest.mark.usefixtures("bytes_too")
    def test_what_extending_adds_is_zeroes_even_over_a_longer_parent(self, backend: Backend) -> None:
        parent = layer("volumes/v0/create-1", size=16 * MIB)
        head = layer("volumes/v1/clone-1", size=4 * MIB, parent=parent)
        backend.create(parent)
        self.write(backend, parent, offset=8 * MIB)
        backend.create(head)
        backend.extend(head, 32 * MIB)
        assert self.read(backend, replace(head, size=32 * MIB), offset=8 * MIB) == bytes(len(PATTERN))

    def test_a_volume_in_use_is_extended_only_where_the_traits_say_so(self, backend: Backend) -> None:
        backend.create(layer())
        backend.publish(export(), layer(), Cache.BACK)
        if backend.traits.extend_attached:
            backend.extend(layer(), 16 * MIB)
        else:
            with pytest.raises(Problem):
                backend.extend(layer(), 16 * MIB)
        backend.withdraw("v1", "a1")
