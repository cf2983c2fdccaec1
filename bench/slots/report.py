"""What was found, as a file and as a table."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.table import Table

from bench.measures import Spread
from bench.report import told
from bench.results import Machine
from bench.slots.figures import Collisions, Setting, Turn, times_the_base

Rounds = Mapping[int, Turn]
"""The turns of one setting, by round."""


class Found(BaseModel):
    """By the settings' keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    made_at: datetime
    machine: Machine
    load: Mapping[str, int]
    sweep_s: float
    settings: Mapping[str, Rounds]

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=1) + "\n")


def throughput(found: Mapping[Setting, Rounds], base: Mapping[int, Rounds]) -> Table:
    """``base`` has the rounds that others are compared with, by number of tables."""
    table = _table("throughput", "batches/s", "files/s", "times the base", "at once", "s at work on a batch")
    for setting, rounds in found.items():
        turns = list(rounds.values())
        table.add_row(
            setting.key,
            told(Spread.of([turn.batches_per_s for turn in turns])),
            told(Spread.of([turn.files_per_s for turn in turns])),
            told(times_the_base(rounds, base[setting.tables])),
            str(max(turn.at_once_max for turn in turns)),
            told(_of_all([turn.worked for turn in turns])),
        )
    return table


def conflicts(found: Mapping[Setting, Rounds]) -> Table:
    """Of all rounds together."""
    table = _table("of 1,000 publishes", "publishes", "conflicts", "refused", "conflicts while staging", "begun again")
    for setting, rounds in found.items():
        seen = Collisions.sum(turn.collisions for turn in rounds.values())
        table.add_row(
            setting.key,
            f"{seen.publishes:,}",
            f"{seen.of_publishes:.0f}",
            f"{seen.per_thousand(seen.refused):.0f}",
            f"{seen.of_stages:.0f}",
            f"{seen.per_thousand(seen.attempts_repeated):.0f}",
        )
    return table


def waits(found: Mapping[Setting, Rounds]) -> Table:
    """From planned to published, for each ingestion; its first and last publish are medians of the rounds."""
    table = _table("ingestion", "s waited by a batch", "first publish, s", "last publish, s", "slowest to fastest")
    for setting, rounds in found.items():
        turns = list(rounds.values())
        for number in range(len(turns[0].ingestions)):
            its = [turn.ingestions[number] for turn in turns]
            table.add_row(
                f"{setting.key}: {number + 1}",
                told(_of_all([each.waited for each in its])),
                f"{Spread.of([each.first_s for each in its]).median:.2f}",
                f"{Spread.of([each.last_s for each in its]).median:.2f}",
                "" if number else told(Spread.of([turn.slowest_to_fastest for turn in turns])),
            )
    return table


def _of_all(spreads: list[Spread]) -> Spread:
    """The smallest and the largest of all rounds, and the median of their medians."""
    return Spread(
        min=min(each.min for each in spreads),
        median=Spread.of([each.median for each in spreads]).median,
        max=max(each.max for each in spreads),
    )


def _table(first: str, *others: str) -> Table:
    table = Table(first)
    for title in others:
        table.add_column(title, justify="right")
    return table
