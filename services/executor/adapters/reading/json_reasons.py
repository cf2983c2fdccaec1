"""Why a line of JSON is no record of a schema, in a few words that name what does not fit."""

from collections.abc import Iterator

from libs.common.schema import Struct, Type, literal, quoted, sql

_SHOWN_MAX = 60
"""Characters of a value that a reason repeats."""


def reason(schema: Struct, corrupt: str, is_one_value: str) -> str:
    """The reason of a bad line, as SQL over its ``raw``, ``keys`` and ``row``. ``corrupt`` is the field of ``row`` that
    is null when all of the line fits, ``is_one_value`` says whether nothing follows the line's first value."""
    misfits = ", ".join(_misfit(path, type_) for path, type_ in _columns(schema)) or "NULL"
    required = " ".join(
        f"WHEN row.{quoted(f.name)} IS NULL THEN {literal(f'column {f.name!r} must have a value, and has none here')}"
        for f in schema.fields
        if f.required
    )
    return (
        "CASE WHEN NOT is_valid_utf8(raw) THEN 'not UTF-8' "
        "WHEN keys IS NULL AND get_json_object(raw, '$') IS NOT NULL THEN 'JSON, but not an object' "
        "WHEN keys IS NULL AND startswith(ltrim(raw), '{') AND NOT endswith(trim(TRAILING ' \\t\\r' FROM raw), '}') "
        "THEN 'a JSON object that is cut short' "
        "WHEN keys IS NULL THEN 'not JSON' "
        f"WHEN NOT {is_one_value} THEN 'something follows the JSON object on its line' "
        f"WHEN row.{quoted(corrupt)} IS NOT NULL THEN "
        f"coalesce({misfits}, 'a value does not fit its column') "
        f"{required} ELSE 'the table has no column' END"
    )


def _misfit(path: tuple[str, ...], type_: Type) -> str:
    """SQL: in what way the value at ``path`` does not fit; null if it does. The parser makes null of a misfit."""
    column = "row." + ".".join(map(quoted, path))
    steps = "".join(f"['{name}']" for name in path)
    value = f"get_json_object(raw, {literal('$' + steps)})"
    words = literal(f"column {'.'.join(path)!r} is {sql(type_)} and cannot hold ")
    return f"CASE WHEN {column} IS NULL AND {value} IS NOT NULL THEN concat({words}, left({value}, {_SHOWN_MAX})) END"


def _columns(found: Struct, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Type]]:
    """The columns, and the fields of structs below them, that can be asked for: a JSON path cannot quote a quote."""
    for f in found.fields:
        if "'" in f.name:
            continue
        if isinstance(f.type, Struct):
            yield from _columns(f.type, (*path, f.name))
        yield (*path, f.name), f.type
