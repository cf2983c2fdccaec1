"""Many rows of values in one statement, which stays the same however many they are: one array a column, not one
parameter a value. Postgres plans it once, and SQLAlchemy renders it once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import TableValuedAlias, bindparam, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

Columns = Mapping[str, TypeEngine[Any]]


def rows_of(name: str, columns: Columns, rows: Iterable[Sequence[Any]]) -> TableValuedAlias:
    """``rows`` as a table of a query. Each has a value for every column, in that order."""
    values: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [
        bindparam(f"{name}_{column}", list(those), ARRAY(type_), unique=True)
        for (column, type_), those in zip(columns.items(), values, strict=True)
    ]
    return func.unnest(*arrays).table_valued(*columns, name=name).render_derived()
