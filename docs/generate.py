"""
The pages that come from the code: errors, states, microversions, routes, configuration, and the list of the others.

`make docs` rewrites what lies between a page's two markers; `tests/test_docs.py` compares.  What stands around the
markers is written by hand.
"""

import ast
import dataclasses
import enum
import importlib
import inspect
import json
import pkgutil
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- from the code: make docs -->", "<!-- end -->"


def modules() -> list[types.ModuleType]:
    """Every module of the package, imported; not the programs' entry points, not alembic's scripts."""
    import moorage

    found = [moorage]
    for module in pkgutil.walk_packages(moorage.__path__, "moorage."):
        if not module.name.endswith("__main__") and "migrations" not in module.name:
            found.append(importlib.import_module(module.name))
    return found


def objects(kind: type) -> Iterator[tuple[str, str, Any]]:
    """Module, name and value of all module-level values of a kind, each where it was defined first."""
    seen = set()
    for module in modules():
        for name, value in vars(module).items():
            if isinstance(value, kind) and id(value) not in seen:
                if isinstance(value, type) and value.__module__ != module.__name__:
                    continue
                seen.add(id(value))
                yield module.__name__.removeprefix("moorage."), name, value


def remarks(cls: type) -> dict[str, str]:
    """What the `#:` comments of a class say of its fields, behind the field or in the lines above it."""
    lines = textwrap.dedent(inspect.getsource(cls)).splitlines()
    said = {}
    for node in ast.parse("\n".join(lines)).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            own = lines[node.lineno - 1 : node.end_lineno]
            behind = " ".join(line.partition("#:")[2].strip() for line in own).strip()
            above: list[str] = []
            at = node.lineno - 2
            while lines[at].strip().startswith("#:"):
                above.insert(0, lines[at].strip()[2:].strip())
                at -= 1
            said[target.id] = " ".join([*above, behind]).strip()  # type: ignore[union-attr]
    return said


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def sentence(cls: type) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())


def errors() -> str:
    """One row for each `Problem`."""
    from moorage.core.errors import Problem

    modules()
    found, waiting = set(), [Problem]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.__module__.startswith("moorage."):
            found.add((cls.code, str(cls.status), sentence(cls)))
    return table(("code", "status", "sentence"), ((f"`{code}`", status, said) for code, status, said in sorted(found)))


def states() -> str:
    """For each lifecycle: what its states mean, its moves, and the picture."""
    from moorage.core.lifecycle import Lifecycle

    parts = []
    for module, _, life in sorted(objects(Lifecycle), key=lambda found: found[:2]):
        moves = list(life)
        kind = type(moves[0].target)
        said = remarks(kind)
        parts.append(f"## {module}\n")
        parts.append(table(("state", "meaning"), ((f"`{state}`", said.get(state.name, "")) for state in kind)))
        rows = ((f"`{m.event}`", ", ".join(f"`{s}`" for s in kind if s in m.sources), f"`{m.target}`") for m in moves)
        parts.append(table(("event", "may come from", "leads to"), rows))
        arrows = (f"    {s} --> {m.target}: {m.event}" for m in moves for s in kind if s in m.sources)
        parts.append("```mermaid\nstateDiagram-v2\n" + "\n".join(arrows) + "\n```\n")
    return "\n".join([*parts, volume_status()])


def volume_status() -> str:
    """What `volume.status` is derived from, in the order in which it is asked."""
    from moorage.volumes import status

    rows = [(f"the operation `{kind}` is open", f"`{value}`") for kind, value in status.DURING.items()]
    rows += [("an administrator said so (`os-reset_status`)", "what he said")]
    rows += [("it has no bytes: nothing made them yet, or making them failed", "`creating`, `error`")]
    for states, value in status._FROM_ATTACHMENTS:
        rows.append(("an attachment is " + " or ".join(f"`{s}`" for s in sorted(states)), f"`{value}`"))
    rows += [("nothing of this is so", "`available`")]
    return "## volume.status\n\nDerived: the first row that applies.\n\n" + table(("when", "status"), rows)


def microversions() -> str:
    """For each versioned API: its versions and what a client gains by each."""
    from moorage.api.versions import Versions, shown

    parts = []
    for module, _, versions in sorted(objects(Versions), key=lambda found: found[:2]):
        parts.append(f"## {module.removeprefix('api.').removesuffix('.versions')}\n")
        parts.append(table(("since", "what a client gains"), ((shown(row.version), row.gain) for row in versions)))
    return "\n".join(parts)


