"""`column IN (many values)` as one parameter: a statement whose text and cost do not grow with the number of values."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, BindParameter, Boolean, ColumnElement, bindparam, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Among(FunctionElement[bool]):
    name = "among"
    type = Boolean()
    inherit_cache = True


def among(column: ColumnElement[Any], values: Sequence[str] | BindParameter[Any]) -> ColumnElement[bool]:
    """
    Whether the column's text is one of `values`, or of those given under the parameter's name when the statement is
    carried out. For lists as long as a page; two or three belong into `in_`.
    """
    return _Among(column, values if isinstance(values, BindParameter) else literal(list(values), JSON))


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
