"""Rounds: all variants of a workload take turns, so that a slow minute of the machine is everybody's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.measures import NotDone, Took, Variant, turns
from bench.peers.peer import GivenUp
from bench.workloads import Workload


@dataclass(frozen=True, slots=True)
class Runner:
    """How a variant is measured once."""

    title: str
    once: Callable[[Workload], Took]
    is_warmed_up: bool = True
    """False: each of its loads begins in a new process, so there is nothing that a first one could warm."""
    files_max: int | None = None
    """It is tried on so many files, since all of them would take too long; its time is scaled up."""


def compare(
    work: Workload, runners: Mapping[str, Runner], rounds: int, say: Callable[[str], None], *, warm_up: bool = True
) -> Mapping[str, Variant]:
    """Measures every variant ``rounds`` times, after a round that does not count (unless all is warm already). One that
    gives up is left out from there on."""
    took: dict[str, dict[int, Took]] = {key: {} for key in runners}
    given_up: dict[str, NotDone] = {}
    for number in range(0 if warm_up else 1, rounds + 1):
        for key in turns(list(runners), number):
            runner = runners[key]
            if key in given_up or (number == 0 and not runner.is_warmed_up):
                continue
            try:
                one = runner.once(_part(work, runner))
            except GivenUp as e:
                given_up[key] = NotDone(reason=str(e))
                say(f"{work.key} {number}/{rounds} {key:<22} {e}")
                continue
            say(f"{work.key} {number}/{rounds} {key:<22} {one.seconds:7.2f} s")
            if number > 0:
                took[key][number] = one
    return {
        key: Variant(
            title=runner.title,
            rounds=took[key],
            not_done=given_up.get(key),
            files=work.files,
            files_of=None if _part(work, runner) is work else runner.files_max,
        )
        for key, runner in runners.items()
    }


def _part(work: Workload, runner: Runner) -> Workload:
    return work if runner.files_max is None or work.files <= runner.files_max else work.first(runner.files_max)
