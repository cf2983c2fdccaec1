"""The table as a batch needs it: there, ready for staging, and with the columns that its definition asks for."""

from libs.common.errors import Permanent
from libs.common.schema import Struct
from services.executor.attempt import Attempt
from services.executor.domain.evolution import Rules, asked_of
from services.executor.domain.layout import of_new_table
from services.executor.domain.provenance import lacking_provenance, with_provenance
from services.executor.domain.schema_change import Addition, SchemaChange
from services.executor.ports import Ledger, Table
from services.executor.table_lanes import TableLanes


async def prepare(ledger: Ledger, lanes: TableLanes, attempt: Attempt) -> Struct:
    """The schema of the table, which is created if it never was there.

    Raises:
        SourceChanged, FilesUnreadable: as ``Table.infer``.
        Permanent: ``table_missing``: it was there; ``metadata_column_taken``, ``hint_contradicts_table``.
    """
    claim, table = attempt.claim, attempt.table
    rules = await rules_of(ledger, attempt)
    # One at a time per table: the first batch creates it, the others find it.
    async with lanes.of(attempt.destination):
        schema = await table.schema()
        if schema is None and await ledger.has_published(claim.ingestion_id, claim.generation):
            # Another executor may have made the table, and published into it, since we looked.
            schema = await table.schema()
            if schema is None:
                raise Permanent(
                    f"table {attempt.destination} is gone, but this ingestion has loaded files into it",
                    code="table_missing",
                    hint="bring the table back, or create a new ingestion to load everything again",
                )
        if schema is None:
            schema = await _create(attempt, rules)
        # Somebody else may have been faster, with another definition.
        return await _as_asked(attempt, schema, rules)


async def rules_of(ledger: Ledger, attempt: Attempt) -> Rules:
    """How the table's columns may change: by the definition, and by what somebody has decided since."""
    definition = attempt.order.definition
    decided = await ledger.decisions(attempt.claim)
    keyed, is_json = definition.source.partition_columns, definition.format.type == "json"
    return Rules.of(definition.format.schema_rules, decided, keyed, finds_maps=is_json)


async def grown(table: Table, schema: Struct, change: SchemaChange) -> Struct:
    """The schema after the table was changed so."""
    if change.additions:
        schema = await table.add(change.additions)
    if change.widenings:
        schema = await table.widen(change.widenings)
    return schema


async def _create(attempt: Attempt, rules: Rules) -> Struct:
    definition = attempt.order.definition
    first = rules.given or rules.first(await attempt.table.infer(attempt.files))
    columns = with_provenance(first, definition.destination.metadata_columns, rules.rescued)
    return await attempt.table.create(*of_new_table(definition, columns))


async def _as_asked(attempt: Attempt, schema: Struct, rules: Rules) -> Struct:
    """The schema, after the table was given what is asked for: columns of ours and columns that keys fill, which are
    null in rows of before, and types that hints name."""
    table, ours = attempt.table, attempt.order.definition.destination.metadata_columns
    lacking = (*rules.lacking_keyed(schema), *lacking_provenance(table.name, schema, ours, rules.rescued))
    asked = SchemaChange(tuple(Addition.of(f) for f in lacking), asked_of(table.name, schema, rules))
    return await grown(table, schema, asked)
