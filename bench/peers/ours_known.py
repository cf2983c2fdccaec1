"""Autoloader on files that it knows already: what a run costs that finds ten new ones among them, or nothing."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from bench.peers.ours import run_to_success
from bench.peers.peer import Loaded
from bench.stack import put_all
from bench.workloads import Workload, lines
from client.answers import Run
from client.rest import AutoloaderClient
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState

FIRST = 10
"""Files that a run loads before the others are put into the ledger."""
_COLUMNS = (
    *("ingestion_id", "generation", "key_digest", "version_tag", "bucket", "key", "etag", "size_bytes"),
    *("last_modified", "state", "run_id", "batch_id", "row_count"),
)


class OursKnown:
    """A run over files that are known, and ``new`` others. The new ones are gone again afterwards."""

    def __init__(self, api: AutoloaderClient, s3: Any, ingestion_id: UUID, new: int, *, limit_s: float) -> None:
        self._api = api
        self._s3 = s3
        self._ingestion_id = ingestion_id
        self._new = new
        self._limit_s = limit_s
        self._files = ExitStack()
        self._run: Run | None = None

    def prepare(self, work: Workload) -> None:
        self._run = None
        self._files.enter_context(new_files(self._s3, work, self._new))

    def load(self, work: Workload) -> None:  # noqa: ARG002  # the ingestion knows
        self._run = run_to_success(self._api, self._ingestion_id, limit_s=self._limit_s)

    def loaded(self) -> Loaded:
        """As the run says."""
        assert self._run is not None
        return Loaded(self._run.metrics.records_ingested)

    def clean(self) -> None:
        self._files.close()


@contextmanager
def new_files(s3: Any, work: Workload, count: int) -> Iterator[None]:
    """So many files more, which nobody has seen yet. They are gone again afterwards."""
    names = [f"{work.prefix}d{n:02}/new-{uuid4().hex}.json" for n in range(count)]
    put_all(s3, work.bucket, ((name, lines(-n - 1, 1)) for n, name in enumerate(names)))
    try:
        yield
    finally:
        if names:
            s3.delete_objects(Bucket=work.bucket, Delete={"Objects": [{"Key": name} for name in names], "Quiet": True})


async def remember(work: Workload, ingestion_id: UUID) -> None:
    """Writes all files of a workload but the first into the ledger, as the run that loaded those would have left them.

    Loading a hundred thousand files takes minutes, and what is measured here is what comes after it.
    """
    database = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        loaded = await database.fetchrow(
            "SELECT generation, run_id, batch_id FROM ledger.file WHERE ingestion_id = $1 AND state = $2 LIMIT 1",
            ingestion_id,
            FileState.COMMITTED,
        )
        assert loaded is not None, "a run must have loaded the first files"
        await database.copy_records_to_table(
            "file", schema_name="ledger", columns=_COLUMNS, records=_rows(work, ingestion_id, loaded)
        )
        await database.execute("ANALYZE ledger.file")
    finally:
        await database.close()


def _rows(work: Workload, ingestion_id: UUID, loaded: Any) -> Iterator[tuple[Any, ...]]:
    now = datetime.now(UTC)
    for number, (key, body) in enumerate(work.objects()):
        if number < FIRST:
            continue
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()  # so the store calls what is put in one piece
        one = FileVersion(work.bucket, key, etag, len(body), now)
        yield (
            *(ingestion_id, loaded["generation"], one.digest, one.version_tag, one.bucket, one.key, one.etag),
            *(one.size_bytes, one.last_modified, FileState.COMMITTED, loaded["run_id"], loaded["batch_id"]),
            work.records,
        )
