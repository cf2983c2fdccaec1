"""Settings of the scanner: the common ones, and how much it does at once."""

from pydantic import Field, SecretStr

from libs.common.contracts.definition import Credentials
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
        "holds a few pages and a batch in memory.",
    )
    list_requests_at_once: int = Field(
        default=4,
        ge=1,
        description="Requests of one listing that are under way at the same time, where a store takes 40 ms or more "
        "for a thousand keys, and these lie in folders. 1: one page after the other.",
    )
    batch_target_s: int = Field(
        default=120,
        ge=10,
        description="Seconds that a batch should take, at most. Where the latest batches of an ingestion took longer, "
        "the next ones hold less, down to a tenth of what its definition allows.",
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
    sqs_queues: tuple[str, ...] = Field(
        default=(),
        description="Queues of Amazon SQS that buckets send their notifications to, by address, as JSON: "
        '["https://sqs.eu-central-1.amazonaws.com/123456789012/landing"].',
    )
    sqs_receivers: int = Field(
        default=4, ge=1, le=40, description="Requests for messages that one scanner has open at each queue."
    )
    sqs_hold_s: float = Field(
        default=60,
        ge=3,
        le=3600,
        description="Seconds for which a queue keeps a message for the scanner that has it; "
        "extended while it is being taken in.",
    )
    sqs_region: str = Field(default="us-east-1", description="Region of queues whose address names none.")
    sqs_endpoint_url: str | None = Field(
        default=None, description="Where SQS is, for what stands in for Amazon's. Unset: Amazon's own."
    )
    sqs_access_key_id: str | None = Field(
        default=None, description="Access key for the queues. Unset: the environment's own (profile, role)."
    )
    sqs_secret_access_key: SecretStr | None = Field(default=None, description="Secret for the queues.")

    def room(self) -> RoomLimits:
        """How far listings may run ahead of executors."""
        return RoomLimits(self.waiting_batches_max, self.waiting_batches_in_all_max)

    def sqs_access(self) -> Credentials | None:
        """What opens the queues; None leaves it to the environment."""
        if self.sqs_access_key_id is None or self.sqs_secret_access_key is None:
            return None
        return Credentials(
            aws_access_key_id=self.sqs_access_key_id,
            aws_secret_access_key=self.sqs_secret_access_key.get_secret_value(),
        )
