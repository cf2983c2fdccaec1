"""Filling columns over REST: a request is stored with its command, and answered when an executor has done it."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from libs.common.contracts.events import FillColumns
from libs.common.errors import Fenced
from libs.common.ledger.reconciliations import Reconciliations
from tests.integration.api.harness import INGESTIONS, ApiUnderTest

pytestmark = pytest.mark.asyncio
REPORT = {"rows_changed": 2, "columns": [{"column": "x", "filled": 2, "unfit": 0}]}


async def test_a_fill_is_asked_for_and_told_when_it_is_done(api: ApiUnderTest) -> None:
    """Its report is not told before, though the executor writes it down before it publishes; whoever takes over after
    a crash is given it."""
    ingestion_id = (await api.create())["id"]
    url = f"{INGESTIONS}/{ingestion_id}/schema"
    accepted = await api.client.post(f"{url}/fill", json={"columns": ["`x`"]})
    assert (202, "requested") == (accepted.status_code, accepted.json()["status"])
    fill_id = accepted.json()["fill_id"]
    assert f"/api/v1/ingestions/{ingestion_id}/schema/fills/{fill_id}" == accepted.headers["Location"]
    [command] = await api.commands(ingestion_id)
    assert isinstance(command, FillColumns)
    assert (fill_id, ingestion_id) == (str(command.request_id), str(command.ingestion_id))

    requests = Reconciliations(api.database, owner="e", lease=timedelta(0))
    first = await requests.claim(UUID(fill_id))
    assert first is not None
    assert ("fill", {"columns": ["x"]}, None) == (first.kind, first.options, first.report)
    await requests.about_to_publish(first, REPORT)
    running = (await api.client.get(f"{url}/fills/{fill_id}")).json()
    assert ("running", None) == (running["status"], running["report"])
    second = await requests.claim(UUID(fill_id))
    assert second is not None
    assert REPORT == second.report
    with pytest.raises(Fenced):
        await requests.about_to_publish(first, {})
    await requests.done(second, REPORT)
    done = (await api.client.get(f"{url}/fills/{fill_id}")).json()
    assert ("done", REPORT) == (done["status"], done["report"])


@pytest.mark.parametrize("columns", [["a.b"], ["a\0"], []])
async def test_what_is_no_column_is_refused_at_once(api: ApiUnderTest, columns: list[str]) -> None:
    """Whether the table has it is for the executor to say."""
    url = f"{INGESTIONS}/{(await api.create())['id']}/schema/fill"
    assert 422 == (await api.client.post(url, json={"columns": columns})).status_code


async def test_an_audit_is_no_fill(api: ApiUnderTest) -> None:
    """Nor is one of another ingestion."""
    url = f"{INGESTIONS}/{(await api.create())['id']}"
    audit_id = (await api.client.post(f"{url}/audit")).json()["audit_id"]
    for fill_id in (audit_id, uuid4()):
        answer = await api.client.get(f"{url}/schema/fills/{fill_id}")
        assert (404, "unknown_fill") == (answer.status_code, answer.json()["code"])
