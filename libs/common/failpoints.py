"""Named places where a test can make this process die, freeze, fail or wait.

    AUTOLOADER_FAILPOINT=exec.after_publish            SIGKILL at the first pass
    AUTOLOADER_FAILPOINT=scan.after_page:3:stop        SIGSTOP at the third pass
    AUTOLOADER_FAILPOINT=relay.after_send:raise        raise at the first pass

The environment is read once, at import. A point that is not listed in ``NAMES`` is an error, so that a fault test
cannot pass because of a typing mistake. Without the variable a call costs two look-ups.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from libs.common.errors import Permanent

VARIABLE = "AUTOLOADER_FAILPOINT"
SLEEP_S = 30.0

NAMES: dict[str, str] = {
    "api.before_tx": "a write request is understood, nothing is stored",
    "api.after_tx": "the request is stored with its event, the client has no answer",
    "api.in_tick": "the run of a tick is stored with its event, nothing is committed",
    "api.after_tick": "a tick has its run and its successor, nobody was told",
    "webhook.after_send": "the receiver has the event, the delivery is still waiting",
    "relay.after_send": "the broker has the batch, its outbox rows are still there",
    "intake.after_tx": "what notifications told is in the ledger, nobody has acknowledged them",
    "arrivals.before_commit": "a run of what notifications told of is stored, and not committed",
    "scan.mid_listing": "a page of the source was listed, nothing of it is in the ledger",
    "scan.after_page": "a page and its batches are committed to the ledger",
    "scan.before_done": "every page is committed, the run does not know that its scan is complete",
    "queue.after_take": "the ledger has what messages of a queue tell, the queue still has them",
    "exec.after_claim": "the lease on a batch is taken, nothing is staged",
    "exec.during_stage": "Spark is writing the staged snapshot",
    "exec.after_stage": "the staged snapshot exists, the ledger does not know",
    "exec.after_audit": "the staged snapshot was found good",
    "exec.before_publish": "the ledger says staged, the table was not asked yet",
    "exec.during_publish": "the publish call is on its way",
    "exec.after_publish": "the rows are visible, the ledger does not know",
    "exec.after_quarantine": "the rows and the bad records are visible, the ledger does not know",
    "exec.after_finalise": "the ledger and the outbox know, the message is not committed",
    "refresh.after_generation": "the new generation is stored, the old table still exists",
    "refresh.after_drop": "the old table is gone, the new one does not exist",
    "refresh.after_create": "the new table exists, the ingestion is not active",
    "swap.after_build": "the table to be built stands aside, empty, the refresh does not know",
    "swap.before_publish": "the snapshot with all rows is staged and found good, the table was not asked yet",
    "swap.after_publish": "readers see the reloaded rows, the ledger does not know",
    "swap.after_drop": "the built table is gone, the swap has not ended",
    "fill.before_publish": "the snapshot with filled columns is staged and found good, the table was not asked yet",
    "fill.after_publish": "readers see the filled columns, the ledger does not know",
    "undo.after_way_cleared": "the kept table stands under neither name",
    "undo.after_name_held": "its old name is held, the destination has no table",
    "refresh.before_active": "everything of the refresh is done but the last update",
}

Action = Literal["kill", "stop", "raise", "sleep"]


class FailpointReached(Exception):
    """Raised on purpose by ``raise``. Outside the error tree: whoever meets it must treat it as a bug."""


@dataclass(slots=True)
class _Armed:
    name: str
    nth: int
    action: Action
    passes: int = 0
    error: Callable[[str], BaseException] = FailpointReached


def failpoint(name: str) -> None:
    """Here a process may be made to fail."""
    if name not in NAMES:
        raise Permanent(f"no failpoint is called {name!r}", code="unknown_failpoint", hint="add it to failpoints.NAMES")
    armed = _armed
    if armed is None or armed.name != name:
        return
    armed.passes += 1
    if armed.passes != armed.nth:
        return
    match armed.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "raise":
            raise armed.error(name)
        case "sleep":
            time.sleep(SLEEP_S)  # blocks the whole process on purpose, as a long collection or a swap storm would


def parse(text: str) -> _Armed:
    """``name[:nth][:action]``; nth counts from 1, the action is kill.

    Raises:
        Permanent: code ``unknown_failpoint`` or ``bad_failpoint``.
    """
    name, *rest = text.split(":")
    if name not in NAMES:
        raise Permanent(
            f"{VARIABLE} names an unknown failpoint {name!r}",
            code="unknown_failpoint",
            hint="known: " + ", ".join(sorted(NAMES)),
        )
    nth = int(rest.pop(0)) if rest and rest[0].isdecimal() else 1
    action = rest.pop(0) if rest else "kill"
    if rest or nth < 1 or action not in get_args(Action):
        raise Permanent(
            f"{VARIABLE}={text!r} cannot be understood",
            code="bad_failpoint",
            hint="write name[:nth][:kill|stop|raise|sleep]",
        )
    return _Armed(name, nth, cast("Action", action))


def arm(text: str | None, *, error: Callable[[str], BaseException] = FailpointReached) -> None:
    """Arms one point for this process, or none. For tests that run in the same process.

    ``error`` makes what ``raise`` raises, from the point's name: a test that plays several processes in one gives
    something that no handler catches, as none survives a kill.
    """
    global _armed
    _armed = parse(text) if text else None
    if _armed is not None:
        _armed.error = error


_armed: _Armed | None = None
arm(os.environ.get(VARIABLE))
