"""docker-compose.test.yml cannot be started everywhere, so it is held against the local stack.

What one says, the other says.
"""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml

from devstack.parts.minio import minio_environment
from devstack.parts.postgres import SERVER_SETTINGS
from devstack.parts.spark import CATALOGS, overrides
from devstack.pins import pins
from devstack.places import CLONE, DEPLOY
from devstack.settings import BUCKETS, CATALOG_DATABASE, DATABASE, POSTGRES_PASSWORD, POSTGRES_USER, DevSettings

PORT_FIELDS_INSIDE = {"kafka_controller_port", "api_port"}
"""The controller talks to its own broker only, and the API is never in a container here."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file."""
    document: dict[str, Any] = yaml.safe_load((CLONE / "docker-compose.test.yml").read_text())
    return document


@pytest.fixture(scope="module")
def defaults() -> DevSettings:
    """The local stack's settings as they are without any environment variable."""
    return DevSettings.model_construct()


def properties(name: str) -> dict[str, str]:
    """A settings file of deploy/: `key=value` and `key   value` alike."""
    lines = [line.strip() for line in (DEPLOY / name).read_text().splitlines()]
    pairs = [line.replace("=", " ", 1).split(None, 1) for line in lines if line and not line.startswith("#")]
    return {key: value.strip() for key, value in pairs}


def test_the_file_is_valid_by_the_compose_specification(compose: dict[str, Any]) -> None:
    """Every key is one that the published schema knows."""
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(compose)


def test_published_ports_are_those_of_the_local_stack(compose: dict[str, Any], defaults: DevSettings) -> None:
    """Nobody has to know which of the two is running; and neither is reachable from another machine."""
    fields = [name for name in DevSettings.model_fields if name.endswith("_port") and name not in PORT_FIELDS_INSIDE]
    expected = {f"127.0.0.1:{getattr(defaults, name)}:{getattr(defaults, name)}" for name in fields}
    published = {port for service in compose["services"].values() for port in service.get("ports", [])}
    assert published == expected


def test_every_container_shares_one_localhost(compose: dict[str, Any]) -> None:
    """The settings files say `localhost` for every part, which is true only inside one network."""
    modes = {name: service.get("network_mode") for name, service in compose["services"].items()}
    assert modes == {
        "postgres": None,
        "kafka": "service:postgres",
        "minio": "service:postgres",
        "spark": "service:postgres",
    }


def test_images_are_the_pinned_versions(compose: dict[str, Any]) -> None:
    """deploy/versions.toml is the one place for versions."""
    images = pins().images
    assert {name: compose["services"][name]["image"] for name in ("postgres", "kafka", "minio")} == {
        name: images[name] for name in ("postgres", "kafka", "minio")
    }
    dockerfile = (DEPLOY / "containers" / "spark.Dockerfile").read_text()
    assert f"FROM {images['spark']}\n" in dockerfile
    assert compose["services"]["spark"]["image"] == f"autoloader-spark:{pins().spark}"


def test_the_spark_image_has_the_pinned_jars() -> None:
    """The image fetches the same artifacts that the local stack fetches."""
    dockerfile = (DEPLOY / "containers" / "spark.Dockerfile").read_text()
    found = [
        line.strip(" \\") for line in dockerfile.splitlines() if line.strip().count(":") == 2 and ".jar" not in line
    ]
    assert found == [f"{jar.organisation}:{jar.name}:{jar.version}" for jar in pins().spark_jars.jars]


def test_credentials_and_databases_are_those_of_the_local_stack(compose: dict[str, Any]) -> None:
    """The fixed names of the test environment."""
    postgres = compose["services"]["postgres"]
    assert postgres["environment"] == {
        "POSTGRES_USER": POSTGRES_USER,
        "POSTGRES_PASSWORD": POSTGRES_PASSWORD,
        "POSTGRES_DB": DATABASE,
    }
    assert f"CREATE DATABASE {CATALOG_DATABASE};" in (DEPLOY / "containers" / "catalog_database.sql").read_text()
    assert f"max_connections={SERVER_SETTINGS['max_connections']}" in postgres["command"]


def test_minio_has_the_same_environment_and_buckets(compose: dict[str, Any], defaults: DevSettings) -> None:
    """Credentials, region and the target of bucket notifications."""
    minio = compose["services"]["minio"]
    assert minio["environment"] == minio_environment(defaults)
    assert {f"/data/{bucket}" for bucket in BUCKETS} <= set(minio["command"][0].split())


def test_both_read_the_same_settings_files(compose: dict[str, Any]) -> None:
    """Spark and Kafka are configured once."""
    mounted = [volume for name in ("spark", "kafka") for volume in compose["services"][name]["volumes"]]
    for name in ("spark-defaults.conf", "spark-log4j2.properties", "kafka.properties"):
        assert any(volume.startswith(f"./deploy/{name}:") for volume in mounted), name


def test_spark_settings_say_what_the_local_stack_adds(defaults: DevSettings) -> None:
    """At default ports, the local stack overrides addresses with the very values that the shared file has."""
    shared = properties("spark-defaults.conf")
    added = overrides(defaults, CLONE)
    assert {key: added[key] for key in added.keys() & shared.keys()} == {
        key: shared[key] for key in added.keys() & shared.keys()
    }
    for catalog, bucket in zip(CATALOGS, reversed(BUCKETS), strict=True):
        prefix = f"spark.sql.catalog.{catalog}"
        assert shared[f"{prefix}.warehouse"] == f"s3://{bucket}/warehouse"
        assert shared[f"{prefix}.jdbc.user"] == POSTGRES_USER
        assert shared[f"{prefix}.jdbc.password"] == POSTGRES_PASSWORD


def test_kafka_settings_have_the_default_ports(compose: dict[str, Any], defaults: DevSettings) -> None:
    """The shared file, the container and the local stack agree on where the broker is reached."""
    shared = properties("kafka.properties")
    assert shared["advertised.listeners"] == f"PLAINTEXT://{defaults.kafka_bootstrap}"
    assert (
        shared["listeners"]
        == f"PLAINTEXT://127.0.0.1:{defaults.kafka_port},CONTROLLER://127.0.0.1:{defaults.kafka_controller_port}"
    )
    in_container = compose["services"]["kafka"]["environment"]
    assert in_container["KAFKA_LISTENERS"] == shared["listeners"].replace("127.0.0.1", "0.0.0.0", 1)
    assert in_container["KAFKA_HEAP_OPTS"] == f"-Xmx{defaults.kafka_memory}"


def test_every_container_tells_its_health(compose: dict[str, Any]) -> None:
    """`docker compose up --wait` returns when the stack can be used."""
    assert [name for name, service in compose["services"].items() if "healthcheck" not in service] == []
