"""What a soak says of itself while it goes on, and at its end."""

import asyncio
import time
from dataclasses import dataclass, field

from tests.soak.fleet import Fleet
from tests.soak.judge import Judgement
from tests.soak.slopes import Life, Sample, lines

_LOOK_EVERY_S = 10.0


@dataclass
class Clock:
    """Lines begin with the time since the start."""

    began: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    def say(self, words: str) -> None:
        minutes, seconds = divmod(int(self.elapsed_s), 60)
        print(f"{minutes:>3}:{seconds:02} {words}", flush=True)


@dataclass
class Memory:
    """Resident memory of our services: one life per process."""

    lives: dict[int, Life] = field(default_factory=dict)

    def look(self, fleet: Fleet) -> None:
        """Takes a sample of each that runs."""
        for member in fleet.members:
            held_mb = member.resident_mb()
            if held_mb is None or member.process is None or not member.is_up:
                continue
            life = self.lives.setdefault(member.process.process.pid, Life(member.name, member.kind))
            life.samples.append(Sample(member.age_s, held_mb))

    async def watch(self, fleet: Fleet) -> None:
        """Looks for ever."""
        while True:
            self.look(fleet)
            await asyncio.sleep(_LOOK_EVERY_S)

    def lines(self) -> list[str]:
        return lines(list(self.lives.values()))

    def problems(self) -> list[str]:
        """One for each process that grows."""
        grown = [life for life in self.lives.values() if life.grows]
        return [f"the memory of {life.name} grows by {life.slope_mb_h:.0f} MB/h" for life in grown]


def last_line(minutes: float, seed: int, faults: int, judgements: list[Judgement]) -> str:
    return (
        f"soak: {minutes:g} min, seed {seed}, {faults} faults, {sum(j.runs for j in judgements)} runs, "
        f"{sum(j.rows for j in judgements)} rows, lost {sum(j.lost for j in judgements)}, "
        f"duplicated {sum(j.duplicated for j in judgements)}"
    )
