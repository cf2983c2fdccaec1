"""What a user says about files that should come: how many, how often, and under which keys."""

from typing import Literal

from pydantic import Field

from libs.common.contracts.part import Part

RULES_MAX = 20


class ExpectedArrival(Part):
    """So many files come in each hour or day. The date stands in their keys."""

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[\w.-]+$", description="What alarms call the rule.", examples=["daily"]
    )
    pattern: str = Field(
        min_length=1,
        max_length=1024,
        description="Glob of the key below source.path, with %Y, %m, %d and %H for the period's date and hour. It may "
        "name files that are not loaded, such as a _SUCCESS marker.",
        examples=["dt=%Y-%m-%d/*.json", "dt=%Y-%m-%d/hour=%H/_SUCCESS"],
    )
    every: Literal["hour", "day"] = Field(default="day", description="How long a period is.")
    at_least: int = Field(default=1, ge=1, le=100_000, description="How many files a period has when it is complete.")
    grace_s: int = Field(
        default=3600, ge=0, le=7 * 86_400, description="Seconds after the end of a period in which its files may come."
    )
    timezone: str = Field(
        default="UTC", description="Whose hours and days they are: an IANA time zone.", examples=["Europe/Berlin"]
    )
