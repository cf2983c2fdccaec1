"""The columns of ``reader``, as SQL over the fields of files that bring their own schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from libs.common.schema import Field, Struct, literal, quoted, sql
from services.executor.adapters.reading import conversion
from services.executor.adapters.reading.origin import LINE, PATH
from services.executor.domain.file_types import stored
from services.executor.domain.fitting import Fit, fit
from services.executor.domain.provenance import data_of, is_rescuing

_NO_TEXT = "CAST(NULL AS string)"
# Left to itself, Spark writes no more than milliseconds.
_MICROSECONDS = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"
_TIMES = f"map('timestampFormat', {literal(f'{_MICROSECONDS}XXX')}, 'timestampNTZFormat', {literal(_MICROSECONDS)})"


@dataclass(frozen=True, slots=True)
class TypedRecord:
    """Records of files of one schema, before a table. ``needed`` are the fields of the files that are read."""

    fit: Fit
    rescues: bool
    needed: Struct
    misfits: Mapping[str, str]
    """By column: the condition, never null, under which it cannot hold what the record has for it."""

    @classmethod
    def of(cls, table: Struct, file: Struct) -> "TypedRecord":
        found, rescues = fit(data_of(table), file), is_rescuing(table)
        ours = {theirs.name for _, theirs in found.pairs if theirs is not None}
        needed = Struct(tuple(f for f in file.fields if rescues or f.name in ours))
        return cls(found, rescues, needed, dict(_misfits(found)))

    def columns(self, *, numbered: bool) -> list[str]:
        """All but the file's version and position, which follow from its path."""
        faults = self._faults()
        bad = " OR ".join(faults) or "false"
        reason = " ".join(f"WHEN {condition} THEN {literal(words)}" for condition, words in faults.items())
        told = [
            f"CASE WHEN {bad} THEN to_json({_as_stored(self.needed)}, {_TIMES}) END AS raw",
            f"{LINE} AS line",
            f"CASE {reason} END AS reason" if reason else f"{_NO_TEXT} AS reason",
        ]
        return [
            f"{PATH} AS path",
            f"struct({', '.join(map(self._value, self.fit.pairs))}) AS row",
            "false AS blank",
            f"{bad} AS bad",
            f"{_names(map(literal, sorted(self.fit.unknown)))} AS unknown",
            f"{_names(f'IF({c}, {literal(name)}, NULL)' for name, c in self.misfits.items())} AS misfits",
            f"{self._outside()} AS outside",
            *(told if numbered else [f"{_NO_TEXT} AS raw"]),
        ]

    def _value(self, pair: tuple[Field, Field | None]) -> str:
        ours, theirs = pair
        if theirs is None or ours.name in self.fit.clashes:
            return f"CAST(NULL AS {sql(ours.type)}) AS {quoted(ours.name)}"
        value = conversion.value(quoted(theirs.name), theirs.type, ours.type)
        if self.rescues and ours.name in self.misfits:
            value = f"IF({self.misfits[ours.name]}, NULL, {value})"
        return f"{value} AS {quoted(ours.name)}"

    def _faults(self) -> dict[str, str]:
        """Conditions that make a record bad, with the words for each."""
        faults: dict[str, str] = {}
        for ours, theirs in self.fit.pairs:
            if ours.required:
                missing = f"{quoted(theirs.name)} IS NULL" if theirs else "true"
                faults[missing] = f"column {ours.name!r} must have a value, and has none here"
            if theirs is not None and ours.name in self.misfits and not self.rescues:
                cannot = f"column {ours.name!r} is {sql(ours.type)} and cannot hold this {sql(theirs.type)} whole"
                faults[self.misfits[ours.name]] = self.fit.clashes.get(ours.name, cannot)
        if not self.fit.pairs:
            faults["true"] = "the table has no column"
        return faults

    def _outside(self) -> str:
        """JSON of the fields that have no column, or something in them that has none, and of values that do not fit."""
        if not self.rescues:
            return _NO_TEXT
        column_of = {theirs.name: ours.name for ours, theirs in self.fit.pairs if theirs is not None}
        kept: list[tuple[Field, str]] = []
        for f in self.needed.fields:
            ours = column_of.get(f.name)
            if ours is None or self._has_unknown_inside(f.name, ours):
                kept.append((f, "true"))
            elif ours in self.misfits:
                kept.append((f, self.misfits[ours]))
        if not kept:
            return _NO_TEXT
        values = ", ".join(f"IF({c}, {_stored(f)}, NULL) AS {quoted(f.name)}" for f, c in kept)
        return f"nullif(to_json(struct({values}), {_TIMES}), '{{}}')"

    def _has_unknown_inside(self, *names: str) -> bool:
        return any(unknown == name or unknown.startswith(f"{name}.") for unknown in self.fit.unknown for name in names)


def _misfits(found: Fit) -> Iterator[tuple[str, str]]:
    for ours, theirs in found.pairs:
        if theirs is None:
            continue
        if ours.name in found.clashes:
            yield ours.name, f"{quoted(theirs.name)} IS NOT NULL"
        elif (condition := conversion.loses(quoted(theirs.name), theirs.type, ours.type)) is not None:
            yield ours.name, condition


def _stored(field: Field) -> str:
    return conversion.value(quoted(field.name), field.type, stored(field.type))


def _as_stored(fields: Struct) -> str:
    return f"struct({', '.join(f'{_stored(f)} AS {quoted(f.name)}' for f in fields.fields)})"


def _names(of: Iterator[str]) -> str:
    some = ", ".join(of)
    return f"array_compact(array({some}))" if some else "CAST(array() AS array<string>)"
