"""Where the stories find the stack. Every name has a default that fits ``make up``."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from libs.common.contracts.topics import DEFAULT_PREFIX

DEFAULT_DATABASE_URL = "postgresql://test_user:test_password@localhost:5432/autoloader_test"


@dataclass(frozen=True, slots=True)
class Environment:
    api_url: str
    minio_endpoint: str
    minio_access_key: str
    minio_secret_key: str
    spark_connect_url: str
    kafka_bootstrap: str
    topic_prefix: str
    database_url: str
    """Only to see that Postgres answers: the stories never log in to it."""
    tenant_id: str
    cluster_id: str
    notification_secret: str
    num_files: int
    records_per_file: int

    @classmethod
    def read(cls, source: Mapping[str, str] = os.environ) -> Self:
        return cls(
            api_url=source.get("TEST_API_URL") or source.get("AUTOLOADER_API_URL") or "http://localhost:8000",
            minio_endpoint=source.get("TEST_MINIO_ENDPOINT", "http://localhost:9000"),
            minio_access_key=source.get("TEST_MINIO_ACCESS_KEY", "minioadmin"),
            minio_secret_key=source.get("TEST_MINIO_SECRET_KEY", "minioadmin"),
            spark_connect_url=source.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002"),
            kafka_bootstrap=source.get("AUTOLOADER_KAFKA_BOOTSTRAP", "localhost:9092"),
            topic_prefix=source.get("AUTOLOADER_TOPIC_PREFIX", DEFAULT_PREFIX),
            database_url=source.get("DATABASE_URL", DEFAULT_DATABASE_URL),
            tenant_id=source.get("TEST_TENANT_ID", "test-tenant-001"),
            cluster_id=source.get("TEST_CLUSTER_ID", "test-cluster-001"),
            notification_secret=json.loads(source.get("AUTOLOADER_NOTIFICATION_SECRETS", '["local-notifications"]'))[0],
            num_files=int(source.get("TEST_DATA_NUM_FILES", "3")),
            records_per_file=int(source.get("TEST_DATA_RECORDS_PER_FILE", "1000")),
        )
