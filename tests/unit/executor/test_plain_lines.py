"""A session is sent once what it takes to read plain lines, and one that cannot do it is left alone."""

from pathlib import Path
from typing import Any

import pytest

from services.executor.adapters.reading import plain_lines


class FakeSession:
    """Says what it is told to say when it is asked whether the source works."""

    def __init__(self, said: object = "works") -> None:
        self.said = said
        self.asked: list[str] = []

    def addArtifacts(self, path: str) -> None:  # noqa: N802 - pyspark's name
        self.asked.append(path)

    def sql(self, statement: str) -> "FakeSession":
        self.asked.append(statement)
        return self

    def collect(self) -> list[dict[str, Any]]:
        if isinstance(self.said, Exception):
            raise self.said
        return [{"said": self.said}]


@pytest.fixture
def jar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    found = tmp_path / "plain-lines.jar"
    found.touch()
    monkeypatch.setattr(plain_lines, "JAR", found)
    return found


def lent(session: FakeSession) -> bool:
    return plain_lines.lent(session)  # type: ignore[arg-type]  # as much of a session as is asked


def test_a_session_is_asked_once(jar: Path) -> None:
    session = FakeSession()
    assert [lent(session), lent(session)] == [True, True]
    assert len(session.asked) == 2
    assert session.asked[0] == str(jar)
    assert lent(FakeSession())


@pytest.mark.parametrize("said", ["java.lang.NoSuchMethodError: parse", RuntimeError("refused")])
@pytest.mark.usefixtures("jar")
def test_one_that_cannot_do_it_is_left_alone(said: object) -> None:
    session = FakeSession(said)
    assert [lent(session), lent(session)] == [False, False]
    assert len(session.asked) == 2


def test_without_the_jar_nobody_is_asked(jar: Path) -> None:
    jar.unlink()
    session = FakeSession()
    assert not lent(session)
    assert [] == session.asked
