"""Pages of a list: ``limit`` and ``offset`` in, ``Link`` and ``X-Total-Count`` out."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Query, Request, Response

LIMIT_DEFAULT = 50
LIMIT_MAX = 100
# Far beyond any list, and safely inside Postgres' bigint.
OFFSET_MAX = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list, newest first."""

    limit: int
    offset: int


def page_of(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Entries in one page.")] = LIMIT_DEFAULT,
    offset: Annotated[int, Query(ge=0, le=OFFSET_MAX, description="Entries to skip, from the newest.")] = 0,
) -> Page:
    """A FastAPI dependency."""
    return Page(limit=limit, offset=offset)


def announce(response: Response, request: Request, page: Page, total: int) -> None:
    """Says how long the whole list is and where its other pages are."""
    response.headers["X-Total-Count"] = str(total)
    links = link_header(request.url.path, request.url.query, page, total)
    if links:
        response.headers["Link"] = links


def link_header(path: str, query: str, page: Page, total: int) -> str:
    """The ``Link`` header (RFC 8288) of one page. Relative addresses: they survive any proxy."""
    others = [(name, value) for name, value in parse_qsl(query) if name not in ("limit", "offset")]

    def link(offset: int, relation: str) -> str:
        target = urlencode([*others, ("limit", page.limit), ("offset", offset)])
        return f'<{path}?{target}>; rel="{relation}"'

    last = max(0, (total - 1) // page.limit * page.limit)
    links = []
    if page.offset > 0:
        links.append(link(0, "first"))
        links.append(link(min(max(0, page.offset - page.limit), last), "prev"))
    if page.offset + page.limit < total:
        links.append(link(page.offset + page.limit, "next"))
        links.append(link(last, "last"))
    return ", ".join(links)
