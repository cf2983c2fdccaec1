"""Settings that the services share. Read once, in ``__main__``, and passed on as plain values.

Every field is an environment variable with the prefix ``AUTOLOADER_``, as in ``AUTOLOADER_KAFKA_BOOTSTRAP``. Each
service adds its own in a subclass. Units are last in a name.
"""

import os
import socket
from typing import Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from libs.common.contracts.topics import DEFAULT_PREFIX
from libs.common.errors import Permanent

ENV_PREFIX = "AUTOLOADER_"

_HINT = "each setting is described in libs/common/settings.py and in the settings of its service"

S = TypeVar("S", bound=BaseSettings)


def default_instance_id() -> str:
    """Names this process among its siblings: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


class CommonSettings(BaseSettings):
    """What every service needs to know."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, populate_by_name=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: str = Field(
        default="postgresql://test_user:test_password@localhost:5432/autoloader_test",
        validation_alias=AliasChoices("AUTOLOADER_DATABASE_URL", "DATABASE_URL"),
        repr=False,
        description="Postgres with the control and ledger schemas, as postgresql://user:password@host:port/database.",
    )
    kafka_bootstrap: str = Field(default="localhost:9092", description="Kafka brokers, host:port, separated by commas.")
    kafka_replication_factor: int = Field(
        default=1, ge=1, description="Copies of each topic that the services create. 3 in production."
    )
    kafka_static_member: str | None = Field(
        default=None,
        pattern=r"^[a-zA-Z0-9._-]{1,200}$",
        description="Name of this replica that outlives its process, as a StatefulSet's pod name does; no two processes"
        " of a service may share one. A replica that returns within 45 seconds gets its partitions back without a"
        " rebalance; one that is removed for good leaves them unread for as long. Unset: partitions move at once.",
    )
    topic_prefix: str = Field(
        default=DEFAULT_PREFIX,
        pattern=r"^[a-zA-Z0-9._-]+$",
        description="First part of every topic and group name, so that two installations can share a broker.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Key for credentials at rest: 32 random bytes in base64 (openssl rand -base64 32).",
    )
    clusters: dict[str, str] = Field(
        default={"local": "sc://localhost:15002"},
        description='Spark Connect clusters by id, as JSON: {"local": "sc://localhost:15002"}.',
    )
    s3_endpoint_url: str | None = Field(
        default=None, description="S3 endpoint for sources that name none. Unset: Amazon's own."
    )
    s3_access_key_id: str | None = Field(default=None, description="Access key for sources without credentials.")
    s3_secret_access_key: SecretStr | None = Field(default=None, description="Secret for sources without credentials.")
    s3_region: str = Field(default="us-east-1", description="Region for sources that name none.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    metrics_port: int | None = Field(default=None, ge=1, le=65535, description="Port of /metrics. Unset: not served.")
    lease_ttl_s: float = Field(
        default=30, gt=0, description="Seconds until the work of a silent process may be taken over."
    )
    sweep_interval_s: float = Field(
        default=10, gt=0, description="Seconds between two searches for work that nobody does."
    )
    instance_id: str = Field(
        default_factory=default_instance_id, description="Name of this process in leases and logs: host:pid."
    )

    def require_secret_key(self) -> str:
        """The key, for those who open or seal credentials.

        Raises:
            Permanent: code ``no_secret_key``.
        """
        if self.secret_key is None:
            raise Permanent(
                f"{ENV_PREFIX}SECRET_KEY is not set, and stored credentials cannot be read without it",
                code="no_secret_key",
                hint="make one with: openssl rand -base64 32, and give all services the same",
            )
        return self.secret_key.get_secret_value()


def env_name(field: str, info: FieldInfo | None = None) -> str:
    """The environment variable of a field."""
    alias = info.validation_alias if info is not None else None
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return ENV_PREFIX + field.upper()


def problems(error: ValidationError, model: type[BaseSettings] = CommonSettings) -> list[str]:
    """One clear line per bad field, naming its environment variable. Values are left out: they may be secret."""
    lines = []
    for item in error.errors():
        location = [str(part) for part in item["loc"]]
        field = location[0] if location else ""
        name = field if field.startswith(ENV_PREFIX) else env_name(field, model.model_fields.get(field))
        inside = "".join(f"[{part}]" for part in location[1:])
        lines.append(f"{name}{inside}: {item['msg']}")
    return lines


def load(model: type[S]) -> S:
    """Reads the environment.

    Raises:
        Permanent: code ``bad_settings``; its message has one line per bad field.
    """
    try:
        return model()
    except ValidationError as e:
        raise Permanent("\n".join(problems(e, model)), code="bad_settings", hint=_HINT) from e
    except SettingsError as e:  # raised for values that should be JSON, before any validation
        named = [name for name in model.model_fields if f'"{name}"' in str(e)]
        which = ", ".join(env_name(name, model.model_fields[name]) for name in named)
        raise Permanent(f"{which}: is not valid JSON", code="bad_settings", hint=_HINT) from e
