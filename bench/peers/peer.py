"""What every peer can do, and how it is measured."""

import time
from dataclasses import dataclass
from typing import Protocol

from bench.measures import Took
from bench.workloads import Workload


@dataclass(frozen=True, slots=True)
class Loaded:
    """What stands in the table."""

    rows: int
    snapshots: int | None = None
    data_files: int | None = None


class GivenUp(Exception):
    """The peer did not come to an end in the time it has. ``str()`` says so."""


class Peer(Protocol):
    """Loads the files of a workload into a table of its own.

    Called in this order, once each: ``prepare``, ``load``, ``loaded``, ``clean``; ``clean`` whatever came before it.
    """

    def prepare(self, work: Workload) -> None:
        """A new, empty table, and whatever somebody has ready who does this every day. Not timed."""

    def load(self, work: Workload) -> None:
        """From the decision to load until the rows can be read. Timed.

        Raises:
            GivenUp: it takes too long.
        """

    def loaded(self) -> Loaded:
        """Looks into the table. Not timed."""

    def clean(self) -> None:
        """Nothing is left of it."""


class Miscounted(Exception):
    """A peer loaded other rows than there are: its time is worth nothing."""


def measure(peer: Peer, work: Workload, *, rows: int | None = None, pause_s: float = 0) -> Took:
    """One load. ``rows`` are expected, by default all of the workload. ``pause_s`` goes by before it.

    Raises:
        GivenUp, Miscounted.
    """
    try:
        peer.prepare(work)
        time.sleep(pause_s)
        began = time.perf_counter()
        peer.load(work)
        seconds = time.perf_counter() - began
        found = peer.loaded()
    finally:
        peer.clean()
    expected = work.rows if rows is None else rows
    if found.rows != expected:
        raise Miscounted(f"{found.rows:,} rows were loaded, and {expected:,} are in the files")
    return Took(seconds=seconds, rows=found.rows, snapshots=found.snapshots, data_files=found.data_files)
