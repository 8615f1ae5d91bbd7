"""`column IN (many values)` as one parameter: a statement whose text and cost do not grow with the number of values."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import JSON, BindParameter, Boolean, ColumnElement, bindparam, literal, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Among(FunctionElement[bool]):
    name = "among"
    type = Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True  # on SQLite it would be compared with 1 otherwise, which keeps it from any index


def among(column: ColumnElement[Any], values: Sequence[str] | BindParameter[Any]) -> ColumnElement[bool]:
    """
    Whether the column's text is one of `values`, or of those given under the parameter's name when the statement is
    carried out. For lists as long as a page; two or three belong into `in_`.
    """
    return _Among(column, values if isinstance(values, BindParameter) else literal(list(values), JSON))


def either(column: ColumnElement[Any], words: Iterable[str]) -> ColumnElement[bool]:
    """Whether the column is one of these words, which are part of the statement: states, kinds."""
    chosen = sorted(words)
    if not all(re.fullmatch("[a-z_-]+", word) for word in chosen):
        raise AssertionError(f"{chosen} are not words")
    return column.in_([literal_column(f"'{word}'") for word in chosen])


def several(name: str) -> BindParameter[Any]:
    """A parameter whose value is a list."""
    return bindparam(name, type_=JSON)


@compiles(_Among, "sqlite")
def _sqlite(element: _Among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(_Among, "postgresql")
def _postgresql(element: _Among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY (ARRAY(SELECT json_array_elements_text({values})))"
