"""What an ingestion's rules make of fields and values that its table has no place for.

``rescue`` and ``none`` leave the columns as they are; so does ``fail_on_new_columns``, which also refuses the file. The
others let the columns grow: by new ones, and with type widening by what Iceberg can change in place.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Self

from libs.common.contracts.schema_rules import EvolutionMode, SchemaRules
from libs.common.ddl import parse_path, written_path
from libs.common.errors import Permanent
from libs.common.key_columns import with_key_columns
from libs.common.ledger.model.columns import Decisions, Evidence, Proposal
from libs.common.schema import Field, Struct, Type, distinct, sql
from libs.common.schema_hints import Hint, at, hinted, parse_hints
from libs.common.schema_maps import with_maps
from services.executor.domain.audit import Refusal, Staged
from services.executor.domain.from_keys import marked
from services.executor.domain.provenance import is_ours, is_rescuing
from services.executor.domain.schema_change import Addition, SchemaChange, Widening, compare, widened, widest


@dataclass(frozen=True, slots=True)
class Rules:
    """What the definition says about the columns, ready to be asked. ``given``: the columns of a new table; None: they
    are inferred. ``rescued``: the name of the column for what no other holds; None: there is none. ``holds``: new
    columns need somebody's word, and ``decided`` is what was said of which. ``keyed``: the columns that are filled from
    keys; what a record has under such a name counts for nothing. ``finds_maps``: new columns may be maps where objects
    were found whose names are data; so it is with JSON, which does not say which they are."""

    mode: EvolutionMode = "add_new_columns"
    hints: tuple[Hint, ...] = ()
    given: Struct | None = None
    rescued: str | None = None
    holds: bool = False
    decided: Decisions = field(default_factory=Decisions)
    keyed: tuple[str, ...] = ()
    finds_maps: bool = False

    @classmethod
    def of(cls, rules: SchemaRules, decided: Decisions, keyed: Sequence[str] = (), *, finds_maps: bool = False) -> Self:
        hints = parse_hints(rules.hints)
        given = rules.columns and with_key_columns(rules.columns, keyed, hints)
        holds, rescued = rules.hold_new_columns, rules.rescued_column
        return cls(rules.mode, hints, given, rescued, holds, decided, tuple(keyed), finds_maps)

    @property
    def adds(self) -> bool:
        return self.mode in ("add_new_columns", "add_new_columns_with_type_widening")

    @property
    def widens(self) -> bool:
        return self.mode == "add_new_columns_with_type_widening"

    def first(self, found: Struct) -> Struct:
        """The columns of a new table whose first files show ``found``."""
        records = self.with_maps(Struct(tuple(f for f in found.fields if not self.is_keyed(f.name))))
        assert isinstance(records, Struct)
        columns = distinct(hinted(with_key_columns(records, self.keyed), self.hints))
        assert isinstance(columns, Struct)
        return Struct(tuple(f for f in columns.fields if not self.rejects((f.name,))))

    def reading(self, table: Struct) -> Struct:
        """The columns that files fill: not one that somebody rejected afterwards. It stays in the table, for what it
        has; new rows have a null there, and the field is one that the table lacks. Those that keys fill are marked.

        Raises:
            Permanent: ``partition_column_type``: keys cannot fill such a column.
        """
        filled = (f for f in table.fields if f.required or is_ours(f) or not self.rejects((f.name,)))
        return marked(Struct(tuple(filled)), self._keyed_lower)

    def lacking_keyed(self, table: Struct) -> tuple[Field, ...]:
        """The columns that keys are to fill, and that the table has to be given for it."""
        missing = with_key_columns(table, self.keyed, self.hints).fields[len(table.fields) :]
        return tuple(f for f in missing if not self.rejects((f.name,)))

    def with_maps(self, found: Type, path: tuple[str, ...] = ()) -> Type:
        """What was found at ``path``, as new columns hold it."""
        return with_maps(found, self.hints, path) if self.finds_maps else found

    def is_keyed(self, name: str) -> bool:
        return name.lower() in self._keyed_lower

    @property
    def _keyed_lower(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.keyed)

    def rejects(self, path: tuple[str, ...]) -> bool:
        return written_path(path) in self.decided.rejected

    def approves(self, path: tuple[str, ...]) -> bool:
        """Whether the field may become a column; who gave it a type has said so."""
        if self.rejects(path):
            return False
        is_said = written_path(path) in self.decided.approved or any(hint.path == path for hint in self.hints)
        return is_said or not self.holds


def suspects(rules: Rules, staged: Staged) -> Set[bytes]:
    """The files that may let the columns grow, by digest: they are looked into again."""
    rejected = {".".join(parse_path(column)) for column in rules.decided.rejected}
    fields = {
        digest
        for digest, names in staged.unknown_fields.items()
        if rules.adds and any(name not in rejected and not rules.is_keyed(name) for name in names)
    }
    values = staged.misfits.keys() if rules.widens else set()
    return fields | values


def growth(rules: Rules, table: Struct, found: Struct, staged: Staged) -> SchemaChange:
    """What the files that were looked into again would change, and what of them can never be had.

    Only a column with a value that did not fit is widened: an int column may have whole numbers in every file, all of
    them small. Hints count for what is new; what is there has its type, and may outgrow its hint.
    """
    records = Struct(tuple(f for f in found.fields if not rules.is_keyed(f.name)))
    change = compare(table, hinted(records, (h for h in rules.hints if at(table, h.path) is None)))
    misfits = frozenset().union(*staged.misfits.values())
    new = (a for a in change.additions if not rules.rejects(a.path))
    additions = tuple(replace(a, type=rules.with_maps(a.type, a.path)) for a in new)
    widenings = tuple(w for w in change.widenings if rules.widens and w.path[0] in misfits)
    return SchemaChange(additions, widenings, change.clashes)


def hidden(rules: Rules, table: Struct, change: SchemaChange, staged: Staged) -> tuple[Widening, ...]:
    """What could be widened in columns that have values that did not fit, and that ``change`` does not widen: a number
    and a text look like text together, whatever each of them asks for. Whether one of them does is to be tried."""
    if not rules.widens:
        return ()
    columns = frozenset().union(*staged.misfits.values()) - {w.path[0] for w in change.widenings}
    return tuple(w for f in table.fields if f.name in columns for w in widest(f.type, (f.name,)))


def asked_for(tried: Sequence[Widening], now: Mapping[str, int], then: Mapping[str, int]) -> tuple[Widening, ...]:
    """Those of ``tried`` that values ask for: with them fewer records have a value that their column cannot hold.
    ``now`` and ``then`` say how many, by column, without and with all of ``tried``."""
    return tuple(w for w in tried if then.get(w.path[0], 0) < now.get(w.path[0], 0))


def allowed(rules: Rules, change: SchemaChange) -> SchemaChange:
    """What of it needs nobody's word, or has it."""
    return replace(change, additions=tuple(a for a in change.additions if rules.approves(a.path)))


