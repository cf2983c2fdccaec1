"""What a swap may do, from what was found: pure."""

from collections.abc import Iterator, Sequence

from libs.common.errors import Permanent
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.refreshes import RefreshClaim
from libs.common.schema import Array, Map, Struct, Type, sql
from services.executor.domain import evidence
from services.executor.domain.provenance import data_of, is_ours
from services.executor.domain.schema_change import (
    Addition,
    Clash,
    SchemaChange,
    compare,
    lacking,
    with_additions,
    with_widenings,
)


def lacks(table: Struct, built: Struct) -> SchemaChange:
    """What lets ``table`` hold the rows of one that was built aside, and what stands against it."""
    data = data_of(built)
    change = compare(table, data)
    grown = with_widenings(with_additions(table, change.additions), change.widenings)
    ours = [Addition.of(f) for f in built.fields if is_ours(f)]
    return SchemaChange(
        additions=(*change.additions, *lacking(table, ours)),
        widenings=change.widenings,
        clashes=(*change.clashes, *_misfits(grown, data, ())),
    )


def _misfits(here: Type, there: Type, path: tuple[str, ...]) -> Iterator[Clash]:
    """Values of another type, however well they could be read from text: they are values already."""
    match here, there:
        case Struct(), Struct():
            for f in there.fields:
                twin = here.get(f.name)
                if twin is not None:
                    yield from _misfits(twin.type, f.type, (*path, f.name))
        case Array(element=inner), Array(element=built):
            yield from _misfits(inner, built, (*path, "element"))
        case Map(value=inner), Map(value=built):
            yield from _misfits(inner, built, (*path, "value"))
        case _ if here != there:
            yield Clash(path, sql(here), sql(there))


def check_columns(table: str, built: str, change: SchemaChange) -> None:
    """
    Raises:
        Permanent: code ``columns_differ``.
    """
    if change.clashes:
        raise Permanent(
            f"the rows of {built} do not fit {table}: {change.clashes[0]}",
            code="columns_differ",
            hint=f"ALTER TABLE {table} so that its column takes them; the next run that succeeds tries again",
        )


def check_rows(built: str, counted: int, recorded: int, ingestion_id: object) -> None:
    """
    Raises:
        Permanent: code ``built_table_differs``: somebody else wrote there, or took rows away.
    """
    if counted != recorded:
        raise Permanent(
            f"{built} holds {counted:,} rows, and {recorded:,} were loaded into it",
            code="built_table_differs",
            hint=f"POST /api/v1/ingestions/{ingestion_id}/audit says more; nobody else may write into that table. "
            "Undo the refresh, and refresh again",
        )


def cannot_swap(table: str) -> Permanent:
    """For a table in which nothing can be staged."""
    return Permanent(
        f"{table} takes no staged snapshots, so its rows cannot be replaced in one step",
        code="cannot_swap",
        hint='let Autoloader set write.wap.enabled on the table, or refresh with "strategy": "drop"',
    )


def properties(claim: RefreshClaim, rows: int, files: Sequence[FileVersion] | None) -> dict[str, str]:
    """What the snapshot that puts all rows in says of itself; without its files if they are too many to be named."""
    named = {} if files is None else {evidence.FILES: evidence.written(files)}
    return {
        "autoloader.batch": str(claim.id),
        "autoloader.run": str(claim.id),
        "autoloader.ingestion": str(claim.ingestion_id),
        "autoloader.generation": str(claim.to_generation),
        evidence.ROWS: str(rows),
        evidence.REPLACED: evidence.EVERYTHING,
        **named,
    }
