"""All workloads and all peers in one run: `make bench`.

    python -m devstack run --services -- python -m bench --rounds 3 --only w1,w3 --skip stream

Every workload is put into a bucket of the benchmark's own, each variant loads it into tables of its own, and all of
it is gone afterwards.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console

from bench.catalogue import VARIANTS, Runners
from bench.machine import describe
from bench.report import show
from bench.results import LATEST, LOOK, Measured, Results
from bench.rounds import compare
from bench.stack import API_URL, bucket_of_its_own, put_all, refuse_unless_up, s3_client
from bench.workloads import WORKLOADS, Workload
from client.rest import AutoloaderClient

QUICK = 10
"""A quick look has so many times fewer files."""


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that count; one more goes before.")] = 3,
    only: Annotated[str, typer.Option(help="Only these workloads, with commas between.")] = "",
    skip: Annotated[str, typer.Option(help="Without these variants, with commas between.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A look: one round, a tenth of the files.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where the results go.")] = None,
) -> None:
    """Measure Autoloader and its peers, in turns, on this machine."""
    works = [work for work in WORKLOADS if work.key in _named(only, [w.key for w in WORKLOADS], "workload")]
    skipped = frozenset(_named(skip, list(VARIANTS), "variant")) if skip else frozenset()
    if quick:
        rounds, works = 1, [work.scaled_down(QUICK) for work in works]
    refuse_unless_up()
    left_out = " ".join(
        [*([f"--only {only}"] if only else []), *([f"--skip {skip}"] if skip else []), *(["--quick"] if quick else [])]
    )
    console = Console() if sys.stdout.isatty() else Console(width=160)
    results = _run(works, skipped, rounds, left_out, console)
    where = out or (LOOK if left_out else LATEST)
    results.save(where)
    show(results, console)
    console.print(f"kept in {where}")


def _run(works: list[Workload], skip: frozenset[str], rounds: int, left_out: str, console: Console) -> Results:
    def say(text: str) -> None:
        console.print(f"[{datetime.now(UTC):%H:%M:%S}] {text}", markup=False, highlight=False)

    s3, measured = s3_client(), {}
    with bucket_of_its_own(s3, f"bench-{uuid4().hex[:8]}") as bucket, AutoloaderClient(API_URL) as api:
        runners = Runners(api, bucket)
        try:
            machine = describe(runners.spark)
            for each in works:
                work = each.inside(bucket)
                say(f"{work.key}: putting {work.title} into the store")
                put_all(s3, bucket, work.objects())
                measured[work.key] = Measured(
                    title=work.title,
                    files=work.files,
                    rows=work.rows,
                    bytes=_bytes(s3, work),
                    variants=compare(work, runners.of(work, skip), rounds, say),
                )
        finally:
            runners.close()
    return Results(made_at=datetime.now(UTC), machine=machine, rounds=rounds, left_out=left_out, workloads=measured)


def _bytes(s3: object, work: Workload) -> int:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=work.bucket, Prefix=work.prefix)  # type: ignore[attr-defined]
    return sum(item["Size"] for page in pages for item in page.get("Contents", ()))


def _named(said: str, known: list[str], what: str) -> list[str]:
    names = [name.strip() for name in said.split(",")] if said else known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no {what} is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return names


if __name__ == "__main__":
    typer.run(main)
