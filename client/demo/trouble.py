"""What ends the demo early: one line that names the thing, and the command that helps."""


class DemoTrouble(Exception):
    """The demo cannot go on. ``str()`` is the whole message for a person."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
