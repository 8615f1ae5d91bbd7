"""The page of races is complete, and every test that it names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/upstream-races.md").read_text()
ROWS = {row[0]: row[1] for row in re.findall(r"^\| ([^|]+) \| [^|]+ \| (.+) \|$", PAGE, re.M)}

# fmt: off
REPORTED = (
    "1937084", "1916980", "1935011", "1833736", "1762687", "1694530", "1717564", "1785050", "1805762", "1710295",
    "1713521", "1741476", "1907295", "1935057", "1786327", "1825957", "1812913", "1989514", "2004555", "2019078",
    "2088066", "2138566", "2163042", "1983238", "1969373", "1904546", "1965679", "2125840", "2148167",
    "os-brick wrong device", "os-brick lock path", "os-brick NFS", "CSI 381", "CSI 1645",
)
LETTERS = (*"abcdefghijklmnopqrstuvwxyz", "aa", "ab", "ac")
# fmt: on

TESTS = {
    name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
}


def test_the_page_has_every_row() -> None:
    assert [row for row in (*REPORTED, *LETTERS) if row not in ROWS] == []


@pytest.mark.parametrize("row", [*REPORTED, *LETTERS])
def test_each_row_has_a_test_of_its_name_or_a_reason(row: str) -> None:
    named = re.findall(r"`(test_\w+)`", ROWS[row])
    assert [name for name in named if name not in TESTS] == []
    if ROWS[row].startswith("Cannot exist"):
        assert len(ROWS[row].split()) > 4
    else:
        word = f"defect_{row}_" if row in LETTERS else row.removeprefix("CSI ").replace("-", "_").replace(" ", "_")
        assert named and all(word in name for name in named)


def test_every_test_with_such_a_name_is_on_the_page() -> None:
    ours = {name for name in TESTS if re.match(r"test_(lp_\d|defect_|csi_\d|os_brick_)", name)}
    assert sorted(name for name in ours if f"`{name}`" not in PAGE) == []
