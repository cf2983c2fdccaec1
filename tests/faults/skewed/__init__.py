"""Real services on a machine whose clock is wrong: ``python -m tests.faults.skewed.<service>``.

``SKEW_S`` says by how many seconds it is ahead. ``SKEW_SIGNATURES=right``: requests to object storage are signed by the
right time all the same, as by a client that corrects itself; otherwise the store refuses them. Only the wall clock is
wrong; the one that measures time (``time.monotonic``) goes on as it does after any change of a clock.
"""

import os
from datetime import UTC, datetime, timedelta

import botocore.auth
import time_machine


def skew() -> None:
    """From now on this process' clock is wrong."""
    by = timedelta(seconds=float(os.environ["SKEW_S"]))
    time_machine.travel(datetime.now(UTC) + by, tick=True).start()
    if os.environ.get("SKEW_SIGNATURES") == "right":
        botocore.auth.get_current_datetime = lambda: datetime.now(UTC).replace(tzinfo=None) - by
