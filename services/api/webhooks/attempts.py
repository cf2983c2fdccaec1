"""What becomes of a delivery after an attempt. Pure: the answer in, the decision out."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Literal

from libs.common.messaging.outcome import jittered

PAUSE_MAX = timedelta(hours=6)
_GONE = 410


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one request: the status that was answered, or why there was no answer."""

    status: int | None = None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def told(self) -> str | None:
        """For people: why it does not count."""
        if self.is_success:
            return None
        if self.status is None:
            return self.error or "no answer"
        if self.status == _GONE:
            return "answered 410: it wants nothing any more"
        if 300 <= self.status < 400:
            return f"answered {self.status}: redirects are not followed, name the address that it leads to"
        return f"answered {self.status}"


@dataclass(frozen=True, slots=True)
class Decision:
    """``again``: tried again after ``pause``. ``dead``: given up. ``is_gone``: the receiver wants nothing any more."""

    state: Literal["delivered", "again", "dead"]
    pause: timedelta = timedelta()
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long deliveries are tried: the pause begins with ``first_pause`` and trebles, up to six hours."""

    first_pause: timedelta = timedelta(seconds=10)
    attempts_max: int = 12
    disable_after: timedelta = timedelta(days=5)

    def decide(self, attempt: Attempt, attempts: int, random: Random) -> Decision:
        """``attempts``: how often it was tried, with this one."""
        if attempt.is_success:
            return Decision("delivered")
        if attempt.status == _GONE:
            return Decision("dead", is_gone=True)
        if attempts >= self.attempts_max:
            return Decision("dead")
        pause = min(PAUSE_MAX, self.first_pause * 3 ** min(attempts - 1, 20))
        return Decision("again", pause=jittered(pause, random))
