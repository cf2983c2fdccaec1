"""How many bytes a batch of a steady state takes from the object store, counted between Spark and the store."""

import asyncio
import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from libs.common.contracts.definition import Credentials, Destination, Format
from libs.common.ledger.model.files import FileVersion, tags
from libs.common.objects.s3 import S3Objects
from services.executor.adapters.describing.description import Parts
from services.executor.adapters.describing.formats import knowledge_of
from services.executor.adapters.reading.reader import reader_of
from services.executor.adapters.spark_sessions import SessionKey, SparkSessions
from services.executor.adapters.spark_table import SparkTable
from services.executor.adapters.table_session import TableSession
from services.executor.domain.audit import Clean, audit
from tests.support.avro_files import avro, record
from tests.support.s3_proxy import s3_proxy

_PROPERTIES = {"autoloader.batch": "traffic", "autoloader.run": "traffic"}


@dataclass(frozen=True, slots=True)
class Traffic:
    """``files_bytes`` is what the files have, ``read_bytes`` what the store sent for them."""

    files_bytes: int
    read_bytes: int

    @property
    def ratio(self) -> float:
        return self.read_bytes / self.files_bytes


def body(format_: str, rows: int, seed: int) -> bytes:
    """A file of seven columns whose values compress badly, as real ones do."""
    chance = random.Random(seed)
    records = [
        {
            "id": seed * rows + i,
            "at": f"2025-01-07T12:34:{i % 60:02}.{chance.randrange(10**6):06}Z",
            "user": f"u{chance.randrange(10**6)}",
            "kind": chance.choice(["view", "click", "order"]),
            "value": chance.random(),
            "other": chance.random(),
            "text": f"text {chance.randrange(10**9)}",
        }
        for i in range(rows)
    ]
    if format_ == "csv":
        return "".join(",".join(map(str, row)) + "\n" for row in (records[0], *(r.values() for r in records))).encode()
    if format_ == "json":
        return "".join(json.dumps(record) + "\n" for record in records).encode()
    if format_ == "avro":
        types = {name: {int: "long", float: "double", str: "string"}[type(value)] for name, value in records[0].items()}
        return avro(record(**types), records, "deflate")
    written = io.BytesIO()
    table = pa.Table.from_pylist(records)
    if format_ == "orc":
        orc.write_table(table, written, compression="zlib")
    else:
        pq.write_table(table, written)
    return written.getvalue()


async def measured(format_: Format, bodies: Sequence[bytes], spark_url: str, access: Credentials) -> Traffic:
    """One batch, through the executor's own calls, into a table that has its columns."""
    name = f"traffic-{uuid4().hex[:8]}"
    s3: Any = boto3.client(
        "s3",
        endpoint_url=access.endpoint_url,
        aws_access_key_id=access.aws_access_key_id,
        aws_secret_access_key=access.aws_secret_access_key,
        region_name=access.region,
    )
    s3.create_bucket(Bucket=name)
    store = urlsplit(access.endpoint_url or "")
    objects, sessions = S3Objects(), SparkSessions(threads=2, idle_max=0, call_timeout_s=600)
    to = Destination(catalog="test_catalog", database="test_db", table=name.replace("-", "_"))
    try:
        async with s3_proxy(store.hostname or "", store.port or 80, seed=1) as proxy:
            through = access.model_copy(update={"endpoint_url": proxy.url})
            async with sessions.borrow(SessionKey(spark_url, name, through)) as session:
                knowledge = knowledge_of(format_, Parts(objects, through))
                table = SparkTable(TableSession(session, spark_url, to), reader_of(format_), knowledge)
                [first] = _put(s3, name, "first", bodies[:1])
                schema = await table.create(await table.infer([first]))
                files = _put(s3, name, "next", bodies)
                before = proxy.read_bytes
                staged = await table.stage(files, schema, f"al1:{name}", _PROPERTIES)
                now = tags(await objects.versions(name, [f.key for f in files], through))
                read_bytes = proxy.read_bytes - before
                assert isinstance(audit(files, staged, now), Clean)
                await asyncio.to_thread(lambda: session.spark.sql(f"DROP TABLE {to.identifier} PURGE").collect())
        return Traffic(sum(map(len, bodies)), read_bytes)
    finally:
        await objects.close()
        await sessions.close()
        for item in s3.list_objects_v2(Bucket=name).get("Contents", ()):
            s3.delete_object(Bucket=name, Key=item["Key"])
        s3.delete_bucket(Bucket=name)


def _put(s3: Any, bucket: str, folder: str, bodies: Sequence[bytes]) -> list[FileVersion]:
    keys = [f"{folder}/{n}" for n in range(len(bodies))]
    for key, content in zip(keys, bodies, strict=True):
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/")["Contents"]
    return [FileVersion(bucket, f["Key"], f["ETag"].strip('"'), f["Size"], f["LastModified"]) for f in found]