def refusals(rules: Rules, staged: Staged, change: SchemaChange) -> dict[bytes, Refusal]:
    """The files that cannot be loaded beside the columns that there are, by digest. What ``change`` still adds waits
    for somebody's word, and with it the files that have it."""
    if rules.mode == "fail_on_new_columns":
        new = {d: {n for n in names if not rules.is_keyed(n)} for d, names in staged.unknown_fields.items()}
        return {digest: _new(names) for digest, names in new.items() if names}
    in_the_way = {".".join(c.path): str(c) for c in change.clashes}
    clashes = {
        digest: Refusal("field_name_clash", in_the_way[name], _AS_THE_TABLE_HAS_IT)
        for digest, names in staged.unknown_fields.items()
        for name in sorted(names, reverse=True)
        if name in in_the_way
    }
    held = {a.name for a in change.additions}
    waiting = {d: _held(names & held) for d, names in staged.unknown_fields.items() if names & held}
    return waiting | clashes


def overruled(rules: Rules, table: Struct, staged: Staged) -> tuple[str, ...]:
    """What a user should know of fields whose columns are filled from keys."""
    names = {name for of_file in staged.unknown_fields.values() for name in of_file if rules.is_keyed(name)}
    kept = "kept beside it as any field without a column" if is_rescuing(table) else "left out"
    return tuple(
        f"files have a field {name!r} of their own: its column holds what their keys say, as source.partition_columns "
        f"asks; the field is {kept}"
        for name in sorted(names)
    )


def proposal(addition: Addition, seen: Evidence | None) -> Proposal:
    """What somebody is asked about a new column."""
    file, example = (seen.file, seen.example) if seen else (None, None)
    return Proposal(written_path(addition.path), sql(addition.type), file, example)


def asked_of(table: str, schema: Struct, rules: Rules) -> tuple[Widening, ...]:
    """What the hints ask of a table that is there already.

    Raises:
        Permanent: code ``hint_contradicts_table``: a column of another type, which cannot become the hint's.
    """
    asked = []
    for hint in rules.hints:
        has = at(schema, hint.path)
        if has is None or has == hint.type or (rules.widens and widened(hint.type, has) == has):
            continue
        if not (rules.widens and isinstance(has, str) and widened(has, hint.type) == hint.type):
            raise Permanent(
                f"{table} has {written_path(hint.path)} as {sql(has)}, and format.schema.hints says {sql(hint.type)}",
                code="hint_contradicts_table",
                hint="write the hint as the table has it, or leave it out; a full refresh makes the table anew",
            )
        asked.append(Widening(hint.path, has, hint.type))
    return tuple(asked)


_AS_THE_TABLE_HAS_IT = "write the field as the table has it, and upload the file again under the same key"
_NAMED_MAX = 5


def _new(names: Set[str]) -> Refusal:
    return Refusal(
        "new_columns",
        f"the table has no column for {_some(names)}, and schema_evolution_mode is fail_on_new_columns",
        "add the columns to the table, or change the mode; then retry the run",
    )


def _held(names: Set[str]) -> Refusal:
    return Refusal(
        "new_columns_held",
        f"the table has no column for {_some(names)}, and format.schema.hold_new_columns is true: the file waits",
        "POST …/schema/approve or …/schema/reject; the next run loads the file",
        waits=True,
    )


def _some(names: Set[str]) -> str:
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(repr(name) for name in sorted(names)[:_NAMED_MAX]) + more
