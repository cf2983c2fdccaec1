"""Settings of the API service: the common ones, where it listens, what it may take, and what things cost."""

from datetime import timedelta

from pydantic import Field, SecretStr, field_validator

from libs.common.settings import CommonSettings
from services.api.costs.model import Prices, Speed
from services.api.notifications.secrets import SharedSecrets
from services.api.preview.bounds import Bounds
from services.api.webhooks.attempts import Patience

_SECRET_CHARS_MIN = 16


class ApiSettings(CommonSettings):
    """Read once, in ``__main__``."""

    api_host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    api_port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    tenant_id: str = Field(
        default="default", min_length=1, description="Whose ingestions these are, as long as nobody has to log in."
    )
    kafka_public_bootstrap: str | None = Field(
        default=None,
        description="Kafka brokers as outsiders reach them, for /asyncapi.json. Unset: AUTOLOADER_KAFKA_BOOTSTRAP.",
    )
    refresh_wait_s: float = Field(
        default=20, ge=0, description="Seconds that the answer to a refresh waits for the executor's word, at most."
    )
    event_listeners_max: int = Field(
        default=500, ge=1, description="Clients that may follow runs (server-sent events) at one process at a time."
    )
    refresh_undo_days: float = Field(
        default=7, ge=0, description="Days for which a refresh can be undone: that long its old table has to be kept."
    )
    watermark_interval_s: float = Field(
        default=5, gt=0, description="Seconds between two looks at how far the watermarks may move."
    )
    expected_interval_s: float = Field(
        default=15, gt=0, description="Seconds between two looks at whether files that should have come did."
    )
    expected_again_s: float = Field(
        default=60, gt=0, description="Seconds between two looks for files that were told as missing."
    )
    plan_files_max: int = Field(
        default=100_000, ge=1, description="Files that one plan names, at most; a larger one is refused."
    )
    preview_s: float = Field(
        default=8, gt=0, description="Seconds that a preview may take; a quarter more, if listing took them all."
    )
    preview_files: int = Field(default=20, ge=1, description="Files that a preview looks into, at most.")
    preview_bytes: int = Field(
        default=1024**2, ge=1, description="Bytes that a preview reads of each file, from its start, at most."
    )
    preview_lines: int = Field(default=1000, ge=1, description="Lines of each file that a preview looks at, at most.")
    cluster_test_wait_s: float = Field(
        default=15, ge=0, description="Seconds that the answer to a connection test waits for an executor's word."
    )
    webhook_private_addresses: bool = Field(
        default=False,
        description="Whether webhooks may lead to private addresses and to this machine. Link-local addresses, where "
        "clouds give credentials away, are never called.",
    )
    webhook_timeout_s: float = Field(default=10, gt=0, description="Seconds that a webhook's receiver has to answer.")
    webhook_attempts_max: int = Field(
        default=12, ge=1, description="Attempts at one delivery before it is given up; with the default, over 27 hours."
    )
    webhook_retry_s: float = Field(
        default=10, gt=0, description="Seconds until a delivery is tried again; then thrice as long, up to 6 hours."
    )
    webhook_disable_days: float = Field(
        default=5, gt=0, description="Days of nothing but failures after which a webhook is disabled."
    )
    cost_cores: int = Field(default=2, ge=1, description="Cores of the Spark cluster, for estimates.")
    cost_mb_per_core_s: float = Field(
        default=12, gt=0, description="10^6 bytes of source files that a core loads in a second, for estimates."
    )
    cost_core_hour_usd: float = Field(default=0.05, ge=0, description="Price of a core for an hour.")
    cost_list_1000_usd: float = Field(default=0.005, ge=0, description="Price of 1,000 LIST requests.")
    cost_get_1000_usd: float = Field(default=0.0004, ge=0, description="Price of 1,000 GET or HEAD requests.")
    cost_gb_month_usd: float = Field(default=0.023, ge=0, description="Price of 10^9 stored bytes for a month.")
    notification_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secrets of which a bucket's webhook has to send one, each of 16 characters at least, as JSON: "
        '["…"]. Two of them while one is exchanged. Unset: nothing is taken over HTTP.',
    )
    database_pool_size: int = Field(default=10, ge=2, description="Connections to Postgres, at most.")

    @field_validator("notification_secrets")
    @classmethod
    def _are_hard_to_guess(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(secret.get_secret_value()) < _SECRET_CHARS_MIN for secret in secrets):
            raise ValueError(f"each secret needs {_SECRET_CHARS_MIN} characters; make one with: openssl rand -hex 24")
        return secrets

    def shared_secrets(self) -> SharedSecrets:
        """Those that let notifications in over HTTP."""
        return SharedSecrets([secret.get_secret_value() for secret in self.notification_secrets])

    def preview_bounds(self) -> Bounds:
        """What a preview may take."""
        return Bounds(self.preview_s, self.preview_files, self.preview_bytes, self.preview_lines)

    def patience(self) -> Patience:
        """With the receivers of webhooks."""
        return Patience(
            first_pause=timedelta(seconds=self.webhook_retry_s),
            attempts_max=self.webhook_attempts_max,
            disable_after=timedelta(days=self.webhook_disable_days),
        )

    def speed(self) -> Speed:
        """Of the cluster, as the cost model wants it."""
        return Speed(cores=self.cost_cores, bytes_per_core_s=self.cost_mb_per_core_s * 1e6)

    def prices(self) -> Prices:
        """Of the cloud, as the cost model wants them."""
        return Prices(
            core_hour_usd=self.cost_core_hour_usd,
            list_1000_usd=self.cost_list_1000_usd,
            get_1000_usd=self.cost_get_1000_usd,
            gb_month_usd=self.cost_gb_month_usd,
        )
