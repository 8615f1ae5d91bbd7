"""The pages that come from the code say what the code says, and every link between pages leads somewhere."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load()


@pytest.mark.parametrize("page", generate.PAGES)
def test_the_page_is_what_the_code_says(page: str) -> None:
    assert (DOCS / page).read_text() == generate.wanted(page), "run `make docs`"


def test_codes_say_where_they_come_from_and_mean_one_status() -> None:
    rows = re.findall(r"^\| `([^`]*)` \| (\d+) \|", (DOCS / "errors.md").read_text(), re.M)
    statuses: dict[str, set[str]] = {}
    for code, status in rows:
        statuses.setdefault(code, set()).add(status)
    assert {code: found for code, found in statuses.items() if len(found) > 1} == {}
    assert [code for code in statuses if not re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", code)] == []


@pytest.mark.parametrize("page", ["states.md", "configuration.md", "microversions.md", "routes.md", "errors.md"])
def test_everything_on_a_page_has_a_meaning(page: str) -> None:
    assert [line for line in (DOCS / page).read_text().splitlines() if re.fullmatch(r"\|.*\|\s*\|", line)] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("typed", ["make up", "openstack volume create --size 1 v", "make down", "make test"])
def test_what_the_readme_says_is_what_make_fresh_types(typed: str) -> None:
    assert typed in (ROOT / "README.md").read_text()
    assert typed in (ROOT / "scripts/fresh").read_text()
