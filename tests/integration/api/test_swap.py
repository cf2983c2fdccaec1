"""Refreshes that build the new table aside, as clients ask for them: what runs load meanwhile, when the rows are
replaced, and what is said of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from libs.common.contracts.events import RefreshTable, RunCompleted, ScanStarted
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState, ScanState
from libs.common.ledger.tables import file, scan
from libs.common.storage.control import reconciliation, run
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest, Story, envelope
from tests.integration.api.test_refresh import ask, asked, commands, done, failed

pytestmark = pytest.mark.asyncio

OPERATIONS = ["table_dropped", "processed_files_cleared", "run_triggered", "table_replaced"]


def built_by(command: RefreshTable) -> str:
    return f"flights__new_{command.refresh_id.hex}"


async def building(api: ApiUnderTest, **more: Any) -> tuple[str, RefreshTable]:
    """An ingestion whose table is built aside, and the refresh that does it."""
    ingestion_id = (await api.create())["id"]
    command = await asked(api, ingestion_id, strategy="swap", **more)
    fact = done(command, kept_as=None, builds=f"lake.demo.{built_by(command)}")
    await api.refreshes.on_refreshed(envelope(fact))
    return ingestion_id, command


async def ended(api: ApiUnderTest, ingestion_id: str, run_id: str, outcome: str, *, listed: bool = True) -> None:
    """The run's end, as ledger and topic tell it."""
    ledgers = {"ingestion_id": UUID(ingestion_id), "generation": 2, "state": ScanState.ENDED, "was_listed": listed}
    await api.rows(insert(scan).values(run_id=UUID(run_id), **ledgers))
    story = Story(ingestion_id, run_id)
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, outcome=outcome))


async def newest_run(api: ApiUnderTest, ingestion_id: str) -> str:
    return str((await api.requested(ingestion_id))[-1].run_id)


async def told(api: ApiUnderTest, ingestion_id: str, refresh_id: UUID) -> dict[str, Any]:
    found: dict[str, Any] = (await api.client.get(f"{INGESTIONS}/{ingestion_id}/refresh/{refresh_id}")).json()
    return found


async def tables(api: ApiUnderTest, run_ids: Sequence[str]) -> list[str]:
    """Where these runs load into."""
    found = {}
    for row in await api.rows(select(run.c.id, run.c.definition).where(run.c.id.in_([UUID(r) for r in run_ids]))):
        found[str(row.id)] = row.definition["destination"]["table"]
    return [found[run_id] for run_id in run_ids]


async def swap_of(api: ApiUnderTest, ingestion_id: str) -> RefreshTable | None:
    command = (await commands(api, ingestion_id))[-1]
    return command if command.mode == "swap" else None


async def left_by(api: ApiUnderTest, ingestion_id: str, run_id: str, state: FileState) -> None:
    """A file of the generation that is being built."""
    await api.ledger_has(ingestion_id, FileVersion("landing", "bad.json", "v1", 10, START), state, run_id)
    await api.rows(update(file).where(file.c.run_id == UUID(run_id)).values(generation=2))


async def test_until_everything_is_loaded_the_old_rows_stay(api: ApiUnderTest) -> None:
    """Four operations, of which the first is skipped and the last is not done; no reader sees an empty table."""
    ingestion_id, command = await building(api)
    assert ("full", "swap") == (command.mode, command.strategy)
    body = await told(api, ingestion_id, command.refresh_id)
    assert list(zip(OPERATIONS, ["skipped", "success", "success", "pending"], strict=True)) == [
        (o["operation"], o["status"]) for o in body["operations"]
    ]
    assert [] == body["warnings"]
    assert built_by(command) in body["notes"][-1]
    assert body["undo_until"] is not None


async def test_every_run_loads_the_table_that_is_built(api: ApiUnderTest) -> None:
    """Also those that somebody asks for; audits look at it too. Users read the name that they gave."""
    ingestion_id, command = await building(api)
    first = await newest_run(api, ingestion_id)
    second = await api.request_run(ingestion_id)
    assert [built_by(command)] * 2 == await tables(api, [first, second])
    assert 202 == (await api.client.post(f"{INGESTIONS}/{ingestion_id}/audit")).status_code
    [row] = await api.rows(select(reconciliation).where(reconciliation.c.ingestion_id == UUID(ingestion_id)))
    assert (built_by(command), 2) == (row.definition["destination"]["table"], row.generation)
    shown = (await api.client.get(f"{INGESTIONS}/{ingestion_id}")).json()
    assert "flights" == shown["destination"]["table"]
    assert any(str(command.refresh_id) in warning for warning in shown["warnings"])


