"""Every error this system raises on purpose.

    AutoloaderError
    ├── Rejected        the caller asked for something that cannot be; becomes a 4xx (or 503)
    │   ├── Unauthenticated 401
    │   ├── Forbidden       403
    │   ├── NotFound        404
    │   ├── Conflict        409
    │   ├── Invalid         422
    │   └── Unavailable     503, with retry_after_s
    ├── Temporary       may pass by itself: try again later
    ├── Permanent       will not pass by itself: record it, set it aside, tell the user
    └── Fenced          somebody else owns this work now: stop, write nothing

Anything else that escapes is our bug and is loud. A message says what happened and to what; the hint says
what to do next; the code is a stable word that programs may compare. Neither ever holds a credential.
"""

from typing import ClassVar


class AutoloaderError(Exception):
    """Base of the tree. ``code`` is stable, ``message`` names the thing, ``hint`` is the remedy."""

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint


class Rejected(AutoloaderError):
    """The request cannot be served as it stands."""

    status: ClassVar[int] = 400


class Unauthenticated(Rejected):
    """Nobody knows who asks."""

    status = 401


class Forbidden(Rejected):
    """Who asks may not."""

    status = 403


class NotFound(Rejected):
    status = 404


class Conflict(Rejected):
    status = 409


class Invalid(Rejected):
    status = 422


class Unavailable(Rejected):
    """A store we need is away. ``retry_after_s`` is what a client is told to wait, in seconds."""

    status = 503

    def __init__(self, message: str, *, code: str, hint: str = "", retry_after_s: int = 5) -> None:
        super().__init__(message, code=code, hint=hint)
        self.retry_after_s = retry_after_s


class Temporary(AutoloaderError):
    """May pass by itself (a connection refused, a throttled call)."""


class Permanent(AutoloaderError):
    """Needs somebody to change something first (credentials, a name, a file)."""


class Fenced(AutoloaderError):
    """A guarded update moved no row: a newer holder of the lease exists. The only right move is to stop."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is held by somebody else now", code="fenced")
