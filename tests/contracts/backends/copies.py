"""What every backend promises that keeps copies. A driver passes by subclassing and giving a `backend` fixture."""

from collections.abc import Iterator

import pytest

from moorage.core.errors import Problem
from moorage.volumes.backend import CHUNK_BYTES, Backend, Format, Layer, SourceDiffers
from tests.drivers.origin import Origin, digests_of, noise

NAME = "copies/i1/made-1"
DATA = noise(CHUNK_BYTES + 1_000_000, seed=4)


class CopiesContract:
    """The suite."""

    @pytest.fixture
    def origin(self, backend: Backend) -> Iterator[Origin]:
        if not backend.traits.copies:
            pytest.skip("keeps no copies")
        origin = Origin(DATA)
        backend.supply(origin)
        yield origin
        backend.close()

    def test_a_copy_is_made_once_and_empty(self, backend: Backend, origin: Origin) -> None:
        backend.make_copy(NAME, len(DATA), digests_of(DATA))
        backend.fill_copy(NAME, 1)
        backend.make_copy(NAME, len(DATA), digests_of(DATA))
        assert list(backend.missing(NAME)) == [0]
        assert backend.layers() == {NAME}

    def test_filling_twice_is_fetching_once(self, backend: Backend, origin: Origin) -> None:
        backend.make_copy(NAME, len(DATA), digests_of(DATA))
        assert backend.fill_copy(NAME, 1) == 1_000_000
        assert backend.fill_copy(NAME, 1) == 0
        assert origin.asked == {1: 1}

    def test_it_is_whole_when_all_is_there(self, backend: Backend, origin: Origin) -> None:
        backend.make_copy(NAME, len(DATA), digests_of(DATA))
        backend.fill_copy(NAME, 0)
        assert not backend.settle_copy(NAME)
        backend.fill_copy(NAME, 1)
        assert backend.settle_copy(NAME) and list(backend.missing(NAME)) == []

    def test_what_is_not_what_it_should_be_is_not_there(self, backend: Backend, origin: Origin) -> None:
        backend.make_copy(NAME, len(DATA), digests_of(DATA))
        origin.garbled = True
        with pytest.raises(SourceDiffers):
            backend.fill_copy(NAME, 0)
        assert list(backend.missing(NAME)) == [0, 1]

    def test_a_source_that_is_down_is_its_own_problem(self, backend: Backend, origin: Origin) -> None:
        backend.make_copy(NAME, len(DATA), digests_of(DATA))
        origin.down = True
        with pytest.raises(Problem, match="the test says so"):
            backend.fill_copy(NAME, 0)

    def test_poured_is_whole(self, backend: Backend, origin: Origin) -> None:
        backend.pour_copy(NAME, len(DATA), iter([DATA[:5000], DATA[5000:]]))
        assert list(backend.missing(NAME)) == [] and not origin.asked

    def test_priming_raw_takes_nothing(self, backend: Backend, origin: Origin) -> None:
        backend.make_copy(NAME, len(DATA), digests_of(DATA))
        assert backend.prime_copy(Layer(NAME, Format.RAW, len(DATA))) == 0

    def test_deleting_leaves_nothing_and_twice_is_fine(self, backend: Backend, origin: Origin) -> None:
        backend.make_copy(NAME, len(DATA), digests_of(DATA))
        backend.fill_copy(NAME, 0)
        backend.delete(NAME)
        backend.delete(NAME)
        assert backend.layers() == set()
        with pytest.raises(Problem):
            backend.fill_copy(NAME, 0)
