"""The page of faults of images is complete, and every test that it names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/image-faults.md").read_text()
ROWS = {row[0]: row[1] for row in re.findall(r"^\| ([^|]+) \| [^|]+ \| (.+) \|$", PAGE, re.M)}

# fmt: off
REPORTED = (
    "1884596", "1889640", "1891352", "1885003", "1795950", "1803299", "1895663", "1914826", "1881958", "1885725",
    "1884587", "1838332", "2073945", "1895173", "1953063", "2045769", "2132607", "2054575", "2127798", "1996188",
    "2059809", "2138602", "2138672", "2138675", "2152110", "2161330", "1525915", "1971521", "1979699", "1980049",
    "1954883", "1959186",
)
#: Rows whose test waits for what it is about. None may be open that is not named here, and none named that is not open.
OPEN: frozenset[str] = frozenset()
# fmt: on
#: What unmodified clients trip over, each with its tests on the page.
# fmt: off
CLIENTS = (
    "discovery", "creation", "upload in chunks", "download", "after deletion", "bad formats", "list", "owner",
    "members", "tags", "import", "copy-image", "deletion from a store", "deactivation", "store weight",
    "format enforcement", "http store", "old locations", "caching", "dependency", "scenario", "dashboards",
)
# fmt: on
FOUND = (*(f"I{n}" for n in range(1, 24)), *(f"C{n}" for n in range(1, 15)))

TESTS = {
    name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
}


def test_the_page_has_every_row() -> None:
    assert [row for row in (*FOUND, *REPORTED) if row not in ROWS] == []


@pytest.mark.parametrize("row", [*FOUND, *REPORTED])
def test_each_row_has_a_test_of_its_name_or_a_reason(row: str) -> None:
    said = ROWS[row]
    named = re.findall(r"`(test_\w+)`", said)
    assert [name for name in named if name not in TESTS] == []
    assert said.startswith("Open:") == (row in OPEN)
    if said.startswith(("Open:", "Cannot exist:")):
        assert len(said.split()) > 4
    else:
        word = rf"_{row}_" if row.isdigit() else rf"image_fault_(?:\w+_)?{row.lower()}_"
        assert named and all(re.search(word, name) for name in named)


@pytest.mark.parametrize("row", CLIENTS)
def test_what_clients_trip_over_has_its_tests(row: str) -> None:
    named = re.findall(r"`(test_\w+)`", ROWS[row])
    assert named
    assert [name for name in named if name not in TESTS] == []


def test_every_test_with_such_a_name_is_on_the_page() -> None:
    ours = {name for name in TESTS if re.match(r"test_image_(fault|lp)_", name)}
    assert sorted(name for name in ours if f"`{name}`" not in PAGE) == []
