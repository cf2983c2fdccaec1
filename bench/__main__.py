"""All workloads and all peers in one run: `make bench`.

    python -m devstack run --services -- python -m bench --rounds 3 --only w1,w4 --skip dlt

Every workload is put into a bucket of the benchmark's own, each variant loads it into tables of its own, and all of
it is gone afterwards.
"""

import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from pyspark.sql.connect.session import SparkSession
from rich.console import Console

from bench import page
from bench.catalogue import VARIANTS, Runners
from bench.known import KNOWN_VARIANTS, PAUSE_S, Known
from bench.machine import describe
from bench.measures import Variant
from bench.peers import apart
from bench.peers.peer import GivenUp
from bench.report import show
from bench.results import LATEST, LOOK, Measured, Results
from bench.rounds import compare
from bench.stack import API_URL, bucket_of_its_own, empty, put_all, refuse_unless_up, s3_client, size_of
from bench.workloads import KNOWN, WORKLOADS, Workload
from client.rest import AutoloaderClient

QUICK = 10
"""A quick look has so many times fewer files."""
PAUSES = 2
"""Rounds of those that wait for the store to forget: each of their turns costs a minute and a half."""
ENDED = 143
"""The exit code of a program that was told to end."""
EVERY = (*WORKLOADS, KNOWN)
Say = Callable[[str], None]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that count; one more goes before.")] = 3,
    only: Annotated[str, typer.Option(help="Only these workloads, with commas between.")] = "",
    skip: Annotated[str, typer.Option(help="Without these variants (or `pause`), with commas between.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A look: one round, a tenth of the files, no pause.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where the results go.")] = None,
) -> None:
    """Measure Autoloader and its peers, in turns, on this machine."""
    keys = _named(only, [work.key for work in EVERY], "workload")
    works = [work for work in EVERY if work.key in keys]
    skipped = frozenset(_named(skip, [*VARIANTS, *KNOWN_VARIANTS, "pause"], "variant")) if skip else frozenset()
    if quick:
        rounds, works, skipped = 1, [work.scaled_down(QUICK) for work in works], skipped | {"pause"}
    refuse_unless_up()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))  # who is ended cleans up, too
    if not apart.is_there():
        raise SystemExit("the peers' packages are not installed: `make bench` does it, into .venv-bench")
    said = [f"--only {only}" if only else "", f"--skip {skip}" if skip else "", "--quick" if quick else ""]
    left_out = " ".join(word for word in said if word)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    where = out or (LOOK if left_out else LATEST)
    # Kept workload by workload: hours of measuring are not lost with the last of them.
    unfinished = where.with_suffix(".unfinished.json")
    results = _run(works, skipped, rounds, left_out, console, unfinished)
    unfinished.rename(where)
    show(results, console)
    console.print(f"kept in {where}")
    if where == LATEST:
        page.write(results)
        apart.draw(LATEST, page.PLOT)
        console.print(f"and told in {page.PAGE}")


def _run(
    works: list[Workload], skip: frozenset[str], rounds: int, left_out: str, console: Console, keep_in: Path
) -> Results:
    def say(text: str) -> None:
        console.print(f"[{datetime.now(UTC):%H:%M:%S}] {text}", markup=False, highlight=False)

    s3 = s3_client()
    measured: dict[str, Measured] = {}
    with bucket_of_its_own(s3, f"bench-{uuid4().hex[:8]}") as bucket, AutoloaderClient(API_URL) as api:
        runners = Runners(api, bucket)
        try:
            machine = describe(runners.spark)
            for each in works:
                work = each.inside(bucket)
                if work.key == KNOWN.key:
                    try:
                        measured |= _known(work, api, runners.spark, s3, skip, rounds, say)
                    except GivenUp as e:  # what was measured before is kept; this workload stays unmeasured
                        say(f"{work.key}: {e}")
                else:
                    say(f"{work.key}: putting {work.title} into the store")
                    put_all(s3, bucket, work.objects())
                    measured[work.key] = _told(work, s3, compare(work, runners.of(work, skip), rounds, say))
                results = Results(
                    made_at=datetime.now(UTC), machine=machine, rounds=rounds, left_out=left_out, workloads=measured
                )
                results.save(keep_in)
                empty(s3, bucket)
        finally:
            runners.close()
    return results


def _known(
    work: Workload,
    api: AutoloaderClient,
    spark: SparkSession,
    s3: Any,
    skip: frozenset[str],
    rounds: int,
    say: Say,
) -> dict[str, Measured]:
    known = Known(work, api, spark, s3)
    try:
        took_s = known.prime()
        say(f"{work.key}: {work.files:,} files were put into the store in {took_s:.0f} s, and into the ledger")
        found = {work.key: _told(work, s3, compare(work, known.runners(0, skip), rounds, say))}
        if "pause" not in skip:
            paused = compare(work, known.runners(PAUSE_S, skip), min(PAUSES, rounds), say, warm_up=False)
            found[f"{work.key}-pause"] = _told(work, s3, paused, f", after {PAUSE_S:.0f} s without a listing")
        return found
    finally:
        known.close()


def _told(work: Workload, s3: Any, variants: Mapping[str, Variant], more: str = "") -> Measured:
    return Measured(
        title=work.title + more,
        files=work.files,
        rows=work.rows,
        bytes=size_of(s3, work.bucket, work.prefix),
        variants=variants,
    )


def _named(said: str, known: list[str], what: str) -> list[str]:
    names = [name.strip() for name in said.split(",")] if said else known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no {what} is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return names


if __name__ == "__main__":
    typer.run(main)
