"""A patient client: asks one API after the other until somebody answers, with one Idempotency-Key all the time."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

_PAUSE_S = 0.5
_BUSY = 429


@dataclass
class Api:
    """``clients`` are one per replica."""

    clients: list[httpx.AsyncClient]

    async def post(self, path: str, **body: Any) -> httpx.Response:
        """The first answer that is not an excuse: done, or refused for a reason."""
        return await self._until_answered("POST", path, headers={"Idempotency-Key": uuid4().hex}, json=body or None)

    async def get(self, path: str) -> Any:
        answer = await self._until_answered("GET", path)
        assert answer.is_success, answer.text
        return answer.json()

    async def _until_answered(self, method: str, path: str, **more: Any) -> httpx.Response:
        attempt = 0
        while True:
            client = self.clients[attempt % len(self.clients)]
            attempt += 1
            try:
                answer = await client.request(method, f"/api/v1/ingestions{path}", **more)
            except httpx.TransportError:
                pass
            else:
                if answer.status_code < 500 and answer.status_code != _BUSY:
                    return answer
            await asyncio.sleep(_PAUSE_S)
