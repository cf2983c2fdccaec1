"""When runs start that nobody asks for: by the clock, by what the bucket says, or both.

Words alone. When the next tick is, is decided in ``libs/common/schedules``.
"""

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from libs.common.contracts.part import Part

Frequency = Literal["hourly", "daily", "weekly", "custom"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
CatchUp = Literal["none", "once", "all"]

DAY_S = 86_400
_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": DAY_S, "week": 7 * DAY_S}
_INTERVAL = re.compile(r"([1-9][0-9]{0,8}) (second|minute|hour|day|week)s?")


class Backfill(Part):
    enabled: bool = False
    start_date: str | None = None


class Events(Part):
    """How long what the bucket tells of is gathered before a run loads it: until one of these is reached."""

    max_delay_s: float = Field(
        default=2.0,
        ge=0,
        le=3600,
        description="Seconds that a notification waits, at most. No more than one run begins in that time.",
    )
    max_files: int | None = Field(default=None, ge=1, description="A run starts once so many files are known.")
    max_bytes: int | None = Field(default=None, ge=1, description="A run starts once so many bytes are known.")


class Schedule(Part):
    """An ingestion may have a frequency and events at once. They count while its status is ``active``."""

    frequency: Frequency | None = Field(
        default=None, description="Null: no run by the clock. custom: as cron_expression says."
    )
    time: str | None = Field(
        default=None,
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="HH:MM on the clock of the time zone. daily, weekly: when; midnight without it. hourly: its minute "
        "counts; the full hour without it.",
        examples=["02:30"],
    )
    weekday: Weekday | None = Field(default=None, description="weekly: on which day; monday without it.")
    timezone: str = Field(default="UTC", description="An IANA time zone.", examples=["Europe/Berlin"])
    cron_expression: str | None = Field(
        default=None,
        max_length=256,
        description="custom: minute, hour, day of month, month, day of week.",
        examples=["*/15 6-20 * * MON-FRI"],
    )
    catch_up: CatchUp = Field(
        default="once",
        description="What becomes of ticks that passed while nothing could start. none: nothing. once: one run for all "
        "of them. all: a run for each of the latest 24, one after the other.",
    )
    jitter_s: int = Field(
        default=0,
        ge=0,
        le=3600,
        description="Each tick starts up to so many seconds late, but before the next one: many schedules of one "
        "minute are spread out.",
    )
    backfill: Backfill = Backfill()
    trigger: Literal["time", "event"] = Field(
        default="time", description="event: what the bucket tells of is loaded as it comes."
    )
    events: Events = Events()
    backfill_interval: int | None = Field(
        default=None,
        ge=1,
        description="With events: seconds between listings that look for what no notification told of; also as in "
        "'6 hours' or '1 day'. Null: a day.",
        examples=["1 day"],
    )

    @field_validator("backfill_interval", mode="before")
    @classmethod
    def _in_seconds(cls, given: Any) -> Any:
        if not isinstance(given, str) or given.isdecimal():
            return given
        found = _INTERVAL.fullmatch(" ".join(given.lower().split()))
        if found is None:
            raise ValueError(f"{given!r} is no interval; write seconds, or as in '6 hours' or '1 day'")
        return int(found[1]) * _UNITS_S[found[2]]

    @property
    def takes_events(self) -> bool:
        """Whether notifications of the bucket start runs."""
        return self.trigger == "event"

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything that could start a run by itself."""
        return self.frequency is not None or self.takes_events

    @property
    def listed_every_s(self) -> int | None:
        """Seconds between listings that look for what no notification told of; None: there are no notifications."""
        if not self.takes_events:
            return None
        return DAY_S if self.backfill_interval is None else self.backfill_interval
