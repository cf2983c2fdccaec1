"""Reading server-sent events: what the standard says of lines, and what breaks off."""

import pytest

from client.sse import Event, events_of


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["id: 7", "event: end", "data: {}", ""], [Event("end", "{}", "7")]),
        (["data:  two spaces", ""], [Event("message", " two spaces")]),
        (["data: a", "data: b", ""], [Event("message", "a\nb")]),
        ([": still here", "", "retry: 1000", ""], []),
        (["id: 7", "data: a", "", "data: b", ""], [Event("message", "a", "7"), Event("message", "b", "7")]),
        (["event: progress", "data: cut o"], []),
        (["data", "unknown: field", ""], [Event("message", "")]),
    ],
)
def test_lines_become_events(lines: list[str], expected: list[Event]) -> None:
    """Comments are none; an id stays until another comes; half an event is none."""
    assert expected == list(events_of(lines))
