"""From the cells of a CSV record to the columns of a table, as SQL. Every cell is a text, or null."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.common.schema import Field, Struct, literal, quoted, sql

_SHOWN_MAX = 60


@dataclass(frozen=True, slots=True)
class Cells:
    """Files of one header: ``names`` in their order; cell ``i`` is the field ``c<i>`` of the struct ``cells``."""

    names: Sequence[str]
    null_value: str | None = None

    def cell(self, at: int) -> str:
        cell = f"cells.c{at}"
        return cell if self.null_value is None else f"nullif({cell}, {literal(self.null_value)})"

    def row(self, table: Struct) -> str:
        """The row. A column that the file has not is null in it."""
        if not table.fields:
            return "named_struct()"
        values = (f"{self._value(f)} AS {quoted(f.name)}" for f in table.fields)
        return f"struct({', '.join(values)})"

    def unknown(self, table: Struct) -> list[str]:
        return sorted(set(self.names) - {f.name for f in table.fields})

    def misfits(self, table: Struct) -> Iterator[tuple[str, str, str]]:
        """Columns that may not hold a cell: the name; the condition for that, over ``row``, never null; and SQL for
        the reason."""
        for f in table.fields:
            at = self._place(f)
            if at is None or f.type == "string":
                continue
            cell, column = self.cell(at), f"row.{quoted(f.name)}"
            is_lost = f"{column} IS NULL AND trim(coalesce({cell}, '')) <> ''"
            if isinstance(f.type, str) and f.type.startswith("decimal"):
                is_lost = f"({is_lost} OR coalesce({column} <> try_cast({cell} AS decimal(38,18)), false))"
            words = literal(f"column {f.name!r} is {sql(f.type)} and cannot hold ")
            yield f.name, f"({is_lost})", f"concat({words}, left({cell}, {_SHOWN_MAX}))"

    def outside(self, table: Struct) -> str:
        """A JSON object of the cells that no column holds; null if there is none."""
        kept = [(name, self.cell(self.names.index(name))) for name in self.unknown(table)]
        kept += [
            (name, f"IF({is_lost}, {self.cell(self.names.index(name))}, NULL)")
            for name, is_lost, _ in self.misfits(table)
        ]
        if not kept:
            return "CAST(NULL AS string)"
        cells = (
            f"map_filter(map({', '.join(f'{literal(name)}, {cell}' for name, cell in kept)}), (k, v) -> v IS NOT NULL)"
        )
        return f"IF(size({cells}) > 0, to_json({cells}), NULL)"

    def _place(self, field: Field) -> int | None:
        return self.names.index(field.name) if field.name in self.names else None

    def _value(self, field: Field) -> str:
        at, type_ = self._place(field), sql(field.type)
        if at is None:
            return f"CAST(NULL AS {type_})"
        if field.type == "string":
            return self.cell(at)
        text = f"nullif(trim({self.cell(at)}), '')"
        if not isinstance(field.type, str):
            return f"from_json({text}, {literal(type_)})"
        return f"CAST({text} AS binary)" if field.type == "binary" else f"try_cast({text} AS {type_})"
