"""The results as a table in a terminal."""

from rich.console import Console
from rich.table import Table

from bench.goals import floor_of
from bench.measures import Spread, Variant
from bench.results import Measured, Results


def show(results: Results, console: Console) -> None:
    machine = results.machine
    console.print(
        f"{machine.cores} cores ({machine.processor}), {machine.memory_bytes / 1024**3:.0f} GiB, Spark {machine.spark} "
        f"on Java {machine.java}, {results.rounds} rounds after the first"
    )
    for measured in results.workloads.values():
        console.print(_table(measured))
    if not machine.spark_compiles_fully:
        console.print(
            "The Spark server was started to be up quickly (AUTOLOADER_DEV_SPARK_PEAK unset): times are longer than "
            "they need be, and ratios may differ."
        )


def _table(measured: Measured) -> Table:
    table = Table(
        title=f"{measured.title}: {measured.rows:,} rows, {measured.bytes / 1e6:,.1f} MB", title_justify="left"
    )
    for column in ("", "seconds (min to max)", "times the floor", "snapshots", "data files", "RSS MB"):
        table.add_column(column, justify="right" if column else "left", no_wrap=not column)
    floor = floor_of(measured)
    for variant in measured.variants.values():
        table.add_row(title(variant), seconds(variant), _ratio(variant, floor), *of_the_table(variant))
    return table


def _ratio(variant: Variant, floor: Variant | None) -> str:
    spread = None if floor is None else variant.times(floor)
    return "" if spread is None else told(spread)


def title(variant: Variant) -> str:
    return variant.title if variant.files_of is None else f"{variant.title} ({variant.files_of} files, scaled up)"


def seconds(variant: Variant) -> str:
    """How long it took, or why that is not known."""
    if variant.not_done is not None:
        return f"not done: {variant.not_done.reason}"
    return "" if variant.spread is None else told(variant.spread)


def told(spread: Spread) -> str:
    """The middle, and from where to where it went."""
    return f"{spread.median:.2f} ({spread.min:.2f} to {spread.max:.2f})"


def of_the_table(variant: Variant) -> tuple[str, str, str]:
    """Snapshots, data files, megabytes of memory; empty what is not known."""
    if not variant.rounds:
        return ("", "", "")
    last = variant.rounds[max(variant.rounds)]
    rss_bytes = max(took.peak_rss_bytes or 0 for took in variant.rounds.values())
    return (_number(last.snapshots), _number(last.data_files), _number(rss_bytes // 10**6 or None))


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