async def test_the_run_that_loads_everything_has_the_rows_replaced(api: ApiUnderTest) -> None:
    """In the transaction that takes its end in, once. A run that waits goes on afterwards, into the table itself."""
    ingestion_id, command = await building(api)
    first = await newest_run(api, ingestion_id)
    waiting = await api.request_run(ingestion_id)
    await ended(api, ingestion_id, first, "success")
    swap = await swap_of(api, ingestion_id)
    assert swap is not None
    assert (command.refresh_id, 2, 3) == (swap.completes, swap.from_generation, swap.to_generation)
    assert [first] == [str(request.run_id) for request in await api.requested(ingestion_id)]
    refused = await api.client.post(f"{INGESTIONS}/{ingestion_id}/run")
    assert (409, "refresh_active") == (refused.status_code, refused.json()["code"])
    pending = (await told(api, ingestion_id, command.refresh_id))["operations"][-1]
    assert ("pending", True) == (pending["status"], "everything is loaded" in pending["details"])
    await api.refreshes.on_refreshed(envelope(done(swap, kept_as=None, replaced_snapshot=17, rows=3000)))
    assert [first, waiting] == [str(request.run_id) for request in await api.requested(ingestion_id)]
    assert ["flights"] == await tables(api, [waiting])
    assert 3 == (await api.requested(ingestion_id))[-1].generation
    body = await told(api, ingestion_id, command.refresh_id)
    assert ("success", "3,000 rows took the place of the old ones") == (
        body["operations"][-1]["status"], body["operations"][-1]["details"]
    )  # fmt: skip
    assert "lake.demo.flights VERSION AS OF 17" in body["notes"][-1]


@pytest.mark.parametrize("outcome", ["partial", "failed", "cancelled"])
async def test_a_run_that_does_not_succeed_replaces_nothing(api: ApiUnderTest, outcome: str) -> None:
    """The refresh says which run it was, and both ways out. A retry that loads what was left completes it."""
    ingestion_id, command = await building(api)
    first = await newest_run(api, ingestion_id)
    await left_by(api, ingestion_id, first, FileState.FAILED)
    await ended(api, ingestion_id, first, outcome)
    assert await swap_of(api, ingestion_id) is None
    waits = (await told(api, ingestion_id, command.refresh_id))["operations"][-1]["details"]
    assert f"run {first} ended as {outcome}" in waits
    for way in (f"/runs/{first}/retry", f"/refresh/{command.refresh_id}/undo"):
        assert way in waits
    again = (await api.client.post(f"{INGESTIONS}/{ingestion_id}/runs/{first}/retry")).json()["run_id"]
    assert [built_by(command)] == await tables(api, [again])
    await api.rows(update(file).where(file.c.run_id == UUID(first)).values(state=FileState.COMMITTED))
    await ended(api, ingestion_id, again, "success")
    assert await swap_of(api, ingestion_id) is not None


async def test_a_file_that_failed_before_holds_the_rows_back(api: ApiUnderTest) -> None:
    """A later run that succeeds does not read it, and the old rows may be the only ones of it."""
    ingestion_id, _ = await building(api)
    first = await newest_run(api, ingestion_id)
    await left_by(api, ingestion_id, first, FileState.FAILED)
    await ended(api, ingestion_id, first, "partial")
    await ended(api, ingestion_id, await api.request_run(ingestion_id), "success")
    assert await swap_of(api, ingestion_id) is None


async def test_what_did_not_list_the_source_to_its_end_completes_nothing(api: ApiUnderTest) -> None:
    """Nor does a backfill of a part of it, however well it ends."""
    ingestion_id, _ = await building(api, auto_run=False)
    path = f"{INGESTIONS}/{ingestion_id}/backfill"
    part = (await api.client.post(path, json={"prefix": "flights/2024/"})).json()["run_id"]
    await ended(api, ingestion_id, part, "success")
    assert await swap_of(api, ingestion_id) is None
    await ended(api, ingestion_id, await api.request_run(ingestion_id), "success", listed=False)
    assert await swap_of(api, ingestion_id) is None
    await ended(api, ingestion_id, await api.request_run(ingestion_id), "success")
    assert await swap_of(api, ingestion_id) is not None


