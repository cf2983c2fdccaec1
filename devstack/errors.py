"""What can go wrong in a way the reader can act on."""


class DevstackError(Exception):
    """One line that says what happened, to what, and what to do next. It is shown as it is, without a stack trace."""


class StartFailed(DevstackError):
    """A part did not become healthy."""


class PortTaken(DevstackError):
    """Something that this stack did not start listens where a part should."""
