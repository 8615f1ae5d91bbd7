"""House rules that a machine can check: sizes, names, docstrings, and nothing that is true on one machine only."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/moorage"

FILE_LINES = 500
MEDIAN_LINES = 150
FUNCTION_LINES = 60
VAGUE = {"utils", "util", "common", "base", "manager", "helper", "helpers", "misc"}

TEXT = {".py", ".md", ".toml", ".lock", ".yaml", ".yml", ".json", ".sh", ".txt", ".cfg", ".ini", ".mako", ""}
ELSEWHERE = re.compile(  # the dots keep the pattern from matching itself
    r"(?<![\w.])/(work|root|home/\w+)/|pypi[.]org|pythonhosted[.]org|npmjs[.](org|com)|(deb|security|ftp)[.]debian[.]org"
)


def files() -> Iterator[Path]:
    """Every file of the repository; what is ignored begins with a dot or is not text."""
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        inside = parts[0] == ".ci" or not any(part.startswith(".") or part == "node_modules" for part in parts)
        if inside and path.is_file() and parts != ("uv.lock",):
            yield path


def python() -> list[Path]:
    return sorted(path for path in files() if path.suffix == ".py")


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_file_is_long() -> None:
    assert [f"{path.relative_to(ROOT)}: {lines(path)}" for path in python() if lines(path) > FILE_LINES] == []


def sizes() -> list[int]:
    return sorted(lines(path) for path in python() if PACKAGE in path.parents and path.name != "__init__.py")


def summary() -> str:
    """One line on the sizes of the package's files, for the head of every test run."""
    found = sizes()
    return f"{len(found)} files, median {statistics.median(found):.0f} lines, longest {found[-1]}"


def test_the_median_file_is_short() -> None:
    assert statistics.median(sizes()) <= MEDIAN_LINES


def test_no_function_is_long() -> None:
    long = []
    for path in python():
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines")
    assert long == []


def test_modules_are_named_for_what_they_hold() -> None:
    assert [str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.stem in VAGUE] == []


def test_every_module_opens_by_saying_what_it_is() -> None:
    silent = [path for path in PACKAGE.rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text(), str(path)))]
    assert [str(path.relative_to(ROOT)) for path in silent] == []


def test_every_folder_of_the_package_is_a_package() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_nothing_names_one_machine() -> None:
    found = []
    for path in files():
        if path.suffix not in TEXT:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if match := ELSEWHERE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match.group()}")
    assert found == []


@pytest.mark.parametrize("text", ["see /" + "work/x", "https://" + "pypi" + ".org/simple", "/" + "home/someone/x"])
def test_the_pattern_catches_what_it_should(text: str) -> None:
    assert ELSEWHERE.search(text)
