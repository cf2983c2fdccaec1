"""aiokafka's errors as ours: one table, most specific first, the cause is kept."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import errors as kafka

from libs.common.errors import AutoloaderError, Permanent, Temporary

_TOO_LARGE = (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError, kafka.RecordTooLargeError)
_FORBIDDEN = (
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.AuthenticationFailedError,
    kafka.SaslAuthenticationFailed,
)

# vendor's errors → our class, code, hint
_TABLE: tuple[tuple[tuple[type[Exception], ...], type[AutoloaderError], str, str], ...] = (
    (_TOO_LARGE, Permanent, "message_too_large", "messages carry ids and counts; lists belong into the ledger"),
    (_FORBIDDEN, Permanent, "kafka_forbidden", "give the service read and write rights on its topics and groups"),
    (
        (kafka.UnknownTopicOrPartitionError,),
        Temporary,
        "kafka_topic_missing",
        "nothing to do: every service looks for missing topics and creates them",
    ),
    (
        (kafka.CommitFailedError, kafka.IllegalStateError),
        Temporary,
        "kafka_rebalanced",
        "nothing to do: the partition's new owner goes on",
    ),
    (
        # aiokafka also lets plain connection and timeout errors through
        (kafka.KafkaError, kafka.ConsumerStoppedError, OSError, TimeoutError),
        Temporary,
        "kafka_unavailable",
        "check that the broker runs and that AUTOLOADER_KAFKA_BOOTSTRAP points at it",
    ),
)
VENDOR = tuple(error for row in _TABLE for error in row[0])


def to_ours(error: BaseException, doing: str) -> AutoloaderError:
    """Our error for one of ``VENDOR``. ``doing`` completes "Kafka failed while …"."""
    for vendor, ours, code, hint in _TABLE:
        if isinstance(error, vendor):
            detail = _in_words(error)
            return ours(f"Kafka failed while {doing}: {detail}"[:500], code=code, hint=hint)
    raise AssertionError(f"not an error of Kafka: {error!r}")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Whatever the client raises inside comes out as ours."""
    try:
        yield
    except VENDOR as error:
        raise to_ours(error, doing) from error


def _in_words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = str(error).removeprefix(f"{type(error).__name__}: ").strip()
    if text.startswith("Unable to bootstrap"):
        return "no broker answers"
    return text or type(error).__name__
