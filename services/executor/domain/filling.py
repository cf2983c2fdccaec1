"""Which columns can be filled from what was rescued, and what is told of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.common.contracts.reports import ColumnFilled, FillReport
from libs.common.ddl import keys_that_are_no_text
from libs.common.errors import Permanent
from libs.common.schema import Field, Struct
from services.executor.domain.evolution import Rules
from services.executor.domain.provenance import data_of, is_rescued


@dataclass(frozen=True, slots=True)
class Wanted:
    """Columns to fill, and the one that holds what was rescued."""

    columns: tuple[Field, ...]
    rescued: Field


@dataclass(frozen=True, slots=True)
class Fillable:
    """What a table could be given, as of its current snapshot: ``total`` are its rows, ``rows`` those that would
    change. ``filled`` and ``unfit`` go by column: rows that would get a value, and rows whose value does not fit."""

    snapshot_id: int
    total: int
    rows: int
    filled: tuple[int, ...]
    unfit: tuple[int, ...]


def wanted(table: str, schema: Struct, asked: Sequence[str] | None, rules: Rules) -> Wanted:
    """The columns that are meant: those that are named, or all that files fill.

    Raises:
        Permanent: codes ``nothing_is_rescued``, ``cannot_fill``.
    """
    rescued = next((f for f in schema.fields if is_rescued(f)), None)
    if rescued is None:
        raise Permanent(
            f"{table} has no column for what is rescued",
            code="nothing_is_rescued",
            hint="format.schema.rescued_data_column makes one for what comes from now on; what was left out before is "
            "in the files alone: reload them",
        )
    from_records = data_of(rules.reading(schema)).fields
    can_be = {f.name: f for f in from_records if not keys_that_are_no_text(f.type)}
    unknown = sorted(set(asked or ()) - can_be.keys())
    if unknown:
        raise Permanent(
            f"{', '.join(unknown)} cannot be filled from {rescued.name}: {table} has no such column that records fill",
            code="cannot_fill",
            hint="GET …/schema lists the columns; one that was rejected has to be approved first, and what keys fill "
            "is not in records",
        )
    names = dict.fromkeys(asked) if asked is not None else can_be
    return Wanted(tuple(can_be[name] for name in names), rescued)


def report(of: Wanted, found: Fillable) -> FillReport:
    """What a fill did, or found that there is nothing to do."""
    columns = zip(of.columns, found.filled, found.unfit, strict=True)
    told = tuple(ColumnFilled(column=f.name, filled=n, unfit=no) for f, n, no in columns if n or no)
    return FillReport(rows_changed=found.rows, columns=told)
