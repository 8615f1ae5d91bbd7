"""The import rule: arrows between rooms go down only. The table is the rule; ARCHITECTURE.md draws it."""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"

DOMAINS = "volumes images compute identity hosts"  # strangers to one another
CONTRACTS = (
    "volumes.backend volumes.compute images.store images.imports.fetch images.imports.method "
    "images.imports.transformation images.signatures.certificates hosts.devices compute.hypervisor"
)

# fmt: off
RULE = {
    # room                      may import
    "core":                     "",
    "place":                    "core",
    "database":                 "core",
    "operations":               "core database",
    **dict.fromkeys(DOMAINS.split(), "core database operations"),
    "drivers":                  f"core {CONTRACTS}",
    "drivers.stores.volume":    f"core {CONTRACTS} drivers client",
    "drivers.remotes":          f"core {CONTRACTS} drivers client",
    "drivers.transformations":  f"core {CONTRACTS} drivers images.content.formats",
    "flows":                    f"core database operations {DOMAINS}",
    "api":                      f"core database operations flows {DOMAINS}",
    "client":                   "",
    "cli":                      "client",
    "ui":                       "client",
    **dict.fromkeys(
        "app server inlet outlet config settled duty hearing agent greeting inside memory".split()
        + "stopping doctor installed".split(),
        "*",
    ),
    "__main__":                 "*",
}
# fmt: on
STANDARD_LIBRARY_ONLY = "core"


def modules(src: Path) -> dict[str, Path]:
    """Every module of the package, by its dotted name without "moorage."; "" is the package itself."""
    found = {}
    for path in sorted((src / "moorage").rglob("*.py")):
        parts = path.relative_to(src / "moorage").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, *, lazy: bool = True) -> Iterator[tuple[int, str]]:
    """Line and dotted name of all that a module imports; when `lazy`, also in functions and by `import_module(...)`."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if lazy else outside_functions(tree):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                here = ["moorage", *package][: len(package) + 2 - node.level] if node.level else []
                start = ".".join([*here, *([node.module] if node.module else [])])
                yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(target)), *_]):
                yield node.lineno, target


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported, but for what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        hidden = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        )
        if not hidden:
            yield node
            yield from outside_functions(node)


def row(name: str) -> str:
    """The most specific room of the rule that a module is in."""
    return max((room for room in RULE if within(name, room)), key=len, default="")


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def violations(src: Path) -> list[str]:
    """One line for each import that the rule does not allow."""
    found, known = [], modules(src)
    for name, path in known.items():
        room = row(name)
        if name and not room:
            found.append(f"{name}: a room that the rule does not know")
        allowed = [*RULE.get(room, "").split(), room.split(".")[0]]
        for line, target in imports(name, path):
            root, _, inner = target.partition(".")
            if root != "moorage":
                foreign = within(name, STANDARD_LIBRARY_ONLY) and root not in sys.stdlib_module_names
                wrong = f"{root} is not in the standard library" if foreign else ""
            else:
                fine = "*" in allowed or row(inner) == "" or any(within(inner, other) for other in allowed)
                wrong = "" if fine else f"{room} may not import {inner}"
            if wrong:
                found.append(f"{path.relative_to(src)}:{line}: {wrong}")
    return found


def test_arrows_between_rooms_go_down_only() -> None:
    assert violations(SRC) == []


def test_no_import_goes_round_in_a_circle() -> None:
    known = modules(SRC)
    graph = {}
    for name, path in known.items():
        targets = {target.removeprefix("moorage.") for _, target in imports(name, path, lazy=False)}
        graph[name] = {t if t in known else t.rpartition(".")[0] for t in targets} & known.keys() - {name, ""}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


PLANTED = {
    "an arrow upwards": ("core/planted.py", "from moorage.database import engine"),
    "a domain that knows another": ("volumes/planted.py", "import moorage.images.store"),
    "an import inside a function": ("images/planted.py", "def f():\n    from moorage.api import shell"),
    "an import by name": ("flows/planted.py", "import importlib\nimportlib.import_module('moorage.drivers.backends')"),
    "a relative import": ("volumes/planted.py", "from ..images import store"),
    "a driver behind the contract": ("drivers/backends/planted.py", "from moorage.volumes import records"),
    "core with a dependency": ("core/planted.py", "import sqlalchemy"),
    "a client that knows the server": ("client/planted.py", "from moorage.core.errors import Problem"),
    "settings read from below": ("volumes/planted.py", "from moorage import config"),
    "a room without a rule": ("attic/planted.py", "import os"),
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_violation_is_caught(tmp_path: Path, planted: tuple[str, str]) -> None:
    path = tmp_path / "moorage" / planted[0]
    path.parent.mkdir(parents=True)
    path.write_text(planted[1] + "\n")
    assert len(violations(tmp_path)) == 1


def test_what_the_rule_allows_is_not_caught(tmp_path: Path) -> None:
    path = tmp_path / "moorage/drivers/backends/planted.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import os, sqlalchemy\nfrom moorage import __version__\nfrom moorage.volumes.backend import Backend\n"
        "from moorage.volumes import backend\nfrom . import memory\n"
    )
    assert violations(tmp_path) == []
