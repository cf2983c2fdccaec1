"""The SQL that makes a table, as text. Names were checked or are quoted here."""

from collections.abc import Iterator

from libs.common.contracts.definition import Destination
from libs.common.schema import Array, Field, Map, Struct, Type, literal, quoted, sql
from services.executor.adapters.iceberg_sql import WAP_ENABLED
from services.executor.domain.layout import Layout

DISTRIBUTION = "write.distribution-mode"
_DEFAULTS = {"format-version": "2"}
"""What every engine of today reads."""


def create_table(to: Destination, schema: Struct, layout: Layout, *, location: str | None = None) -> str:
    """Staging is on from the first commit. ``settle`` has what this statement cannot say."""
    columns = ", ".join(f"{quoted(f.name)} {_declared(f)}" for f in schema.fields)
    properties = _DEFAULTS | dict(layout.properties) | {WAP_ENABLED: "true"}
    return " ".join(
        [
            f"CREATE TABLE IF NOT EXISTS {to.identifier}",
            *([f"({columns})"] if columns else []),
            "USING iceberg",
            *([f"PARTITIONED BY ({', '.join(layout.parts)})"] if layout.parts else []),
            *([f"COMMENT {literal(layout.comment)}"] if layout.comment else []),
            *([f"LOCATION {literal(location)}"] if location else []),
            f"TBLPROPERTIES ({', '.join(f'{literal(n)}={literal(v)}' for n, v in properties.items())})",
        ]
    )


def settle(to: Destination, layout: Layout) -> Iterator[str]:
    """What is said of a new table after it was made. Each statement can be sent again."""
    if layout.identifiers:
        yield f"ALTER TABLE {to.identifier} SET IDENTIFIER FIELDS {', '.join(layout.identifiers)}"
    if layout.order:
        yield f"ALTER TABLE {to.identifier} WRITE ORDERED BY {', '.join(layout.order)}"
        # The statement sets this one as well, whatever it was before.
        mode = layout.properties.get(DISTRIBUTION)
        change = (
            f"SET TBLPROPERTIES ('{DISTRIBUTION}'={literal(mode)})"
            if mode
            else f"UNSET TBLPROPERTIES ('{DISTRIBUTION}')"
        )
        yield f"ALTER TABLE {to.identifier} {change}"


def _declared(field: Field) -> str:
    required = " NOT NULL" if field.required else ""
    comment = f" COMMENT {literal(field.comment)}" if field.comment else ""
    return f"{_type(field.type)}{required}{comment}"


def _type(found: Type) -> str:
    """As ``schema.sql``, with what is said of inner fields."""
    match found:
        case Struct(fields=fields):
            return "struct<" + ", ".join(f"{quoted(f.name)}: {_declared(f)}" for f in fields) + ">"
        case Array(element=element):
            return f"array<{_type(element)}>"
        case Map(key=key, value=value):
            return f"map<{_type(key)}, {_type(value)}>"
        case str():
            return sql(found)
