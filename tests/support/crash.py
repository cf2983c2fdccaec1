"""Dying at a chosen call. A ``CrashPoint`` counts every call through the proxies that share it."""

from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Crash(BaseException):
    """The process is gone. No handler may catch it, as none survives ``kill -9``."""


@dataclass
class CrashPoint:
    """Crashes at call ``at`` (from 0; None: never), before its effect or right after it."""

    at: int | None = None
    after: bool = False
    calls: list[str] = field(default_factory=list)

    def around(self, thing: T) -> T:
        """The same thing, with every call counted."""
        return cast("T", _Proxy(thing, self))


class _Proxy:
    def __init__(self, thing: Any, point: CrashPoint) -> None:
        self._thing = thing
        self._point = point

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._thing, name)
        point = self._point

        async def called(*args: Any, **kwargs: Any) -> Any:
            number = len(point.calls)
            point.calls.append(name)
            if number == point.at and not point.after:
                raise Crash
            result = await method(*args, **kwargs)
            if number == point.at:
                raise Crash
            return result

        return called
