"""The result as a table in Markdown, to be kept in docs/chaos.md."""

import argparse
import os
import platform
import re
from collections import Counter
from collections.abc import Sequence

from chaos.harm import Harm
from chaos.judge import Verdict
from chaos.ledger import Book

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def table(
    harm: Harm, books: Sequence[Book], verdict: Verdict, worked_s: float, rested_s: float, asked: argparse.Namespace
) -> str:
    """What was done, and what came of it."""
    refused = refusals(books)
    rows = [
        ("machine", f"{os.cpu_count()} cores, {platform.release()}"),
        ("database, seed, clients", f"{asked.database}, {asked.seed}, {asked.clients}"),
        ("time at work; until everything rested", f"{worked_s / 60:.1f} min; {rested_s:.1f} s"),
        ("attach/detach cycles", str(sum(book.cycles for book in books))),
        ("acknowledged writes", str(sum(len(book.landed) for book in books))),
        ("kills", counted(harm.kills)),
        ("stops", counted(harm.stops)),
        ("errors that clients saw", str(sum(book.errors for book in books))),
        ("answers of 400 and more", counted(refused)),
        ("blocks checked at the end", str(verdict.blocks)),
        ("lost or wrong blocks, writes behind a fence", str(len(verdict.lost))),
        ("stuck states", str(len(verdict.stuck))),
        ("leftovers", str(len(verdict.left))),
        ("broken invariants", str(len(verdict.wrong))),
    ]
    return "\n".join(["", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""])


def counted(counts: Counter[str]) -> str:
    """A sum and its parts."""
    parts = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    return f"{sum(counts.values())}" + (f" ({parts})" if parts else "")


def refusals(books: Sequence[Book]) -> Counter[str]:
    """How often each status was the answer to which kind of call."""
    found: Counter[str] = Counter()
    for book in books:
        for text in book.refused:
            method, path, status, *_ = text.split(" ", 3)
            found[f"{status} {method} {_ID.sub('ID', path.rsplit('/v3/', 1)[-1])}"] += 1
    return found
