"""The page about speed: its figures are made from the results, its words are a person's and stay.

    python -m bench.page      # write it anew from bench/results/latest.json, with its picture

The figures stand between two marks; nothing else of the page is touched.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.goals import Verdict, floor_of, verdicts
from bench.peers import apart
from bench.report import of_the_table, seconds, title, told
from bench.results import LATEST, Measured, Results

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "speed.md"
PLOT = PAGE.with_suffix(".png")
BEGIN = "<!-- figures: written by `make bench`, from bench/results/latest.json -->"
END = "<!-- end of the figures -->"


def write(results: Results) -> None:
    """Puts the figures into the page."""
    PAGE.write_text(anew(PAGE.read_text(), results))


def anew(page: str, results: Results) -> str:
    """The page with these figures.

    Raises:
        ValueError: the marks are not there, once each and in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs the line {BEGIN!r} and, after it, {END!r}")
    figures = "\n".join(_figures(results))
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def _figures(results: Results) -> Iterator[str]:
    machine = results.machine
    yield (
        f"Measured on {results.made_at:%Y-%m-%d} at commit `{machine.commit}`: {machine.cores} cores "
        f"({machine.processor}), {machine.memory_bytes / 1024**3:.0f} GiB, {machine.system}, Python {machine.python}, "
        f"Spark {machine.spark} ({machine.spark_master}) on Java {machine.java}; "
        "object store, database, broker and Spark beside it. "
        f"{_rounds(results.rounds)} Load per core when it began: {machine.load_average:.2f}."
    )
    if results.left_out:
        yield f"\n**This was a part only** (`{results.left_out}`): no verdict on what was left out."
    if not machine.spark_compiles_fully:
        yield "\n**The Spark server was one that is quick to start and never becomes fast**: ratios may mislead."
    yield "\n## Goals\n"
    yield "| workload | Autoloader takes | found: seconds, snapshots, or times the other | |"
    yield "|---|---|---|---|"
    yield from (_goal(each) for each in verdicts(results.workloads))
    yield "\n![Seconds of every variant](speed.png)"
    for key, measured in results.workloads.items():
        yield f"\n## {key}: {measured.title}\n"
        yield from _table(measured)


def _rounds(rounds: int) -> str:
    return "One round." if rounds == 1 else f"{rounds} rounds, variants taking turns."


def _goal(verdict: Verdict) -> str:
    goal = verdict.goal
    unit = " s" if goal.seconds_max else ""
    found = "not measured" if verdict.found is None else told(verdict.found) + unit
    word = "–" if verdict.found is None else "reached" if verdict.is_reached else "**not reached**"
    return f"| {goal.workload} | {goal.words} | {found} | {word} |"


def _table(measured: Measured) -> Iterator[str]:
    yield f"{measured.files:,} files, {measured.rows:,} rows, {measured.bytes / 1e6:,.1f} MB.\n"
    yield "| variant | seconds | times the floor | snapshots | data files | memory, MB |"
    yield "|---|---|---|---|---|---|"
    floor = floor_of(measured)
    for variant in measured.variants.values():
        ratio = None if floor is None else variant.times(floor)
        cells = (title(variant), seconds(variant), "" if ratio is None else told(ratio), *of_the_table(variant))
        yield f"| {' | '.join(cells)} |"


def main() -> int:
    write(Results.load(LATEST))
    apart.draw(LATEST, PLOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
