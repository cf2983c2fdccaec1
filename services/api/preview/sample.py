"""What the heads of some files show: columns with their evidence, rows, and trouble. Pure.

Numbers are of the sample. A file that a run would read as a whole is seen here by its first lines only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from libs.common.contracts.definition import Definition
from libs.common.contracts.schema_rules import SchemaRules
from libs.common.key_columns import KeyUnfit, values_of, with_key_columns
from libs.common.schema import Struct, distinct
from libs.common.schema_hints import hinted, parse_hints
from libs.common.schema_maps import with_maps
from services.api.preview.inference import Place, is_blank, line_of
from services.api.preview.lines import Head, is_compressed

ROWS_MAX = 10
PLACES_MAX = 5_000
"""Names of fields in one sample. Where names are data, a table of all of them would help nobody."""

_AS_JSON = frozenset({"int", "bigint", "float", "double", "boolean"})


@dataclass(slots=True)
class Column:
    """What was seen of a field of the records. ``values`` counts those that are not null."""

    values: int = 0
    files: int = 0
    first_file: str = ""
    example: Any = None


@dataclass(slots=True)
class BadLines:
    """The first line of a file that is no record, from 1, and how many more there are in the sample."""

    file: str
    line: int
    count: int = 1


@dataclass(slots=True)
class Sample:
    """Grows by one file at a time. ``looked_at_bytes`` are the files' own bytes that the records came from; they are
    not known (``is_measured``) where only a part of a compressed file came out. ``rules`` is what the definition says
    about the columns, of which those named ``keyed`` are filled from keys below ``prefix``; ``misplaced`` are the files
    whose keys do not fit them."""

    rules: SchemaRules = field(default_factory=SchemaRules)
    prefix: str = ""
    keyed: Sequence[str] = ()
    places: Place = field(default_factory=Place)
    columns: dict[str, Column] = field(default_factory=dict)
    files: int = 0
    records: int = 0
    bytes_read: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    bad: list[BadLines] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    misplaced: dict[str, str] = field(default_factory=dict)
    gone: int = 0
    cut: bool = False
    looked_at_bytes: int = 0
    is_measured: bool = True

    @classmethod
    def of(cls, definition: Definition) -> Self:
        """An empty one, of this ingestion's files."""
        source = definition.source
        return cls(definition.format.schema_rules, source.prefix, source.partition_columns)

    def add(self, file: str, head: Head, size_bytes: int) -> None:
        """Takes in the first lines of a file, of which ``size_bytes`` were transferred."""
        self.files += 1
        self.bytes_read += size_bytes
        self.cut = self.cut or not head.is_all
        if is_compressed(file):
            self.looked_at_bytes += size_bytes
            self.is_measured = self.is_measured and head.is_all
        else:
            self.looked_at_bytes += sum(len(line) + 1 for line in head.lines)
        if head.problem is not None:
            self.problems[file] = head.problem
        try:
            told = self._told_by(file)
        except KeyUnfit as unfit:
            self.misplaced[file] = str(unfit)
            return
        bad: BadLines | None = None
        seen: set[str] = set()
        for number, raw in enumerate(head.lines, 1):
            if is_blank(raw):
                continue
            line = line_of(raw)
            for shown in line.shown:
                self.places.see(shown, file)
            if line.record is not None:
                records = {n: v for n, v in line.record.items() if not self.is_keyed(n)}
                self._record(file, {**records, **told}, seen)
            elif bad is None:
                bad = BadLines(file, number)
                self.bad.append(bad)
            else:
                bad.count += 1
        for name in seen:
            self.columns[name].files += 1

    def lose(self, file: str) -> None:
        """A file is not there any more as it was listed."""
        self.gone += 1
        self.problems[file] = "it was changed or deleted while the preview looked"

    @property
    def schema(self) -> Struct:
        """The columns that a new table gets: the given ones, and from these lines those that the rules let in."""
        hints = parse_hints(self.rules.hints)
        shown = with_maps(self.places.struct, hints)
        assert isinstance(shown, Struct)
        records = Struct(tuple(f for f in shown.fields if not self.is_keyed(f.name)))
        found = distinct(hinted(with_key_columns(records, self.keyed), hints))
        assert isinstance(found, Struct)
        given = self.rules.columns and with_key_columns(self.rules.columns, self.keyed, hints)
        if given is None:
            return found
        names = {f.name.lower() for f in given.fields}
        more = (f for f in found.fields if f.name.lower() not in names)
        return Struct((*given.fields, *(more if self.rules.adds_columns else ())))

    @property
    def overruled(self) -> list[str]:
        """Fields of records whose columns are filled from keys."""
        return [f.name for f in self.places.struct.fields if self.is_keyed(f.name)]

    def _told_by(self, key: str) -> dict[str, Any]:
        """
        Raises:
            KeyUnfit: see ``values_of``.
        """
        known = with_key_columns(self.rules.columns or Struct(), self.keyed, parse_hints(self.rules.hints))
        columns = {f.name: f for f in known.fields if self.is_keyed(f.name)}
        told = values_of(key, self.prefix, columns.values())
        return {
            name: json.loads(text) if text is not None and columns[name].type in _AS_JSON else text
            for name, text in told.items()
        }

    def is_keyed(self, name: str) -> bool:
        return name.lower() in {keyed.lower() for keyed in self.keyed}

    def records_in(self, size_bytes: int) -> int | None:
        """How many records so many bytes of such files hold, about; None if the sample does not tell."""
        if not self.records or not self.is_measured:
            return None
        return round(size_bytes * self.records / self.looked_at_bytes)

    def _record(self, file: str, record: dict[str, Any], seen: set[str]) -> None:
        self.records += 1
        if len(self.rows) < ROWS_MAX:
            self.rows.append(record)
        for name, value in record.items():
            column = self.columns.get(name)
            if column is None:
                column = self.columns[name] = Column(first_file=file)
            seen.add(name)
            if value is not None:
                column.values += 1
                if column.example is None or column.example == "":
                    column.example = value
