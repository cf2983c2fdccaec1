"""deploy/versions.toml as values: which version of what this stack runs."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from devstack.places import DEPLOY


@dataclass(frozen=True, slots=True)
class Jar:
    """Maven coordinates of one artifact."""

    organisation: str
    name: str
    version: str

    @classmethod
    def parse(cls, coordinates: str) -> "Jar":
        """Read `organisation:name:version`."""
        organisation, name, version = coordinates.split(":")
        return cls(organisation, name, version)


@dataclass(frozen=True, slots=True)
class JarSet:
    """Jars that are fetched and verified together, into one folder."""

    name: str
    jars: tuple[Jar, ...]
    transitive: bool
    """Whether the first artifact brings what it depends on; the rest always come alone."""
    checksums: Path


@dataclass(frozen=True, slots=True)
class Pins:
    """The whole file."""

    postgres_major: int
    java_minimum: int
    minio_module: str
    minio_version: str
    vegeta_module: str
    vegeta_version: str
    kafka: str
    spark: str
    iceberg: str
    kafka_jars: JarSet
    spark_jars: JarSet
    compiler_jars: JarSet
    wheels: tuple[str, ...]
    """Requirements that pyproject.toml must repeat word for word."""
    images: dict[str, str]
    """Part → container image, for docker-compose.test.yml."""


@cache
def pins() -> Pins:
    """The pins of this clone."""
    return parse_pins(tomllib.loads((DEPLOY / "versions.toml").read_text()), DEPLOY / "checksums")


def parse_pins(document: dict[str, Any], checksums: Path) -> Pins:
    """Turn the parsed file into values."""
    return Pins(
        postgres_major=document["postgres"]["major"],
        java_minimum=document["java"]["minimum"],
        minio_module=document["minio"]["module"],
        minio_version=document["minio"]["version"],
        vegeta_module=document["vegeta"]["module"],
        vegeta_version=document["vegeta"]["version"],
        kafka=document["kafka"]["version"],
        spark=document["spark"]["version"],
        iceberg=document["spark"]["iceberg"],
        kafka_jars=_jar_set("kafka", document, checksums),
        spark_jars=_jar_set("spark", document, checksums),
        compiler_jars=_jar_set("compiler", document, checksums),
        wheels=tuple(table["wheel"] for table in document.values() if "wheel" in table),
        images={part: table["image"] for part, table in document.items() if "image" in table},
    )


def _jar_set(name: str, document: dict[str, Any], checksums: Path) -> JarSet:
    table = document[name]
    jars = tuple(Jar.parse(coordinates) for coordinates in table["jars"])
    return JarSet(name, jars, table["ivy_transitive"], checksums / f"{name}.sha256")
