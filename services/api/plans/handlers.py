"""Making plans, and looking at them. Nothing is loaded, and nothing of an ingestion is changed."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from libs.common.contracts.definition import Credentials, Definition, Source
from libs.common.contracts.scope import EVERYTHING, Scope
from libs.common.errors import AutoloaderError, Invalid, Permanent, Temporary
from libs.common.ids import IngestionId
from libs.common.ledger.known import known_versions
from libs.common.ledger.model.files import FileVersion, KnownVersion
from libs.common.objects.ports import ObjectStore
from libs.common.secrets import SecretBox
from libs.common.selection.wanted import Wanted
from libs.common.storage.definitions import open_credentials
from libs.common.storage.engine import Database
from libs.common.storage.plans import page_of_files
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.costs.history import past_runs
from services.api.costs.model import PastRun, Prices, Speed, estimate, records_in
from services.api.costs.schemas import Predicted
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions import repository as ingestions
from services.api.pages import Page
from services.api.plans import repository
from services.api.plans.growth import schema_change
from services.api.plans.schemas import PlanFile, PlanIn, PlanKind, PlanOut, PlanShown, SchemaChange
from services.api.plans.survey import Survey, survey
from services.api.plans.views import out
from services.api.preview.bounds import Bounds
from services.api.preview.listing import Spread
from services.api.preview.reading import sampled
from services.api.preview.sample import Sample
from services.api.runs.places import placed_in

LISTING_S_MAX = 20.0
FIRST_FILES = 100
_SAMPLE = Bounds(seconds=3, files=10, size_bytes=64 * 1024, lines=10_000)
_NEW_TABLES = frozenset({"refresh_full", "refresh_new_only"})


class Plans:
    """The plans of all tenants; every call sees those of its caller only. ``speed`` and ``prices`` are the
    installation's; a plan names ``files_max`` files at most."""

    def __init__(
        self,
        database: Database,
        secret_box: SecretBox,
        clusters: Clusters,
        objects: ObjectStore,
        speed: Speed,
        prices: Prices,
        *,
        files_max: int,
        seconds_max: float = LISTING_S_MAX,
    ) -> None:
        self._database = database
        self._box = secret_box
        self._clusters = clusters
        self._objects = objects
        self._speed = speed
        self._prices = prices
        self._files_max = files_max
        self._seconds_max = seconds_max

    async def make(self, caller: Caller, ingestion_id: UUID, asked: PlanIn, once: Once | None) -> Answer:
        """201 with what would be loaded if it began now.

        Raises:
            NotFound: the ingestion. Invalid: codes ``plan_too_large``, ``listing_too_long``, ``unknown_cluster``,
                ``key_outside_source``, ``prefix_outside_source``, ``idempotency_key_reused``, and what is wrong with
                the source, by the store's code.
        """
        async with self._database.read() as connection:
            of = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            sealed = await ingestions.sealed_secret(connection, ingestion_id)
            past = await past_runs(connection, ingestion_id)
            columns = await repository.columns(connection, ingestion_id, of.generation)
        self._clusters.url_of(of.definition["cluster_id"])
        definition = Definition.model_validate(of.definition)
        source = definition.source
        scope = EVERYTHING if asked.kind != "backfill" else _scope(source, asked)
        access = open_credentials(self._box, ingestion_id, sealed)
        found = await self._survey(of, source, access, asked.kind, scope)
        files = found.all_files
        seen = files if definition.format.is_json_lines else ()
        sample = await self._sample(seen, access, definition)
        change = schema_change(sample, len(files), () if asked.kind in _NEW_TABLES else columns)
        shown = self._shown(found, source, past, sample, change)
        values = {
            "id": uuid4(),
            "ingestion_id": ingestion_id,
            "kind": asked.kind,
            "generation": of.generation,
            "definition_version": of.definition_version,
            "scope": scope.model_dump(mode="json", exclude_defaults=True),
            "shown": shown.model_dump(mode="json"),
        }
        async with self._database.begin() as connection:

            async def store() -> Answer:
                await repository.insert(connection, values, files)
                row = await repository.get(connection, ingestion_id, values["id"])
                return Answer(201, out(row).model_dump(mode="json"))

            return await at_most_once(connection, caller, once, store)

    async def get(self, caller: Caller, ingestion_id: UUID, plan_id: UUID) -> PlanOut:
        """
        Raises:
            NotFound: the ingestion, or the plan.
        """
        async with self._database.read() as connection:
            await ingestions.ensure_exists(connection, caller.tenant_id, ingestion_id)
            return out(await repository.get(connection, ingestion_id, plan_id))

    async def files(self, caller: Caller, ingestion_id: UUID, plan_id: UUID, page: Page) -> tuple[list[PlanFile], int]:
        """One page of the plan's files, in the order of its listing, and how many there are.

        Raises:
            NotFound: the ingestion, or the plan.
        """
        async with self._database.read() as connection:
            await ingestions.ensure_exists(connection, caller.tenant_id, ingestion_id)
            row = await repository.get(connection, ingestion_id, plan_id)
            files = await page_of_files(connection, plan_id, offset=page.offset, limit=page.limit)
        return [PlanFile.of(f) for f in files], row.shown["predicted"]["files"]

    async def _survey(
        self, of: Row[Any], source: Source, access: Credentials | None, kind: PlanKind, scope: Scope
    ) -> Survey:
        async def known(files: Sequence[FileVersion]) -> Mapping[bytes, Sequence[KnownVersion]]:
            if kind == "refresh_full":
                return {}  # a new generation knows nothing
            async with self._database.read() as connection:
                return await known_versions(connection, IngestionId(of.id), of.generation, files)

        wanted = Wanted(source, of.created_at, scope)
        try:
            async with asyncio.timeout(self._seconds_max):
                return await survey(self._objects, source, access, wanted, scope, known, files_max=self._files_max)
        except TimeoutError as e:
            raise Invalid(
                f"listing {source.path} takes more than {self._seconds_max:g} s",
                code="listing_too_long",
                hint="plan a backfill of a part: a longer prefix, or keys",
            ) from e
        except (Permanent, Temporary) as e:
            raise Invalid(e.message, code=e.code, hint=e.hint or "check source.credentials and the network") from e

    async def _sample(self, files: Sequence[FileVersion], access: Credentials | None, of: Definition) -> Sample:
        """Some lines of some files, from all over the plan. A store that fails now has nothing to show."""
        spread = Spread(_SAMPLE.files)
        for f in files:
            if f.size_bytes:
                spread.add(f)
        try:
            return await sampled(self._objects, spread.files, access, _SAMPLE, _SAMPLE.seconds, of)
        except AutoloaderError:
            return Sample.of(of)

    def _shown(
        self, found: Survey, source: Source, past: Sequence[PastRun], sample: Sample, change: SchemaChange
    ) -> PlanShown:
        work = found.work(source)
        cost = estimate(work, self._speed, self._prices, past)
        from_past = records_in(work.size_bytes, past)
        records = sample.records_in(work.size_bytes) if from_past is None else from_past
        return PlanShown(
            predicted=Predicted(
                files=work.files,
                size_bytes=work.size_bytes,
                records=records,
                snapshots=work.batches,
                duration_seconds=cost.seconds,
                cost_usd=cost.usd,
            ),
            schema_change=change,
            first_files=[PlanFile.of(f) for f in found.all_files[:FIRST_FILES]],
            files_replacing=len(found.replacing),
            files_skipped=found.skipped,
            files_refused=found.refused,
            notes=[*found.warnings, *_notes(cost.based_on_runs, sample.files, knows_records=records is not None)],
        )


def _scope(source: Source, asked: PlanIn) -> Scope:
    part = asked.backfill.scope() if asked.backfill is not None else Scope(is_backfill=True)
    return placed_in(source, part)


def _notes(runs: int, looked_into: int, *, knows_records: bool) -> list[str]:
    if runs:
        basis = f"this ingestion's last {runs} runs" if runs > 1 else "this ingestion's last run"
        return [f"records, duration and cost are estimated by {basis}"]
    records = f"by the first lines of {looked_into:,} files" if knows_records else "not known"
    return [f"no run has loaded anything yet: duration and cost are by the formula alone, records are {records}"]
