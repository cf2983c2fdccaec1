"""The environments that processes get.

Almost nothing for foreign servers, everything about this stack for our services.
"""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from devstack.settings import (
    CLUSTER_IDS,
    MINIO_PASSWORD,
    MINIO_USER,
    NOTIFICATION_SECRET,
    REGION,
    TENANT_ID,
    DevSettings,
)

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME")
"""What a foreign server may see of the caller.

Proxies, cloud credentials and certificate settings are not its business.
"""

KEY_BYTES = 32


def base_environment(caller: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of Postgres, Kafka, MinIO and Spark, before what each adds."""
    return {name: caller[name] for name in INHERITED if name in caller}


def service_environment(settings: DevSettings | None = None) -> dict[str, str]:
    """Where a service, a test or the demo finds this stack: to be laid over the caller's own environment."""
    settings = settings or DevSettings()
    return {
        "DATABASE_URL": settings.database_url,
        "AUTOLOADER_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "AUTOLOADER_S3_ENDPOINT_URL": settings.s3_url,
        "AUTOLOADER_S3_ACCESS_KEY_ID": MINIO_USER,
        "AUTOLOADER_S3_SECRET_ACCESS_KEY": MINIO_PASSWORD,
        "AUTOLOADER_S3_REGION": REGION,
        "AUTOLOADER_CLUSTERS": json.dumps(dict.fromkeys(CLUSTER_IDS, settings.spark_url)),
        "AUTOLOADER_TENANT_ID": TENANT_ID,
        "AUTOLOADER_NOTIFICATION_SECRETS": json.dumps([NOTIFICATION_SECRET]),
        "AUTOLOADER_API_PORT": str(settings.api_port),
        "AUTOLOADER_WEBHOOK_PRIVATE_ADDRESSES": "true",  # everything is on this machine, receivers too
        "AUTOLOADER_SECRET_KEY": secret_key(settings.folder("secrets") / "dev.key"),
        # A proxy of the machine must not see what goes to this machine.
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
    }


def client_environment(settings: DevSettings | None = None) -> dict[str, str]:
    """What tests and the demo find beside the services' own environment, under the names of the test environment."""
    settings = settings or DevSettings()
    return {
        **service_environment(settings),
        "AUTOLOADER_API_URL": settings.api_url,
        "TEST_MINIO_ENDPOINT": settings.s3_url,
        "TEST_MINIO_ACCESS_KEY": MINIO_USER,
        "TEST_MINIO_SECRET_KEY": MINIO_PASSWORD,
        "TEST_SPARK_CONNECT_URL": settings.spark_url,
        "TEST_TENANT_ID": TENANT_ID,
        "TEST_CLUSTER_ID": CLUSTER_IDS[0],
    }


def secret_key(path: Path) -> str:
    """The key that seals credentials at rest: made once for this state folder, since what it sealed lies there too."""
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())
        temporary.chmod(0o600)
        temporary.replace(path)
    return path.read_text()
