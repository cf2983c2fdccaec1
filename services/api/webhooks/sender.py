"""One signed request to one receiver. The only module that calls addresses which users named."""

import asyncio
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import httpx

from services.api.webhooks.addresses import refusal
from services.api.webhooks.attempts import Attempt

CONTENT_TYPE = "application/cloudevents+json"


class Sender:
    """Posts bodies. Redirects are not followed, answers are not read, connections are not kept: the next request may
    be for another host at the same address."""

    def __init__(self, *, timeout_s: float, private_allowed: bool) -> None:
        self._timeout_s = timeout_s
        self._private_allowed = private_allowed
        self._http = httpx.AsyncClient(
            timeout=timeout_s,
            trust_env=False,  # a proxy of the environment would resolve the name once more, and reach what we do not
            follow_redirects=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Attempt:
        """What came of it; after the timeout at the latest. Never raises for what a receiver does."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send(httpx.URL(url), headers, body)
        except TimeoutError:
            return Attempt(error=f"no answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as e:
            return Attempt(error=f"{type(e).__name__}: {e}" if str(e) else type(e).__name__)

    async def _send(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> Attempt:
        addresses = await _resolved(url)
        for address in addresses:
            if why := refusal(address, private_allowed=self._private_allowed):
                return Attempt(error=f"not sent: {why}")
        for place, address in enumerate(addresses, 1):
            try:
                return await self._post(url, address, headers, body)
            except httpx.ConnectError:
                if place == len(addresses):
                    raise
        return Attempt(error=f"{url.host} has no address")

    async def _post(self, url: httpx.URL, address: str, headers: dict[str, str], body: bytes) -> Attempt:
        """To this very address, which was checked; the host's name goes into the request and into TLS."""
        there = url.copy_with(host=address)
        named = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": CONTENT_TYPE,
            "User-Agent": "Autoloader",
            **headers,
        }
        async with self._http.stream(
            "POST", there, content=body, headers=named, extensions={"sni_hostname": url.raw_host.decode("ascii")}
        ) as answer:
            return Attempt(status=answer.status_code)


async def _resolved(url: httpx.URL) -> Sequence[str]:
    """The addresses that the host's name stands for now, each once."""
    port = url.port or (443 if url.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
