"""dlt's filesystem source, into Iceberg: new and changed files by their time, as its documentation shows it."""

import json
import os
from datetime import datetime
from typing import Any

from bench.peers.peer import Loaded
from bench.stack import REGION, S3_KEY, S3_SECRET, S3_URL
from bench.workloads import Workload

_LINES = 10_000
"""Of JSON, at a time."""


class Dlt:
    """A new pipeline for each load, with its state and a catalog of SQLite in a folder that goes away."""

    def prepare(self, work: Workload) -> None:
        folder = os.environ["BENCH_FOLDER"]
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        os.environ["ICEBERG_CATALOG__ICEBERG_CATALOG_TYPE"] = "sql"
        os.environ["ICEBERG_CATALOG__ICEBERG_CATALOG_CONFIG"] = json.dumps(
            {
                "type": "sql",
                "uri": f"sqlite:///{folder}/catalog.db",
                "warehouse": f"s3://{work.bucket}/dlt",
                "s3.endpoint": S3_URL,
                "s3.access-key-id": S3_KEY,
                "s3.secret-access-key": S3_SECRET,
                "s3.region": REGION,
            }
        )
        import dlt

        self._pipeline = dlt.pipeline(
            "bench",
            destination=dlt.destinations.filesystem(f"s3://{work.bucket}/dlt", credentials=_access()),
            # Its tables lie by name in the bucket, and every load begins with none.
            dataset_name=f"d{os.getpid()}",
            pipelines_dir=folder,
        )

    def load(self, work: Workload) -> None:
        import dlt
        from dlt.sources.filesystem import filesystem, read_jsonl

        files = filesystem(
            f"s3://{work.source}",
            credentials=_access(),
            file_glob="**/*.json",
            incremental=dlt.sources.incremental("modification_date", initial_value=self.since()),
        )
        events = (files | read_jsonl(chunksize=_LINES)).with_name("events")
        told = self._pipeline.run(events, table_format="iceberg", write_disposition="append")
        told.raise_on_failed_jobs()

    def since(self) -> datetime | None:
        """Files up to this time are known. None: no file is."""
        return None

    def loaded(self) -> Loaded:
        from dlt.common.libs.pyiceberg import get_iceberg_tables

        if not self._pipeline.default_schema.tables.get("events", {}).get("columns"):
            return Loaded(0)  # nothing was new, and so there is no table
        table = get_iceberg_tables(self._pipeline, "events")["events"].refresh()
        return Loaded(
            rows=table.scan().count(), snapshots=len(table.metadata.snapshots), data_files=len(table.inspect.files())
        )

    def clean(self) -> None:
        """All of it lies in the folder and the bucket that go away."""


class DltKnown(Dlt):
    """To which every file is known that is older than ``BENCH_SINCE``: dlt remembers the latest time that it saw."""

    def since(self) -> datetime | None:
        return datetime.fromisoformat(os.environ["BENCH_SINCE"])


def _access() -> Any:
    from dlt.sources.credentials import AwsCredentials

    return AwsCredentials(
        aws_access_key_id=S3_KEY, aws_secret_access_key=S3_SECRET, endpoint_url=S3_URL, region_name=REGION
    )
