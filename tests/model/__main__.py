"""``make model``: tells stories until enough steps were taken, and says how many; it fails if nobody died at some
failpoint. ``make model NEGATIVE=1`` breaks the table in two ways, and succeeds only if stories find out both.

    SEED=17 STEPS=100000 make model
"""

import logging
import os
import re
import sys

import structlog
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from libs.common import failpoints
from tests.model.machine import ELSEWHERE, Autoloader, PaperBurn, PlainAppend, Tally

STEPS_IN_A_STORY_MAX = 50
CONTROLS: dict[type[Autoloader], str] = {
    # Of a burned batch, whose files are not loaded yet, the rows come all the same.
    PlainAppend: "rows duplicated|a wap id is in the ancestry twice|rows of files that are not committed",
    PaperBurn: "a burned batch is in the table|rows duplicated",
}
"""Each machine that is broken on purpose, and what its bad end must say, as a regular expression."""
STORIES_IN_A_ROUND = 200
CONTROL_STEPS = 400_000
"""As many as a control may need: one round in four finds a paper burn, and which ones do is not the same everywhere,
since what Hypothesis draws for a seed depends on the modules that are loaded."""


def stories(count: int, *, is_shrunken: bool = True) -> settings:
    """The settings for so many stories. Nothing is remembered between calls: a seed tells the same stories again."""
    return settings(
        max_examples=count,
        phases=(Phase.generate, *((Phase.shrink,) if is_shrunken else ())),
        stateful_step_count=STEPS_IN_A_STORY_MAX,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def tell(machine: type[Autoloader], *, first_seed: int, steps: int, is_shrunken: bool = True) -> AssertionError | None:
    """Rounds of stories until so many steps were taken, or until one ends badly: then that, in its notes."""
    number = first_seed
    while machine.tally.steps < steps:
        try:
            run_state_machine_as_test(
                seed(number)(machine), settings=stories(STORIES_IN_A_ROUND, is_shrunken=is_shrunken)
            )
        except AssertionError as error:
            return error
        number += 1
    return None


def main() -> int:
    first_seed, steps = int(os.environ.get("SEED") or 1), int(os.environ.get("STEPS") or 100_000)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"model: seed {first_seed}", flush=True)
    if os.environ.get("NEGATIVE", "") in ("", "0"):
        return _told(tell(Autoloader, first_seed=first_seed, steps=steps), Autoloader.tally)
    return max([_found_out(control, first_seed=first_seed) for control in CONTROLS])


def _story(bad_end: AssertionError) -> str:
    """The steps, without the look at the invariants after each of them."""
    lines = "\n".join(getattr(bad_end, "__notes__", [])).splitlines()
    return "\n".join(line for line in lines if "the_invariants_hold" not in line)


def _told(bad_end: AssertionError | None, tally: Tally) -> int:
    if bad_end is not None:
        print(_story(bad_end))
    print("died at: " + ", ".join(f"{name} {times:,} ×" for name, times in sorted(tally.struck.items())))
    end = "lost 0, duplicated 0" if bad_end is None else f"a promise is broken: {bad_end}"
    print(f"model: {tally.stories:,} stories, {tally.steps:,} steps, {end}")
    missed = sorted(set(failpoints.NAMES) - ELSEWHERE - set(tally.struck)) if bad_end is None else []
    if missed:
        print(f"model: nobody died at {', '.join(missed)}: take more STEPS, or see why nobody passes there")
    return 0 if bad_end is None and not missed else 1


def _found_out(control: type[Autoloader], *, first_seed: int) -> int:
    bad_end = tell(control, first_seed=first_seed, steps=CONTROL_STEPS)
    if bad_end is not None and re.search(CONTROLS[control], str(bad_end)):
        print(_story(bad_end))
        print(f"model: {control.__name__} was found out: {bad_end}", flush=True)
        return 0
    print(
        f"model: {control.__name__} was not found out ({bad_end or 'every story ended well'}): the model sees nothing"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
