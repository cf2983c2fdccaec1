"""Failpoints: known by name, free when unset."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libs.common import failpoints
from libs.common.errors import Permanent
from libs.common.failpoints import FailpointReached, arm, failpoint, parse

REPO = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _disarmed() -> object:
    yield
    arm(None)


@pytest.mark.parametrize(
    ("text", "nth", "action"),
    [
        ("scan.after_page", 1, "kill"),
        ("scan.after_page:3", 3, "kill"),
        ("scan.after_page:stop", 1, "stop"),
        ("scan.after_page:2:raise", 2, "raise"),
        ("scan.after_page:2:sleep", 2, "sleep"),
    ],
)
def test_a_failpoint_is_written_as_name_count_and_action(text: str, nth: int, action: str) -> None:
    """The count and the action may be left out."""
    armed = parse(text)
    assert ("scan.after_page", nth, action) == (armed.name, armed.nth, armed.action)


@pytest.mark.parametrize(
    "text", ["scan.after_pages", "", "scan.after_page:0", "scan.after_page:explode", "relay.after_send:1:kill:x"]
)
def test_what_cannot_be_understood_is_refused(text: str) -> None:
    """A fault test must not pass because of a typing mistake."""
    with pytest.raises(Permanent):
        parse(text)


def test_an_unknown_point_cannot_be_passed() -> None:
    """Also when nothing is armed."""
    with pytest.raises(Permanent, match=r"nowhere\.at_all"):
        failpoint("nowhere.at_all")


def test_a_point_strikes_once_at_its_turn() -> None:
    """The second pass of two, and neither before nor after."""
    arm("relay.after_send:2:raise")
    failpoint("relay.after_send")
    failpoint("api.before_tx")
    with pytest.raises(FailpointReached):
        failpoint("relay.after_send")
    failpoint("relay.after_send")


def test_an_unset_point_does_nothing() -> None:
    """The usual case."""
    for name in failpoints.NAMES:
        failpoint(name)


def test_the_environment_kills_a_process_at_its_point() -> None:
    """As a fault test does it: no cleanup, no last words."""
    program = "from libs.common.failpoints import failpoint as f; f('exec.after_publish'); print('alive')"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO), failpoints.VARIABLE: "exec.after_publish"},
        capture_output=True,
        check=False,
    )
    assert (-signal.SIGKILL, b"") == (ended.returncode, ended.stdout)


def test_a_wrong_name_in_the_environment_stops_the_process_at_its_start() -> None:
    """With the names that exist."""
    ended = subprocess.run(
        [sys.executable, "-c", "import libs.common.failpoints"],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO), failpoints.VARIABLE: "exec.after_publsh"},
        capture_output=True,
        check=False,
    )
    assert 1 == ended.returncode
    assert b"unknown failpoint 'exec.after_publsh'" in ended.stderr


def test_every_point_in_the_code_is_listed() -> None:
    """The registry is the documentation."""
    used = set()
    for folder in ("libs", "services"):
        for path in (REPO / folder).rglob("*.py"):
            used |= set(re.findall(r"^\s+failpoint\(\"([^\"]+)\"\)", path.read_text(), re.MULTILINE))
    assert used <= set(failpoints.NAMES)
