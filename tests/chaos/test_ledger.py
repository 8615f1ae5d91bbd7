"""The ledger says what a block may hold; a judge that believed a wrong one would find nothing."""

from pathlib import Path

import pytest

from chaos.blocks import BLOCK, NotABlock, block, number
from chaos.judge import Verdict, books, judge
from chaos.ledger import Book, Ledger, read

V = "a-volume"


def book(*lines: list[object], careful: bool = False) -> Book:
    """A client that wrote 1 to block 0 and flushed, then wrote 2, and then `lines`."""
    made = Book()
    first = (["region", V, careful, 0, True, 1], ["attach", V, "a1"])
    for what, *rest in (*first, *written(1), ["flush", V], *written(2), *lines):
        made.apply([what, 10.0, *rest])
    return made


def written(number: int) -> tuple[list[object], list[object]]:
    return ["write", V, number, 0, 1], ["ack", V]


@pytest.mark.parametrize(
    ("careful", "lines", "allowed"),
    [
        (False, [], {2}),
        (False, [["write", V, 3, 0, 1]], {2}),
        (False, [["write", V, 3, 0, 1], ["error", V, "gone"]], {1, 2, 3}),
        (True, [["write", V, 3, 0, 1], ["error", V, "gone"]], {2, 3}),
        (False, [["error", V, "gone"], ["found", V, 0, [1], True]], {1}),
        (False, [["error", V, "gone"], ["found", V, 0, [2], True]], {2}),
        (False, [["clean", V], ["error", V, "gone"]], {2}),
        (False, [["flush", V], ["error", V, "gone"]], {2}),
        (False, [["start"]], {1, 2}),
        (False, [["clean", V], ["start"]], {2}),
        (True, [["start"]], {2}),
        (False, [["write", V, 3, 0, 1], ["start"]], {1, 2, 3}),
        (False, [["write", V, 3, 0, 1], ["error", V, ""], ["found", V, 0, [2], False]], {2, 3}),
        (False, [["write", V, 3, 0, 1], ["error", V, ""], ["found", V, 0, [2], True]], {2}),
    ],
)
def test_what_a_block_may_hold(careful: bool, lines: list[list[object]], allowed: set[int]) -> None:
    assert book(*lines, careful=careful).regions[V].allowed(0) == allowed


def test_a_clone_has_what_its_source_had_and_goes_its_own_way() -> None:
    made = book(["clean", V], ["clone", V, "b", 1], *written(3))
    assert made.regions["b"].allowed(0) == {2}
    assert made.regions["b"].mark == V
    assert made.regions[V].allowed(0) == {3}


def test_the_file_makes_the_same_book_again_even_if_it_was_cut_short(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for what, *rest in (["region", V, True, 0, True, 1], *written(7), ["cycle"]):
        ledger.note(str(what), *rest)
    assert read(tmp_path / "ledger").regions == ledger.book.regions
    (tmp_path / "ledger").write_text((tmp_path / "ledger").read_text() + '["cycle", 1')
    again = read(tmp_path / "ledger")
    assert (again.cycles, again.last_number) == (1, 7)


def test_a_block_is_recognised_only_where_it_was_written() -> None:
    assert number(V, 3, block(V, 3, 9)) == 9
    assert number(V, 3, bytes(BLOCK)) == 0
    torn = block(V, 3, 9)[: BLOCK // 2] + block(V, 3, 8)[BLOCK // 2 :]
    for wrong in (block(V, 4, 9), block("another", 3, 9), torn, b"x" * BLOCK):
        with pytest.raises(NotABlock):
            number(V, 3, wrong)


class Memory:
    """A disk that holds what a test puts there."""

    read_only = False

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, count: int, offset: int) -> bytes:
        return self.data[offset : offset + count]

    def write(self, data: bytes, offset: int) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("there", "lost"), [(block(V, 0, 2), 0), (block(V, 0, 1), 1), (bytes(BLOCK), 1), (b"?" * BLOCK, 1)]
)
def test_the_judge_finds_a_lost_write_and_a_wrong_byte(there: bytes, lost: int) -> None:
    verdict = Verdict()
    judge(book().regions[V], Memory(there), verdict)
    assert (len(verdict.lost), verdict.good) == (lost, not lost)


@pytest.mark.parametrize(("fenced_at", "late"), [(9.0, 2), (11.0, 0)])
def test_the_judge_finds_a_write_that_began_behind_a_fence(fenced_at: float, late: int) -> None:
    verdict = Verdict()
    books([book()], {"a1": fenced_at}, verdict)
    assert len(verdict.lost) == late
