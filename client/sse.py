"""Server-sent events, read line by line: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``id`` is what a client names in ``Last-Event-ID`` when it comes back."""

    name: str
    data: str
    id: str = ""


class EventReader:
    """Lines in, events out. It knows nothing of connections, so it serves blocking and async readers alike."""

    def __init__(self) -> None:
        self._fields: dict[str, list[str]] = {}
        self._id = ""

    def feed(self, line: str) -> Event | None:
        """The event that this line completes, if it does. ``line`` comes without its end."""
        if line:
            field, _, value = line.partition(":")
            self._fields.setdefault(field, []).append(value.removeprefix(" "))
            return None
        fields, self._fields = self._fields, {}
        self._id = fields.get("id", [self._id])[-1]
        if "data" not in fields:
            return None
        return Event(name=fields.get("event", ["message"])[-1], data="\n".join(fields["data"]), id=self._id)


def events_of(lines: Iterable[str]) -> Iterator[Event]:
    """The events of a stream. What its end cuts off is no event."""
    reader = EventReader()
    for line in lines:
        if (event := reader.feed(line)) is not None:
            yield event
