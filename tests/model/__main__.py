"""``make model``: tells stories until enough steps were taken, and says how many. ``make model NEGATIVE=1`` lets a
publish be a plain append, and succeeds only if a story is found in which rows are there twice.

    SEED=17 STEPS=100000 make model
"""

import logging
import os
import sys

import structlog
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Autoloader, PlainAppend, Tally

STEPS_IN_A_STORY_MAX = 50
STORIES_IN_A_ROUND = 200


def stories(count: int) -> settings:
    """The settings for so many stories. Nothing is remembered between calls: a seed tells the same stories again."""
    return settings(
        max_examples=count,
        stateful_step_count=STEPS_IN_A_STORY_MAX,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def tell(machine: type[Autoloader], *, first_seed: int, steps: int) -> AssertionError | None:
    """Rounds of stories until so many steps were taken, or until one ends badly: then that, shrunken, in its notes."""
    number = first_seed
    while machine.tally.steps < steps:
        try:
            run_state_machine_as_test(seed(number)(machine), settings=stories(STORIES_IN_A_ROUND))
        except AssertionError as error:
            return error
        number += 1
    return None


def main() -> int:
    is_negative = os.environ.get("NEGATIVE", "") not in ("", "0")
    first_seed, steps = int(os.environ.get("SEED") or 1), int(os.environ.get("STEPS") or 100_000)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"model: seed {first_seed}" + (", publish is a plain append" if is_negative else ""), flush=True)
    machine = PlainAppend if is_negative else Autoloader
    bad_end = tell(machine, first_seed=first_seed, steps=steps)
    if bad_end is not None:
        print(_story(bad_end))
    return _told_of_plain_append(bad_end) if is_negative else _told(bad_end, machine.tally)


def _story(bad_end: AssertionError) -> str:
    """The steps, without the look at the invariants after each of them."""
    lines = "\n".join(getattr(bad_end, "__notes__", [])).splitlines()
    return "\n".join(line for line in lines if "the_invariants_hold" not in line)


def _told(bad_end: AssertionError | None, tally: Tally) -> int:
    print("died at: " + ", ".join(f"{name} {times:,} ×" for name, times in sorted(tally.struck.items())))
    end = "lost 0, duplicated 0" if bad_end is None else f"a promise is broken: {bad_end}"
    print(f"model: {tally.stories:,} stories, {tally.steps:,} steps, {end}")
    return 0 if bad_end is None else 1


def _told_of_plain_append(bad_end: AssertionError | None) -> int:
    if bad_end is not None and "duplicated" in str(bad_end):
        print(f"model: a plain append was found out: {bad_end}")
        return 0
    print(f"model: rows were not found twice ({bad_end or 'every story ended well'}): the model sees nothing")
    return 1


if __name__ == "__main__":
    sys.exit(main())
