"""Which columns a decision is about, and what a rollback can mean. Pure: values in, values or a refusal out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from libs.common.ddl import parse_path, written_path
from libs.common.errors import Conflict, Invalid
from libs.common.ledger.model.columns import Proposal
from libs.common.schema_diff import Difference, differences

Said = Sequence[Mapping[str, Any]]
"""Rows of ``ledger.column_decision``."""


def meant(asked: Sequence[str] | None, said: Said, columns: Mapping[str, str]) -> list[Proposal]:
    """The columns that somebody means: those that are named, or all that wait. ``columns`` are the table's.

    Raises:
        Conflict: code ``nothing_held``. Invalid: code ``unknown_column``.
    """
    known = {row["column"]: _proposal(row) for row in said}
    if asked is None:
        held = [known[row["column"]] for row in said if row["state"] == "held"]
        if not held:
            raise Conflict(
                "no column waits for a decision",
                code="nothing_held",
                hint="name columns, or let new ones wait with format.schema.hold_new_columns",
            )
        return held
    known |= {written_path((name,)): Proposal(written_path((name,)), type_) for name, type_ in columns.items()}
    names = [_written(name) for name in asked]
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise Invalid(
            f"neither does {', '.join(unknown)} wait for a decision, nor is it a column of the table",
            code="unknown_column",
            hint="GET …/schema lists both; a field inside of a struct can be rejected before it is a column",
        )
    return [known[name] for name in dict.fromkeys(names)]


def whole_columns(asked: Sequence[str]) -> list[str]:
    """The names of columns, as a table has them, from what people write.

    Raises:
        Invalid: code ``unknown_column``: not a name, or one of a field inside of a column.
    """
    paths = [parse_path(_written(name)) for name in dict.fromkeys(asked)]
    inner = [path for path in paths if len(path) > 1]
    if inner:
        raise Invalid(
            f"{written_path(inner[0])} is a field inside of a column",
            code="unknown_column",
            hint=f"name the whole column: {written_path(inner[0][:1])}",
        )
    return [name for (name,) in paths]


@dataclass(frozen=True, slots=True)
class Rollback:
    """``rejected`` came after the version, ``approved`` are in it and were rejected since; ``kept`` cannot be taken
    back."""

    rejected: tuple[Proposal, ...]
    approved: tuple[Proposal, ...]
    kept: tuple[Difference, ...]


def rollback(wanted: Mapping[str, str], columns: Mapping[str, str], said: Said) -> Rollback:
    """What brings files back to the columns of an earlier version, ``wanted``, in a table that has ``columns``."""
    since = differences(wanted, columns)
    tops = {written_path((name,)): name for name in columns}
    rejected = tuple(Proposal(d.column, d.type or "") for d in since if d.kind == "added" and d.column in tops)
    out = {row["column"] for row in said if row["state"] == "rejected"}
    back = tuple(
        Proposal(written_path((name,)), type_) for name, type_ in wanted.items() if written_path((name,)) in out
    )
    return Rollback(rejected, back, tuple(d for d in since if d.kind != "added" or d.column not in tops))


def _proposal(row: Mapping[str, Any]) -> Proposal:
    return Proposal(row["column"], row["type"], row["file"], row["example"])


def _written(name: str) -> str:
    try:
        if "\x00" in name:
            raise ValueError("no column has the NUL character in its name")
        return written_path(parse_path(name))
    except ValueError as e:
        raise Invalid(str(e), code="unknown_column", hint="GET …/schema lists the columns") from None
