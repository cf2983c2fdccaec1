"""Many rows of values in one statement, which stays the same however many they are: one array a column, not one
parameter a value. Postgres plans it once, and SQLAlchemy renders it once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, TableValuedAlias, Text, bindparam, cast, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

Columns = Mapping[str, TypeEngine[Any]]


def rows_of(name: str, columns: Columns, rows: Iterable[Sequence[Any]]) -> TableValuedAlias:
    """``rows`` as a table of a query. Each has a value for every column, in that order."""
    arrays = arrays_of(name, columns, rows)
    binds = [
        bindparam(key, those, ARRAY(type_), unique=True)
        for (key, those), type_ in zip(arrays.items(), columns.values(), strict=True)
    ]
    return _table(name, columns, binds)


def given_rows(name: str, columns: Columns) -> TableValuedAlias:
    """As ``rows_of``, in a statement that is built once; it is executed with ``arrays_of`` as its parameters."""
    return _table(
        name, columns, [bindparam(f"{name}_{column}", type_=ARRAY(type_)) for column, type_ in columns.items()]
    )


def arrays_of(name: str, columns: Columns, rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """``rows`` for the ``given_rows`` of this name. Each has a value for every column, in that order."""
    values: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(columns)
    return {f"{name}_{column}": list(those) for column, those in zip(columns, values, strict=True)}


def _table(name: str, columns: Columns, arrays: Sequence[ColumnElement[Any]]) -> TableValuedAlias:
    return func.unnest(*arrays).table_valued(*columns, name=name).render_derived()


def number_of(
    digest: ColumnElement[bytes], numbers: Mapping[bytes, int]
) -> tuple[ColumnElement[bool], ColumnElement[int]]:
    """Whether ``numbers`` has one for the digest in a row, and which. It is looked up in an object, row by row: a join
    with an array takes the square of a batch's files as soon as Postgres takes the batch for a small one, which it
    does where hardly any file is in a batch."""
    by_digest = bindparam("numbers", {key.hex(): number for key, number in numbers.items()}, JSONB, unique=True)
    key = func.encode(digest, "hex")
    return by_digest.has_key(key), cast(by_digest.op("->>", return_type=Text())(key), BigInteger)
