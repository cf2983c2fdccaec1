"""Which fault strikes when: drawn from a seed before anything starts, so that a seed tells the same story again.

How a system takes a fault is not repeatable, since processes are as fast as the machine lets them; what is done to
it is. (Who is just down cannot be killed: then it is another one.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

FIRST_AT_S = 10.0
BETWEEN_S = (2.0, 9.0)
UNTIL_BEFORE_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault by its name, ``at_s`` seconds after the start. Its own choices (whom, where, how long) come from
    ``seed``, so that faults that overlap do not change each other."""

    at_s: float
    name: str
    seed: int

    def random(self) -> Random:
        return Random(self.seed)


def draw(seed: int, duration_s: float, weights: Mapping[str, int]) -> tuple[Planned, ...]:
    """Faults for so many seconds, in the order of time. ``weights`` say how often each name comes, as shares of their
    sum."""
    random = Random(seed)
    names, shares = list(weights), list(weights.values())
    planned: list[Planned] = []
    at_s = FIRST_AT_S
    while at_s < duration_s - UNTIL_BEFORE_END_S:
        [name] = random.choices(names, shares)
        planned.append(Planned(at_s, name, random.getrandbits(32)))
        at_s += random.uniform(*BETWEEN_S)
    return tuple(planned)
