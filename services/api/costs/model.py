"""How long loading takes, and what it costs: pure arithmetic, in docs/explanation/cost-model.md in words.

    seconds = batches x seconds_per_batch + (files x seconds_per_file + bytes / bytes_per_core_s) / cores
    usd     = seconds x cores x price of a core-hour + LIST and GET requests x their prices

An ingestion that has run before corrects the seconds by its own past: the median of what its runs took over what this
formula says of them. Storage is apart, since it is paid by the month, for as long as the rows stay.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

KEYS_IN_A_LISTING = 1000
GETS_PER_FILE = 3
"""Spark looks at a file and reads it; the audit looks at its version."""

_HOUR_S = 3600
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Prices:
    """In US dollars. The defaults are of the order of what large clouds ask; settings say what you pay."""

    core_hour_usd: float = 0.05
    list_1000_usd: float = 0.005
    get_1000_usd: float = 0.0004
    gb_month_usd: float = 0.023


@dataclass(frozen=True, slots=True)
class Speed:
    """Of the cluster. The defaults are rounded from measurements on two cores (docs/explanation/cost-model.md)."""

    cores: int = 2
    bytes_per_core_s: float = 12e6
    seconds_per_file: float = 0.005
    seconds_per_batch: float = 0.7


@dataclass(frozen=True, slots=True)
class Work:
    """What a run has to do. ``keys_listed`` are all keys under the source's path, wanted or not."""

    keys_listed: int
    files: int
    size_bytes: int
    batches: int


@dataclass(frozen=True, slots=True)
class PastRun:
    """What a run did, how long it took, and how many records came of it."""

    work: Work
    seconds: float
    records: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """``based_on_runs``: how many past runs have corrected the seconds; 0: none has."""

    seconds: float
    compute_usd: float
    requests_usd: float
    storage_usd_month: float
    list_requests: int
    get_requests: int
    based_on_runs: int

    @property
    def usd(self) -> float:
        """What the run costs, once."""
        return self.compute_usd + self.requests_usd


def batches_of(files: int, size_bytes: int, files_max: int, bytes_max: int) -> int:
    """At least so many: files and bytes both bound a batch."""
    if files == 0:
        return 0
    return max(1, math.ceil(files / files_max), math.ceil(size_bytes / bytes_max))


def seconds_of(work: Work, speed: Speed) -> float:
    """By the formula alone."""
    shared = work.files * speed.seconds_per_file + work.size_bytes / speed.bytes_per_core_s
    return work.batches * speed.seconds_per_batch + shared / speed.cores


def estimate(work: Work, speed: Speed, prices: Prices, past: Sequence[PastRun] = ()) -> Estimate:
    """What the work will take and cost. ``past`` are runs of the same ingestion that loaded something."""
    factors = [run.seconds / seconds_of(run.work, speed) for run in past if seconds_of(run.work, speed) > 0]
    seconds = seconds_of(work, speed) * (statistics.median(factors) if factors else 1)
    return priced(work, seconds, speed, prices, based_on_runs=len(factors))


def priced(work: Work, seconds: float, speed: Speed, prices: Prices, *, based_on_runs: int = 0) -> Estimate:
    """What the work costs if it takes so long; of a run that is over, what it came to by this model."""
    # A listing that finds nothing is a request, too.
    lists, gets = max(1, math.ceil(work.keys_listed / KEYS_IN_A_LISTING)), work.files * GETS_PER_FILE
    return Estimate(
        seconds=seconds,
        compute_usd=seconds * speed.cores / _HOUR_S * prices.core_hour_usd,
        requests_usd=(lists * prices.list_1000_usd + gets * prices.get_1000_usd) / 1000,
        storage_usd_month=work.size_bytes / _GB * prices.gb_month_usd,
        list_requests=lists,
        get_requests=gets,
        based_on_runs=based_on_runs,
    )


def records_in(size_bytes: int, past: Sequence[PastRun]) -> int | None:
    """How many records so many bytes will be, by what the past runs made of theirs; None without any."""
    loaded = sum(run.work.size_bytes for run in past)
    return round(size_bytes * sum(run.records for run in past) / loaded) if loaded else None
