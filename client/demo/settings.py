"""Where the demo finds the stack, and what it calls its things. Defaults fit ``make up``."""

import os
from dataclasses import dataclass, field

from client.rest import DEFAULT_API_URL


def _from_environment(name: str, default: str) -> str:
    return os.environ.get(name) or default


@dataclass(frozen=True, slots=True)
class DemoSettings:
    api_url: str = field(default_factory=lambda: _from_environment("AUTOLOADER_API_URL", DEFAULT_API_URL))
    s3_endpoint: str = field(default_factory=lambda: _from_environment("TEST_MINIO_ENDPOINT", "http://localhost:9000"))
    s3_access_key: str = field(default_factory=lambda: _from_environment("TEST_MINIO_ACCESS_KEY", "minioadmin"))
    s3_secret_key: str = field(
        default_factory=lambda: _from_environment("TEST_MINIO_SECRET_KEY", "minioadmin"), repr=False
    )
    spark_url: str = field(default_factory=lambda: _from_environment("TEST_SPARK_CONNECT_URL", "sc://localhost:15002"))
    cluster_id: str = "local"
    bucket: str = "landing"
    prefix: str = "flights/"
    catalog: str = "lake"
    database: str = "demo"
    table: str = "flights"
    ingestion_name: str = "Flights of 2013"
    files_per_batch: int = 3  # small, so that one can watch several batches go by

    @property
    def source_path(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def table_name(self) -> str:
        return f"{self.catalog}.{self.database}.{self.table}"

    def definition(self) -> dict[str, object]:
        """The body of ``POST /ingestions`` that the demo sends."""
        return {
            "name": self.ingestion_name,
            "cluster_id": self.cluster_id,
            "source": {
                "type": "s3",
                "path": self.source_path,
                "file_pattern": "*.json",
                "max_files_per_trigger": self.files_per_batch,
                "credentials": {
                    "aws_access_key_id": self.s3_access_key,
                    "aws_secret_access_key": self.s3_secret_key,
                    "endpoint_url": self.s3_endpoint,
                    "region": "us-east-1",
                },
            },
            "format": {"type": "json", "schema": {"inference": "auto", "evolution_enabled": True}},
            "destination": {"catalog": self.catalog, "database": self.database, "table": self.table},
        }
