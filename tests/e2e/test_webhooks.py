"""Somebody's own server is called when something happens: signed, until it has taken it."""

import base64
import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.e2e.helpers import NewIngestion, get_table_identifier, put, run_to_end, trigger_run, upload_json_files
from tests.e2e.records import ndjson, record
from tests.support.eventually import eventually
from tests.support.receiver import Received, Receiver, receiver

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

WEBHOOKS = "/api/v1/webhooks"
SOON_S = 30


@asynccontextmanager
async def listening(client: httpx.AsyncClient, hook: Receiver, **body: Any) -> AsyncIterator[dict[str, Any]]:
    """A webhook that leads to ``hook``, deleted afterwards."""
    answer = await client.post(WEBHOOKS, json={"url": hook.url, **body})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    yield created
    assert (await client.delete(f"{WEBHOOKS}/{created['id']}")).status_code == 204


def checked(request: Received, secret: str) -> dict[str, Any]:
    """The event of a request, if its signature is right: as Standard Webhooks tells a receiver to do it."""
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    event: dict[str, Any] = json.loads(request.body)
    assert event["id"] == request.headers["webhook-id"]
    return event


class TestWebhooks:
    async def test_a_server_is_called_for_runs_columns_and_bad_records(
        self, api_client: httpx.AsyncClient, minio_client: Any, test_bucket: str, new_ingestion: NewIngestion
    ) -> None:
        """Three runs: a clean one, one that meets a new field and a bad record, and one that can read nothing.

        Success criteria:
        - each end of a run is told once, failed ones as such, with the numbers that REST shows
        - the new column and the bad record are told, with the file that brought them
        - every call is signed with the secret that was shown once
        """
        ingestion = await new_ingestion("hooks")
        table = get_table_identifier(ingestion)
        wrong = {"aws_access_key_id": "AKIA-not-a-user", "aws_secret_access_key": "s3cr3t-not-to-be-seen"}
        broken = await new_ingestion("hooks", source={"credentials": wrong})
        async with (
            receiver() as hook,
            listening(api_client, hook, ingestion_id=ingestion["id"]) as webhook,
            receiver() as on_call,
            listening(api_client, on_call, ingestion_id=broken["id"], event_types=["run.failed"]) as pager,
        ):
            await upload_json_files(minio_client, test_bucket, 0, 1, records_per_file=20)
            clean = await run_to_end(api_client, ingestion["id"])
            mixed = ndjson([{**record(900), "gate": "A7"}]) + json.dumps({**record(901), "value": "late"}).encode()
            await put(minio_client, test_bucket, "data/mixed.json", mixed)
            partial = await run_to_end(api_client, ingestion["id"], expected_status="partial")
            failed_id = await trigger_run(api_client, broken["id"])
            await eventually(lambda: len(hook.received) >= 4 and on_call.received, SOON_S, what="all is told")

        told: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for request in hook.received:
            event = checked(request, webhook["secret"])
            told[event["type"]].append(event["data"])
        assert {"run.finished.v1": 2, "schema.changed.v1": 1, "file.quarantined.v1": 1} == {
            name: len(events) for name, events in told.items()
        }
        ends = {data["run_id"]: data for data in told["run.finished.v1"]}
        assert {clean["id"]: "success", partial["id"]: "partial"} == {id_: d["status"] for id_, d in ends.items()}
        assert ends[clean["id"]]["totals"]["records_ingested"] == clean["metrics"]["records_ingested"] == 20
        uri = f"s3://{test_bucket}/data/mixed.json"
        [changed], [quarantined] = told["schema.changed.v1"], told["file.quarantined.v1"]
        assert [("added", "gate")] == [(c["kind"], c["column"]) for c in changed["changes"]]
        assert (table, 2) == (changed["table"], changed["version"])
        assert (table, 1, uri) == (quarantined["table"], quarantined["records"], quarantined["problems"][0]["file"])

        failed = checked(on_call.received[0], pager["secret"])
        assert ("run.failed.v1", failed_id, "failed") == (
            failed["type"], failed["data"]["run_id"], failed["data"]["status"],
        )  # fmt: skip
        assert wrong["aws_secret_access_key"] not in on_call.received[0].body.decode()

    async def test_a_server_that_says_no_gets_what_it_missed_when_it_is_back(
        self, api_client: httpx.AsyncClient, new_ingestion: NewIngestion
    ) -> None:
        """It answers 410, is disabled, and is repaired. (It hears of one ingestion: other tests run beside this one.)

        Success criteria:
        - what it did not take is listed as dead, with the reason, and the webhook as disabled
        - after enabling it, the dead delivery is sent again, with the same id, and taken
        """
        ingestion = await new_ingestion("hooks")
        async with (
            receiver(answers=[410, 200]) as hook,
            listening(api_client, hook, ingestion_id=ingestion["id"]) as webhook,
        ):
            path = f"{WEBHOOKS}/{webhook['id']}"
            sent = (await api_client.post(f"{path}/ping")).json()

            async def state_of() -> str:
                return str((await api_client.get(f"{path}/deliveries/{sent['id']}")).json()["state"])

            async def is_(state: str) -> bool:
                return await state_of() == state

            await eventually(lambda: is_("dead"), SOON_S, what="the delivery is given up")
            [dead] = (await api_client.get(f"{path}/deliveries", params={"state": "dead"})).json()
            assert (sent["id"], 410) == (dead["id"], dead["last_status"])
            assert (await api_client.get(path)).json()["status"] == "disabled"

            again = f"{path}/deliveries/{sent['id']}/redeliver"
            refused = await api_client.post(again)
            assert (409, "webhook_disabled") == (refused.status_code, refused.json()["code"])
            assert (await api_client.post(f"{path}/enable")).json()["status"] == "active"
            assert (await api_client.post(again)).status_code == 202
            await eventually(lambda: is_("delivered"), SOON_S, what="it is taken")
        assert [sent["id"]] * 2 == hook.ids()
