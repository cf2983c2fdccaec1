"""A batch in a snapshot that no reader sees, in columns that fit it.

stage ── does the pass show fields or types that the table lacks, could have, and is to have?
  ▲              │ yes: the table gets them          │ no
  └──────────────┘                                   └── done
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

from libs.common.contracts.schema_rules import EvolutionMode
from libs.common.errors import Temporary
from libs.common.failpoints import failpoint
from libs.common.ledger.model.columns import Evidence
from libs.common.ledger.model.files import BadRecords, FileVersion
from libs.common.schema import Struct
from services.executor.attempt import Attempt
from services.executor.domain import evidence
from services.executor.domain.audit import Refusal, Staged
from services.executor.domain.evolution import (
    Rules,
    allowed,
    asked_for,
    growth,
    hidden,
    overruled,
    proposal,
    refusals,
    suspects,
)
from services.executor.domain.from_keys import from_keys
from services.executor.domain.quarantine import ATTEMPT
from services.executor.domain.schema_change import Addition, SchemaChange, with_additions, with_widenings
from services.executor.ports import Ledger
from services.executor.preparation import grown, rules_of
from services.executor.table_lanes import TableLanes

WATERMARK = "autoloader.watermark"
"""The snapshot's property: up to when everything of the ingestion is in the table, set aside or left out."""

STAGES_MAX = 6
"""How often one attempt stages: once, again for each round of new fields or wider types, and some air."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a batch changed its table's columns, as far as it did."""

    key: str | None = None
    evidence: tuple[Evidence, ...] = ()
    mode: EvolutionMode | None = None


@dataclass(frozen=True, slots=True)
class StagedBatch:
    """A staged snapshot with the schema that it was read with, what was set aside beside it, what stands against some
    files, and what its user should know."""

    staged: Staged
    schema: Struct
    properties: Mapping[str, str]
    cause: Cause
    refusals: Mapping[bytes, Refusal] = field(default_factory=dict)
    bad: Mapping[bytes, BadRecords] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


async def stage(ledger: Ledger, lanes: TableLanes, attempt: Attempt, schema: Struct) -> StagedBatch:
    """Stages until the pass finds nothing more to change. What was changed stays, whatever becomes of the batch: added
    columns hold nulls until rows come.

    Raises:
        KeysUnfit: nothing was staged.
        SourceChanged, FilesUnreadable: as ``Table.stage``.
        Temporary: ``schema_unsettled``: the table keeps changing.
    """
    claim, table, files = attempt.claim, attempt.table, attempt.files
    rules = await rules_of(ledger, attempt)
    keys = from_keys(files, rules.reading(schema), attempt.order.definition.source.prefix)
    await ledger.about_to_stage(claim)
    cause = Cause(evidence=keys.evidence, mode=rules.mode)
    properties = await _properties(ledger, attempt)
    # Rows that take the place of others are staged by themselves first: read, audited, and never published.
    wap_id = claim.rows_wap_id if claim.replaces_rows else claim.wap_id
    for _ in range(STAGES_MAX):
        failpoint("exec.during_stage")
        staged = await table.stage(files, rules.reading(schema), wap_id, properties, keys.values)
        looked_into = [f for f in files if f.digest in suspects(rules, staged)]
        wanted = await _wanted(rules, attempt, looked_into, schema, staged)
        change = allowed(rules, wanted)
        if not change.grows:
            await _propose(ledger, attempt, looked_into, schema, wanted.additions)
            return StagedBatch(
                staged,
                rules.reading(schema),
                properties,
                cause,
                refusals(rules, staged, wanted),
                warnings=overruled(rules, schema, staged),
            )
        async with lanes.of(attempt.destination):
            schema = await grown(table, schema, change)
        shown = await table.examples(looked_into, schema, change.paths)
        cause = Cause(looked_into[0].key, (*cause.evidence, *shown.values()), rules.mode)
    raise Temporary("the table's schema keeps changing under the batch", code="schema_unsettled")


async def _wanted(
    rules: Rules, attempt: Attempt, carriers: Sequence[FileVersion], schema: Struct, staged: Staged
) -> SchemaChange:
    """The change that would let the table hold more of what the carriers have."""
    if not carriers:
        return SchemaChange()
    table = attempt.table
    change = growth(rules, schema, await table.infer(carriers), staged)
    tried = hidden(rules, schema, change, staged)
    if not tried:
        return change
    now = await table.misfits(carriers, rules.reading(schema))
    then = await table.misfits(carriers, rules.reading(with_widenings(schema, tried)))
    return replace(change, widenings=(*change.widenings, *asked_for(tried, now, then)))


async def _propose(
    ledger: Ledger, attempt: Attempt, carriers: Sequence[FileVersion], schema: Struct, additions: Sequence[Addition]
) -> None:
    """Lets somebody decide about new columns, with a value of each to look at."""
    if not additions:
        return
    wider = with_additions(schema, tuple(additions))
    shown = await attempt.table.examples(carriers, wider, [a.path for a in additions])
    await ledger.propose(attempt.claim, [proposal(a, shown.get(a.path)) for a in additions])


async def _properties(ledger: Ledger, attempt: Attempt) -> dict[str, str]:
    """What the batch's snapshot says of itself."""
    claim, order = attempt.claim, attempt.order
    told = {
        "autoloader.batch": str(claim.id),
        "autoloader.run": str(claim.run_id),
        "autoloader.ingestion": str(claim.ingestion_id),
        "autoloader.generation": str(claim.generation),
        evidence.FILES: evidence.written(attempt.files),
        ATTEMPT: str(uuid4()),
    }
    # True at the moment of the publish: what others finish meanwhile can only move it on.
    watermark = await ledger.watermark(claim, order.definition.source, order.created_at)
    return told if watermark is None else {**told, WATERMARK: watermark.isoformat()}
