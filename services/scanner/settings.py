"""Settings of the scanner: the common ones, and how much it does at once."""

from pydantic import Field

from libs.common.settings import CommonSettings
from services.scanner.domain.room import RoomLimits


class ScannerSettings(CommonSettings):
    """Read once, in ``__main__``."""

    scans_at_once: int = Field(
        default=4,
        ge=1,
        description="Runs of one lane that one scanner lists for at the same time; listings that wait for executors do "
        "not count.",
    )
    scans_open_max: int = Field(
        default=32,
        ge=1,
        description="Runs of one lane that one scanner has taken, with those whose listing waits for executors. Each "
        "holds a page and a batch in memory.",
    )
    waiting_batches_max: int = Field(
        default=100,
        ge=1,
        description="Unfinished batches of one ingestion beyond which its listing stands still until executors have "
        "caught up. What one page of the listing adds comes on top.",
    )
    waiting_batches_in_all_max: int = Field(
        default=1000,
        ge=1,
        description="The same for all ingestions together. A tenant with less than its share of them may go on.",
    )

    def room(self) -> RoomLimits:
        """How far listings may run ahead of executors."""
        return RoomLimits(self.waiting_batches_max, self.waiting_batches_in_all_max)
