"""Listening to server-sent events, in tests."""

from collections.abc import AsyncGenerator

import httpx

from client.sse import Event, EventReader


async def events(client: httpx.AsyncClient, path: str, *, after: str | None = None) -> AsyncGenerator[Event, None]:
    """The events of a stream, until it ends. ``after``: the id of the last event that is known."""
    headers = {} if after is None else {"Last-Event-ID": after}
    async with client.stream("GET", path, headers=headers, timeout=60) as response:
        assert response.status_code in (200, 204), (await response.aread()).decode()
        reader = EventReader()
        async for line in response.aiter_lines():
            if (event := reader.feed(line)) is not None:
                yield event
