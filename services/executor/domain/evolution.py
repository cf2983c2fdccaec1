"""What an ingestion's rules make of fields and values that its table has no place for.

``rescue`` and ``none`` leave the columns as they are; so does ``fail_on_new_columns``, which also refuses the file. The
others let the columns grow: by new ones, and with type widening by what Iceberg can change in place.
"""

from collections.abc import Set
from dataclasses import dataclass

from libs.common.contracts.schema_rules import EvolutionMode, SchemaRules
from libs.common.ddl import written_path
from libs.common.errors import Permanent
from libs.common.schema import Struct, distinct, sql
from libs.common.schema_hints import Hint, at, hinted, parse_hints
from services.executor.domain.audit import Refusal, Staged
from services.executor.domain.schema_change import SchemaChange, Widening, compare, widened


@dataclass(frozen=True, slots=True)
class Rules:
    """What the definition says about the columns, ready to be asked. ``given``: the columns of a new table; None: they
    are inferred. ``rescued``: the name of the column for what no other holds; None: there is none."""

    mode: EvolutionMode = "add_new_columns"
    hints: tuple[Hint, ...] = ()
    given: Struct | None = None
    rescued: str | None = None

    @classmethod
    def of(cls, rules: SchemaRules) -> "Rules":
        return cls(rules.mode, parse_hints(rules.hints), rules.columns, rules.rescued_column)

    @property
    def adds(self) -> bool:
        return self.mode in ("add_new_columns", "add_new_columns_with_type_widening")

    @property
    def widens(self) -> bool:
        return self.mode == "add_new_columns_with_type_widening"

    def first(self, found: Struct) -> Struct:
        """The columns of a new table whose first files show ``found``."""
        columns = distinct(hinted(found, self.hints))
        assert isinstance(columns, Struct)
        return columns


def suspects(rules: Rules, staged: Staged) -> Set[bytes]:
    """The files that may let the columns grow, by digest: they are looked into again."""
    fields = staged.unknown_fields.keys() if rules.adds else set()
    values = staged.misfits.keys() if rules.widens else set()
    return fields | values


def growth(rules: Rules, table: Struct, found: Struct, staged: Staged) -> SchemaChange:
    """What the files that were looked into again change, and what of them can never be had. Only a column with a value
    that did not fit is widened: an int column may have whole numbers in every file, all of them small. Hints count for
    what is new; what is there has its type, and may outgrow its hint."""
    change = compare(table, hinted(found, (h for h in rules.hints if at(table, h.path) is None)))
    misfits = frozenset().union(*staged.misfits.values())
    widenings = tuple(w for w in change.widenings if rules.widens and w.path[0] in misfits)
    return SchemaChange(change.additions, widenings, change.clashes)


def refusals(rules: Rules, staged: Staged, change: SchemaChange) -> dict[bytes, Refusal]:
    """The files that cannot be loaded beside the columns that there are, by digest."""
    if rules.mode == "fail_on_new_columns":
        return {digest: _new(names) for digest, names in staged.unknown_fields.items()}
    in_the_way = {".".join(c.path): str(c) for c in change.clashes}
    return {
        digest: Refusal("field_name_clash", in_the_way[name], _AS_THE_TABLE_HAS_IT)
        for digest, names in staged.unknown_fields.items()
        for name in sorted(names, reverse=True)
        if name in in_the_way
    }


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
    some = ", ".join(repr(name) for name in sorted(names)[:_NAMED_MAX])
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return Refusal(
        "new_columns",
        f"the table has no column for {some}{more}, and schema_evolution_mode is fail_on_new_columns",
        "add the columns to the table, or change the mode; then retry the run",
    )
