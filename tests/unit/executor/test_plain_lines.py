"""A session is sent once what it takes to read plain lines, and one that cannot do it is left alone."""

from pathlib import Path
from typing import Any

import pyspark
import pytest

from services.executor.adapters.reading import plain_lines


class FakeSession:
    """Says whether the source works, before it was sent a jar and after that."""

    def __init__(self, *said: object, version: str = pyspark.__version__) -> None:
        self._said = iter(said)
        self.version = version
        self.sent: list[str] = []

    def addArtifacts(self, path: str) -> None:  # noqa: N802 - pyspark's name
        self.sent.append(path)

    def sql(self, _statement: str) -> "FakeSession":
        return self

    def collect(self) -> list[dict[str, Any]]:
        said = next(self._said)
        if isinstance(said, Exception):
            raise said
        return [{"said": said}]


NO_CLASS = RuntimeError("ClassNotFoundException")


@pytest.fixture
def jar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    found = tmp_path / "plain-lines-0123.jar"
    found.touch()
    monkeypatch.setattr(plain_lines, "JARS", tmp_path)
    return found


def lent(session: FakeSession) -> bool:
    return plain_lines.lent(session)  # type: ignore[arg-type]  # as much of a session as is asked


def test_a_session_is_sent_the_jar_once(jar: Path) -> None:
    session = FakeSession(NO_CLASS, "works 0123")
    assert [lent(session), lent(session)] == [True, True]
    assert [str(jar)] == session.sent


@pytest.mark.usefixtures("jar")
def test_a_server_that_has_it_is_sent_nothing() -> None:
    session = FakeSession("works 0123")
    assert lent(session)
    assert [] == session.sent


@pytest.mark.parametrize("said", ["java.lang.NoSuchMethodError: parse", "works 4567", RuntimeError("refused")])
@pytest.mark.usefixtures("jar")
def test_one_that_cannot_do_it_is_left_alone(said: object) -> None:
    session = FakeSession(NO_CLASS, said)
    assert [lent(session), lent(session)] == [False, False]


@pytest.mark.usefixtures("jar")
def test_another_spark_is_not_even_asked() -> None:
    session = FakeSession(version="4.7.0")
    assert not lent(session)
    assert [] == session.sent


@pytest.mark.usefixtures("jar")
def test_a_server_that_has_another_one_is_left_alone() -> None:
    """It would be taken before ours."""
    session = FakeSession("works 4567")
    assert not lent(session)
    assert [] == session.sent


def test_without_the_jar_nothing_is_sent(jar: Path) -> None:
    jar.unlink()
    session = FakeSession(NO_CLASS)
    assert not lent(session)
    assert [] == session.sent