def routes() -> str:
    """For each API: its routes, below its prefix."""
    from moorage.api.front import Front
    from moorage.api.routes import Route
    from moorage.api.service import Service
    from moorage.api.versions import shown

    found: dict[str, list[Route]] = {}
    for module, name, rows in objects(tuple):
        if name == "ROUTES" and rows and all(isinstance(row, Route) for row in rows):
            found.setdefault(module.removeprefix("api.").split(".")[0], []).extend(rows)
    found["front"] = list(Front().table)
    prefixes = {
        cls.__module__.removeprefix("moorage.api.").split(".")[0]: cls.prefix
        for _, _, cls in objects(type)
        if issubclass(cls, Service) and hasattr(cls, "prefix")
    }
    parts = []
    for room, rows in sorted(found.items()):
        parts.append(f"## {room}: `{prefixes.get(room, '')}`\n")
        lines = []
        for row in rows:
            since = shown(row.since) if row.since > (0, 0) else ""
            until = shown(row.until) if row.until < (9999, 0) else ""
            call = f"`{row.method} {row.path}`" + (f" `{row.action}`" if row.action else "")
            lines.append((call, f"{since}–{until}" if until else since, sentence(row.handler)))  # type: ignore[arg-type]
        parts.append(table(("call", "versions", "what holds afterwards"), lines))
    return "\n".join(parts)


def configuration() -> str:
    """Every setting: the tree of dataclasses that `moorage.config` is, table by table."""
    from moorage import config

    local = [c for c in vars(config).values() if dataclasses.is_dataclass(c) and c.__module__ == config.__name__]
    inner = {cls for outer in local for field in dataclasses.fields(outer) for cls in within(outer, field.name)}
    parts: list[str] = []

    def show(cls: type, path: str) -> None:
        parts.append(f"## {path or 'top level'}\n\n{sentence(cls)}\n")
        said, below, rows = remarks(cls), [], []
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            nested = within(cls, field.name)
            if nested:
                listed = typing.get_origin(typing.get_type_hints(cls)[field.name]) in (tuple, list)
                name = ".".join(filter(None, [path.strip("[]"), field.name]))
                below += [(n, f"[[{name}]]" if listed else f"[{name}]") for n in nested]
            else:
                rows.append((f"`{field.name}`", default(field), said.get(field.name, "")))
        if rows:
            parts.append(table(("setting", "default", "meaning"), rows))
        for nested_cls, nested_path in below:
            show(nested_cls, nested_path)

    for cls in local:
        if cls not in inner:
            show(cls, "")
    return "\n".join(parts)


def within(cls: type, name: str) -> list[type]:
    """The dataclasses in the type of a field: `Limits`, `tuple[Backend, ...]`, `Tls | None`."""
    hint = typing.get_type_hints(cls)[name]
    return [t for t in (hint, *typing.get_args(hint)) if isinstance(t, type) and dataclasses.is_dataclass(t)]


def default(field: "dataclasses.Field[Any]") -> str:
    """A field's default as it would stand in the file."""
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif isinstance(field.default_factory, types.FunctionType | types.BuiltinFunctionType):
        return "(found out)"
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "(needed)"
    if isinstance(value, enum.Enum | Path):
        value = str(value.value if isinstance(value, enum.Enum) else value)
    return "(none)" if value is None else f"`{json.dumps(value, default=list)}`"


def topics() -> str:
    """The pages that are written by hand, by their headings."""
    pages = (page for page in sorted(HERE.glob("*.md")) if page.name not in PAGES)
    return "\n".join(f"* [{page.read_text().splitlines()[0].lstrip('# ')}]({page.name})" for page in pages)


PAGES: dict[str, Callable[[], str]] = {
    "errors.md": errors,
    "states.md": states,
    "microversions.md": microversions,
    "routes.md": routes,
    "configuration.md": configuration,
    "index.md": topics,
}


def wanted(page: str) -> str:
    """What a page should be: its hand-written text around what the code says now."""
    text = (HERE / page).read_text()
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{PAGES[page]().strip()}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Rewrite every page in place."""
    for page in PAGES:
        text = wanted(page)
        if text != (HERE / page).read_text():
            (HERE / page).write_text(text)
            print(f"rewrote docs/{page}")


if __name__ == "__main__":
    sys.exit(main())
