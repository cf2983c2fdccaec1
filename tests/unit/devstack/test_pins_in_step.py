"""Versions are written in deploy/versions.toml; pyproject.toml, the locks and the checksums repeat them."""

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from devstack.fetch.checksums import parse_checksums
from devstack.pins import Jar, JarSet, pins
from devstack.places import CLONE
from devstack.setup import lines_of

PROJECT = tomllib.loads((CLONE / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def requirements(*groups: list[str]) -> list[Requirement]:
    """The requirements of several groups."""
    return [Requirement(text) for group in groups for text in group]


def locked(lock: str) -> dict[str, str]:
    """Name → version of every package in a lock."""
    lines = [line.split(";")[0].split()[0] for line in (CLONE / lock).read_text().splitlines() if line[:1].isalnum()]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def test_wheels_that_carry_binaries_are_pinned_alike() -> None:
    """The wheel that is installed is the one that versions.toml speaks of."""
    declared = {f"{each.name}{each.specifier}" for each in requirements(PROJECT["dependencies"], EXTRAS["devstack"])}
    assert set(pins().wheels) <= declared


@pytest.mark.parametrize(
    ("lock", "groups"),
    [
        ("requirements.lock", [PROJECT["dependencies"], EXTRAS["devstack"]]),
        ("requirements-dev.lock", [PROJECT["dependencies"], EXTRAS["devstack"], EXTRAS["dev"]]),
    ],
)
def test_locks_satisfy_pyproject(lock: str, groups: list[list[str]]) -> None:
    """A requirement added to pyproject.toml is not forgotten in the locks: run `make lock`."""
    versions = locked(lock)
    wrong = [
        str(each)
        for each in requirements(*groups)
        if not each.specifier.contains(versions.get(canonicalize_name(each.name), "0"), prereleases=True)
    ]
    assert wrong == []


def test_the_development_lock_extends_the_other() -> None:
    """What is tested is what is shipped."""
    runtime, development = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {name: development.get(name) for name in runtime} == runtime


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_name_no_address_and_hash_everything(lock: str) -> None:
    """Any index may serve the packages, and none may change them."""
    text = (CLONE / lock).read_text()
    assert "://" not in text
    for name in locked(lock):
        assert "--hash=sha256:" in lines_of(name, text), name


@pytest.mark.parametrize(
    "jars", [pins().kafka_jars, pins().spark_jars, pins().compiler_jars], ids=lambda jars: jars.name
)
def test_every_pinned_jar_has_a_checksum(jars: JarSet) -> None:
    """A version changed in versions.toml without `python -m devstack.fetch.pin` does not pass."""
    names = parse_checksums(jars.checksums.read_text())
    assert [jar for jar in jars.jars if f"{jar.name}-{jar.version}.jar" not in names] == []


def test_the_spark_jars_are_exactly_the_pinned_ones() -> None:
    """Nothing comes along by itself: the SDK alone would be 600 MB."""
    assert len(parse_checksums(pins().spark_jars.checksums.read_text())) == len(pins().spark_jars.jars)


def test_versions_inside_artifact_names_agree() -> None:
    """Spark's and Iceberg's versions are also part of the coordinates."""
    jars = {jar.name: jar for jar in (*pins().spark_jars.jars, *pins().kafka_jars.jars)}
    minor = ".".join(pins().spark.split(".")[:2])
    assert jars[f"iceberg-spark-runtime-{minor}_2.13"].version == pins().iceberg
    assert jars["iceberg-aws-bundle"].version == pins().iceberg
    assert jars["spark-avro_2.13"].version == pins().spark
    assert jars["kafka_2.13"] == Jar("org.apache.kafka", "kafka_2.13", pins().kafka)
