"""Calls that fail on purpose: before their effect, or after it with the answer lost.

trouble = Trouble()
trouble.before("schema", Temporary(...), times=2)
trouble.after("publish", Temporary(...))
table = trouble.around(table)
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")

ALWAYS = 1_000_000


@dataclass
class Trouble:
    """What is still to go wrong, by the name of the call. ``calls`` is what was called."""

    calls: list[str] = field(default_factory=list)
    _before: dict[str, list[tuple[int, BaseException]]] = field(default_factory=lambda: defaultdict(list))
    _after: dict[str, list[tuple[int, BaseException]]] = field(default_factory=lambda: defaultdict(list))
    _meanwhile: dict[str, Callable[[], Awaitable[object]]] = field(default_factory=dict)

    def before(self, name: str, error: BaseException, times: int = 1) -> None:
        """The next calls have no effect."""
        self._before[name].append((times, error))

    def after(self, name: str, error: BaseException, times: int = 1) -> None:
        """The next calls have their effect, and fail nevertheless."""
        self._after[name].append((times, error))

    def meanwhile(self, name: str, happens: Callable[[], Awaitable[object]]) -> None:
        """Before the next call of that name, once."""
        self._meanwhile[name] = happens

    def around(self, thing: T) -> T:
        """The same thing, with its troubles."""
        return cast("T", _Proxy(thing, self))

    async def strike(self, name: str) -> None:
        self.calls.append(name)
        if (happens := self._meanwhile.pop(name, None)) is not None:
            await happens()
        _raise_next(self._before[name])

    def strike_after(self, name: str) -> None:
        _raise_next(self._after[name])


def _raise_next(plan: list[tuple[int, BaseException]]) -> None:
    if plan:
        times, error = plan.pop(0)
        if times > 1:
            plan.insert(0, (times - 1, error))
        raise error


class _Proxy:
    def __init__(self, thing: Any, trouble: Trouble) -> None:
        self._thing = thing
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._thing, name)

        async def called(*args: Any, **kwargs: Any) -> Any:
            await self._trouble.strike(name)
            result = await method(*args, **kwargs)
            self._trouble.strike_after(name)
            return result

        return called