async def test_while_a_table_is_built_nothing_else_begins_anew(api: ApiUnderTest) -> None:
    """Nor does it move: 409, naming the refresh and the way out."""
    ingestion_id, command = await building(api)
    answers = [
        await ask(api, ingestion_id),
        await ask(api, ingestion_id, strategy="swap"),
        await api.client.delete(f"{INGESTIONS}/{ingestion_id}/processed-files", params={"confirm": "true"}),
    ]
    for answer in answers:
        assert (409, "refresh_building") == (answer.status_code, answer.json()["code"])
        assert f"{command.refresh_id}/undo" in answer.json()["hint"]
    moved = {"destination": {"table": "planes"}}
    refused = await api.client.patch(f"{INGESTIONS}/{ingestion_id}", json=moved)
    assert (409, "identity_fixed") == (refused.status_code, refused.json()["code"])


async def test_it_can_be_given_up(api: ApiUnderTest) -> None:
    """An undo: the table was never touched, and runs load it again."""
    ingestion_id, command = await building(api, auto_run=False)
    path = f"{INGESTIONS}/{ingestion_id}/refresh/{command.refresh_id}/undo"
    body = (await api.client.post(path)).json()
    undo = (await commands(api, ingestion_id))[-1]
    assert ("undo", "swap", command.refresh_id) == (undo.mode, undo.strategy, undo.undoes)
    await api.refreshes.on_refreshed(envelope(done(undo, kept_as=None, files_kept=3)))
    body = await told(api, ingestion_id, undo.refresh_id)
    assert [("table_dropped", "skipped"), ("table_restored", "success")] == [
        (o["operation"], o["status"]) for o in body["operations"]
    ]
    assert "stays in its place" in body["operations"][0]["details"]
    given_up = (await told(api, ingestion_id, command.refresh_id))["operations"][-1]
    assert ("skipped", True) == (given_up["status"], "undone" in given_up["details"])
    assert ["flights"] == await tables(api, [await api.request_run(ingestion_id)])


async def test_a_swap_that_cannot_be_done_is_told_with_its_reason(api: ApiUnderTest) -> None:
    """Nothing was changed: the table is still being built, and the next run that succeeds tries again."""
    ingestion_id, command = await building(api)
    await ended(api, ingestion_id, await newest_run(api, ingestion_id), "success")
    swap = await swap_of(api, ingestion_id)
    assert swap is not None
    await api.refreshes.on_failed(envelope(failed(swap, is_over=True)))
    body = await told(api, ingestion_id, command.refresh_id)
    assert ("partial_failure", "failed", "spark_unreachable") == (
        body["status"], body["operations"][-1]["status"], body["operations"][-1]["error_code"]
    )  # fmt: skip
    await ended(api, ingestion_id, await api.request_run(ingestion_id), "success")
    again = await swap_of(api, ingestion_id)
    assert again is not None
    assert again.refresh_id != swap.refresh_id


async def test_without_a_table_there_is_nothing_to_keep(api: ApiUnderTest) -> None:
    """The run loads the table itself, and no more is to come."""
    ingestion_id = (await api.create())["id"]
    command = await asked(api, ingestion_id, strategy="swap")
    await api.refreshes.on_refreshed(envelope(done(command, kept_as=None)))
    body = await told(api, ingestion_id, command.refresh_id)
    assert ["skipped", "success", "success", "skipped"] == [o["status"] for o in body["operations"]]
    assert ["flights"] == await tables(api, [await newest_run(api, ingestion_id)])
    assert 202 == (await ask(api, ingestion_id)).status_code


async def test_a_deletion_gives_up_what_is_built(api: ApiUnderTest) -> None:
    """By the executor, who drops it; the table itself stays."""
    ingestion_id, command = await building(api, auto_run=False)
    assert 202 == (await api.client.delete(f"{INGESTIONS}/{ingestion_id}")).status_code
    deletion = (await commands(api, ingestion_id))[-1]
    assert ("delete", command.refresh_id) == (deletion.mode, deletion.undoes)


async def test_a_dry_run_foretells_it(api: ApiUnderTest) -> None:
    """And says how to proceed, with the strategy."""
    ingestion_id = (await api.create())["id"]
    body = (await ask(api, ingestion_id, strategy="swap", dry_run=True)).json()
    assert OPERATIONS == [o["operation"] for o in body["would_perform"]]
    assert [] == body["warnings"]
    assert '"strategy": "swap"' in body["next_steps"]["to_proceed"]
    refused = await ask(api, ingestion_id, strategy="rename")
    assert 422 == refused.status_code
