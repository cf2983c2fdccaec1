"""Settings of the scanner: the common ones, and how much it does at once."""

from pydantic import Field

from libs.common.settings import CommonSettings


class ScannerSettings(CommonSettings):
    """Read once, in ``__main__``."""

    scans_at_once: int = Field(default=4, ge=1, description="Runs that one scanner lists for at the same time.")
