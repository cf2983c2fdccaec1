"""What can be changed about the local stack, each through an environment variable AUTOLOADER_DEV_<NAME>."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from devstack.places import cache_dir, state_dir

PREFIX = "AUTOLOADER_DEV_"

Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
PortNumber = Annotated[int, Field(ge=1, le=65535)]

# Fixed names of the test environment; docker-compose.test.yml and deploy/spark-defaults.conf repeat them.
POSTGRES_USER = "test_user"
POSTGRES_PASSWORD = "test_password"
DATABASE = "autoloader_test"
CATALOG_DATABASE = "iceberg_catalog"
MINIO_USER = "minioadmin"
MINIO_PASSWORD = "minioadmin"
BUCKETS = ("test-lakehouse", "lakehouse")
REGION = "us-east-1"
NOTIFICATION_SECRET = "local-notifications"
TENANT_ID = "test-tenant-001"
CLUSTER_IDS = ("test-cluster-001", "local")
NOTIFICATION_TOPIC = "autoloader.s3-notifications"


class DevSettings(BaseSettings):
    """Read once by the command line; parts receive this value."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, populate_by_name=True, env_ignore_empty=True)

    postgres_port: PortNumber = Field(default=5432, description="Postgres.")
    kafka_port: PortNumber = Field(default=9092, description="Kafka's clients.")
    kafka_controller_port: PortNumber = Field(default=9093, description="Kafka's own controller.")
    minio_port: PortNumber = Field(default=9000, description="S3.")
    minio_console_port: PortNumber = Field(default=9001, description="MinIO's web page.")
    spark_port: PortNumber = Field(default=15002, description="Spark Connect.")
    spark_ui_port: PortNumber = Field(default=4040, description="Spark's web page.")
    api_port: PortNumber = Field(default=8000, description="Autoloader's API.")
    spark_memory: str = Field(
        default="2g", pattern=r"^\d+[mg]$", description="Heap of the Spark server, as Java writes it."
    )
    spark_peak: bool = Field(
        default=False, description="Let the Spark server warm up to its full speed, which a benchmark needs."
    )
    kafka_memory: str = Field(
        default="512m", pattern=r"^\d+[mg]$", description="Heap of the broker, as Java writes it."
    )
    postgres_user: str | None = Field(
        default=None, description="Who Postgres runs as when the stack is started by root."
    )
    cache: Folder = Field(default_factory=cache_dir, validation_alias="AUTOLOADER_CACHE_DIR", description="Downloads.")
    state: Folder = Field(
        default_factory=state_dir, validation_alias=f"{PREFIX}STATE_DIR", description="Data, logs, process records."
    )

    def folder(self, name: str) -> Path:
        """A folder of this stack's state, made if it is missing."""
        path = self.state / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def database_url(self) -> str:
        """Where services keep their state."""
        return f"postgresql://{POSTGRES_USER}:{POSTGRES_PASSWORD}@localhost:{self.postgres_port}/{DATABASE}"

    @property
    def s3_url(self) -> str:
        """MinIO."""
        return f"http://localhost:{self.minio_port}"

    @property
    def kafka_bootstrap(self) -> str:
        """Kafka."""
        return f"localhost:{self.kafka_port}"

    @property
    def spark_url(self) -> str:
        """Spark Connect."""
        return f"sc://localhost:{self.spark_port}"

    @property
    def api_url(self) -> str:
        """Autoloader's API."""
        return f"http://localhost:{self.api_port}"
