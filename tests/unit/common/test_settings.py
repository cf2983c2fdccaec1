"""Settings: from the environment, with one clear line per mistake."""

import pytest
from pydantic import Field

from libs.common.errors import Permanent
from libs.common.settings import CommonSettings, load


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("AUTOLOADER_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)


def test_defaults_fit_the_local_stack() -> None:
    """`make up`, and everything is found."""
    settings = load(CommonSettings)
    assert "localhost:9092" == settings.kafka_bootstrap
    assert {"local": "sc://localhost:15002"} == settings.clusters
    assert ":" in settings.instance_id


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Structured values are JSON."""
    monkeypatch.setenv("AUTOLOADER_CLUSTERS", '{"big": "sc://spark:15002"}')
    monkeypatch.setenv("AUTOLOADER_METRICS_PORT", "9102")
    settings = load(CommonSettings)
    assert ({"big": "sc://spark:15002"}, 9102) == (settings.clusters, settings.metrics_port)


def test_database_url_has_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual one, and ours, which wins."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://a@b/usual")
    assert "postgresql://a@b/usual" == load(CommonSettings).database_url
    monkeypatch.setenv("AUTOLOADER_DATABASE_URL", "postgresql://a@b/ours")
    assert "postgresql://a@b/ours" == load(CommonSettings).database_url
    assert "direct" == CommonSettings(database_url="direct").database_url


def test_each_mistake_is_one_line_that_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """And never repeats the value, which may be a secret."""

    class Mine(CommonSettings):
        page_size: int = Field(default=1, le=1000)

    monkeypatch.setenv("AUTOLOADER_PAGE_SIZE", "4096")
    monkeypatch.setenv("AUTOLOADER_LEASE_TTL_S", "soon")
    monkeypatch.setenv("AUTOLOADER_LOG_LEVEL", "hunter2")
    with pytest.raises(Permanent) as raised:
        load(Mine)
    lines = raised.value.message.splitlines()
    assert ["AUTOLOADER_LOG_LEVEL", "AUTOLOADER_LEASE_TTL_S", "AUTOLOADER_PAGE_SIZE"] == [
        line.split(":")[0] for line in lines
    ]
    assert "hunter2" not in raised.value.message


def test_broken_json_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails before validation."""
    monkeypatch.setenv("AUTOLOADER_CLUSTERS", "{oops")
    with pytest.raises(Permanent, match="AUTOLOADER_CLUSTERS"):
        load(CommonSettings)


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings end up in logs sooner or later."""
    monkeypatch.setenv("AUTOLOADER_SECRET_KEY", "hunter2")
    monkeypatch.setenv("AUTOLOADER_S3_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db/x")
    assert "hunter2" not in repr(load(CommonSettings))


def test_a_missing_secret_key_is_explained() -> None:
    """Only those who open credentials need it."""
    with pytest.raises(Permanent, match="AUTOLOADER_SECRET_KEY is not set"):
        load(CommonSettings).require_secret_key()


def test_every_field_is_described() -> None:
    """The reference page is made of these."""
    assert [] == [name for name, field in CommonSettings.model_fields.items() if not field.description]
