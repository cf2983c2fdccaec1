"""What a soak says of itself while it goes on, and at its end."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from tests.soak.fleet import Fleet
from tests.soak.judge import Judgement


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
    """Resident memory of our services, looked at now and then. Processes are killed all the time, so what tells whether
    it grows are those that lived for a while: each against its own first minutes."""

    young_s: float = 60.0
    first: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    last: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lived: dict[int, tuple[str, float, float]] = field(default_factory=dict)
    """By process: its kind, what it had when it was young no more, and what it has now."""

    def look(self, fleet: Fleet) -> None:
        self.last = defaultdict(list)
        for member in fleet.members:
            resident = member.resident_mb()
            if resident is None or member.process is None:
                continue
            self.last[member.kind].append(resident)
            if member.age_s >= self.young_s:
                pid = member.process.process.pid
                kind, then, _ = self.lived.get(pid, (member.kind, resident, resident))
                self.lived[pid] = (kind, then, resident)
        if not self.first:
            self.first = self.last

    def lines(self) -> list[str]:
        """One per kind of service, in MB."""
        found = []
        for kind, now in sorted(self.last.items()):
            grown = [late - early for of, early, late in self.lived.values() if of == kind]
            growth = f", {len(grown)} lived longer than a minute and grew by {max(grown):.0f} at most" if grown else ""
            then = median(self.first[kind])
            found.append(f"memory: {kind}: {then:.0f} MB at the start, {median(now):.0f} MB at the end{growth}")
        return found


def last_line(minutes: float, seed: int, faults: int, judgements: list[Judgement]) -> str:
    return (
        f"soak: {minutes:g} min, seed {seed}, {faults} faults, {sum(j.runs for j in judgements)} runs, "
        f"{sum(j.rows for j in judgements)} rows, lost {sum(j.lost for j in judgements)}, "
        f"duplicated {sum(j.duplicated for j in judgements)}"
    )
