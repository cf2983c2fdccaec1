"""How a table lies in storage, and what is said of it, beside its columns: of one that is made, and of one that takes
another's place. Pure.

Autoloader writes into the table what it was asked for when it made it (``ASKED``). So a refresh can tell two things
apart: a definition that was changed since, which the new table follows, and a table that its user changed, whose ways
the new table keeps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from libs.common.contracts.definition import Definition, Destination
from libs.common.contracts.partitioning import parse
from libs.common.errors import Permanent
from libs.common.partitioned import Fit, fit
from libs.common.schema import Struct

ASKED: Final = "autoloader.partitioning"
"""The property of a table that says how its definition wanted it partitioned; absent if not at all."""
TARGET_FILE_SIZE: Final = "write.target-file-size-bytes"

NO_NAMES_FROM_VALUES: Final = {
    "write.object-storage.enabled": "true",
    "write.object-storage.partitioned-paths": "false",
}
"""Otherwise a partition is a folder with its value in its name. A text can be longer than a store takes as a name, and
then its row, with all others of its batch, could never be written."""

_OF_ONE_TABLE: Final = frozenset({"schema.name-mapping.default"})
"""Properties that speak of the old table's column ids; a new one's are others."""


@dataclass(frozen=True, slots=True)
class Layout:
    """``parts`` of the partitioning and of the sort ``order`` are as SQL writes them; ``identifiers`` are the columns
    that tell a row, in the same way. ``properties`` are those that people set, the format's version among them."""

    parts: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""


PLAIN: Final = Layout()
"""Nothing is said of the table."""


def of_new_table(definition: Definition, schema: Struct) -> tuple[Struct, Layout]:
    """The columns and the layout of a table that has none before it.

    Raises:
        Permanent: ``partition_column_missing``, ``partition_type``, ``partition_name_taken``: it cannot be
            partitioned as the definition says.
    """
    found = _fitting(definition, schema)
    return found.schema, Layout(_written(found), properties=_paths(found) | _asked(definition.destination))


def of_next_table(definition: Definition, schema: Struct, old: Layout) -> tuple[Struct, Layout]:
    """Those of a table that takes the place of one with these columns and this layout.

    Raises:
        Permanent: as ``of_new_table``.
    """
    kept = {name: value for name, value in old.properties.items() if name not in _OF_ONE_TABLE and name != ASKED}
    properties = kept | _asked(definition.destination)
    if properties.get(ASKED) == old.properties.get(ASKED):
        return schema, replace(old, properties=properties)
    found = _fitting(definition, schema)
    return found.schema, replace(old, parts=_written(found), properties=_paths(found) | properties)


def wishes(to: Destination) -> dict[str, str]:
    """The properties that a table is given whenever it lacks them: they hold for what is written from then on."""
    size = to.optimization.target_file_size_bytes
    return {} if size is None else {TARGET_FILE_SIZE: str(size)}


def unlike(table: str, to: Destination, parts: Sequence[str]) -> tuple[str, ...]:
    """What a user should know of a table that is partitioned otherwise than the definition says."""
    wanted = to.partitioning.parts
    if not wanted or list(map(_plain, parts)) == [str(part).lower() for part in wanted]:
        return ()
    return (
        f"{table} is partitioned by {', '.join(parts) or 'nothing'}, not by {', '.join(map(str, wanted))} as "
        "destination.partitioning says: a table that is there is written as it stands. A full refresh makes it anew",
    )


def _fitting(definition: Definition, schema: Struct) -> Fit:
    found = fit(schema, definition.destination.partitioning.parts, definition.format.schema_rules)
    if found.misfits:
        first = found.misfits[0]
        raise Permanent(first.message, code=first.code, hint=first.hint)
    return found


def _written(found: Fit) -> tuple[str, ...]:
    return tuple(part.sql for part in found.parts)


def _paths(found: Fit) -> dict[str, str]:
    return dict(NO_NAMES_FROM_VALUES) if found.has_texts else {}


def _asked(to: Destination) -> dict[str, str]:
    """The properties by which the definition shows in a table that is made for it."""
    parts = to.partitioning.parts
    return wishes(to) | ({ASKED: ", ".join(map(str, parts))} if parts else {})


def _plain(part: str) -> str:
    try:
        return str(parse(part)).lower()
    except ValueError:  # a transform that others may write and we do not
        return part.lower()
