"""How progress is shown: one short line at a time, the part first, so that parallel work stays readable."""

import sys

from devstack.commands import Say

NAME_WIDTH = 9


def part_line(part: str) -> Say:
    """A Say that puts the part's name in front."""

    def say(message: str) -> None:
        sys.stdout.write(f"  {part:<{NAME_WIDTH}} {message}\n")
        sys.stdout.flush()

    return say
