"""By how much a tick starts late, so that many schedules of one minute do not start at one moment. Pure."""

import hashlib
from datetime import datetime, timedelta
from uuid import UUID

from libs.common.contracts.schedule import Schedule
from libs.common.schedules.ticks import next_after


def start_of(schedule: Schedule, ingestion_id: UUID, tick: datetime) -> datetime:
    """When the run of ``tick`` starts: the same for everybody who asks, and before the next tick."""
    if not schedule.jitter_s:
        return tick
    room = timedelta(seconds=schedule.jitter_s)
    following = next_after(schedule, tick)
    if following is not None:
        room = min(room, following - tick)
    digest = hashlib.sha256(f"{ingestion_id} {tick.isoformat()}".encode()).digest()
    return tick + room * (int.from_bytes(digest[:4]) / 2**32)
