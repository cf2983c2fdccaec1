"""The border of ``s3.py``: what botocore raises, in our words."""

import socket
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from libs.common.aside import CLOCK_SKEWED, SKEW_MAX
from libs.common.errors import AutoloaderError, Permanent, Temporary

# What botocore raises. Its parser's and its arguments' errors are no BotoCoreError; a KeyError is an answer that lacks
# what every answer has.
BOTOCORES = (BotoCoreError, ClientError, ResponseParserError, OSError, TimeoutError, ValueError, KeyError)

# S3 error code → ours. Most stores use these words; what is not here falls back on the HTTP status.
_BUCKET_NOT_FOUND = frozenset({"NoSuchBucket", "InvalidBucketName"})
_ACCESS_DENIED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AllAccessDisabled",
     "AccountProblem", "Forbidden", "403", "401"}
)  # fmt: skip
_WRONG_REGION = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
)
# Words that come with a 4xx and still mean: not now.
_NOT_NOW = frozenset({"RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException", "SlowDown"})

# The key is gone, or was written again since it was listed.
OTHER_VERSION = frozenset({"NoSuchKey", "PreconditionFailed", "InvalidRange", "412"})


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _skew(error: ClientError) -> timedelta | None:
    """How far our clock is ahead of the store's, if far enough to be the reason of a refusal. An answer to HEAD has no
    body and so no code that says it, but each answer has a date."""
    date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        skew = datetime.now(UTC) - parsedate_to_datetime(date)
    except (TypeError, ValueError):  # no date, or none that anybody can read
        return None
    return timedelta(seconds=round(skew.total_seconds())) if abs(skew) > SKEW_MAX else None


def translated(error: BaseException, bucket: str, where: str) -> AutoloaderError:
    """The border: from botocore's words to ours. Never passes on a message that might hold a key."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Permanent(
            f"there are no credentials for bucket {bucket!r}",
            code="access_denied",
            hint="put them into source.credentials, or give the services access to the bucket",
        )
    if isinstance(error, ClientError):
        code, status = error_code(error), status_of(error)
        if code in _BUCKET_NOT_FOUND or (status == 404 and code in ("404", "NotFound", "")):
            return Permanent(
                f"bucket {bucket!r} does not exist at {where}",
                code="bucket_not_found",
                hint="check source.path and source.credentials.endpoint_url, or create the bucket",
            )
        if code in _WRONG_REGION:
            return Permanent(
                f"bucket {bucket!r} is in another region, or {where} is not the store's own address ({code})",
                code="wrong_region",
                hint="set source.credentials.region to the bucket's region, or endpoint_url to the store's address",
            )
        if status == 403 and (skew := _skew(error)) is not None:
            return Temporary(
                f"the clock of {socket.gethostname()} is {abs(skew)} {'ahead of' if skew > timedelta() else 'behind'} "
                f"that of {where}, which refuses requests signed by it",
                code=CLOCK_SKEWED,
                hint="set that machine's clock right, or the store's if that is the wrong one (NTP); the next run "
                "picks up what is left",
            )
        if code in _ACCESS_DENIED or status in (401, 403):
            return Permanent(
                f"access to bucket {bucket!r} at {where} was denied ({code})",
                code="access_denied",
                hint="check the keys in source.credentials; they need s3:ListBucket and s3:GetObject",
            )
        if 300 <= status < 500 and status not in (408, 429) and code not in _NOT_NOW:
            return Permanent(
                f"{where} refused the request for bucket {bucket!r}: {code}",
                code="storage_refused",
                hint="check source.path and source.credentials",
            )
        return Temporary(f"{where} answered {code or status} for bucket {bucket!r}", code="storage_unreachable",
                         hint="the store is overloaded or failing; the next run picks up what is left")  # fmt: skip
    if isinstance(error, ResponseParserError | KeyError):
        return Temporary(
            f"what answers at {where} does not speak S3, or was cut short",
            code="storage_unreachable",
            hint="check source.credentials.endpoint_url: is it the store's S3 port? The next run picks up what is left",
        )
    if isinstance(error, BotoConnectionError | HTTPClientError | OSError | TimeoutError):
        return Temporary(
            f"object storage at {where} cannot be reached ({type(error).__name__})",
            code="storage_unreachable",
            hint="check source.credentials.endpoint_url and the network; the next run picks up what is left",
        )
    return Permanent(
        f"object storage at {where} cannot be used: {type(error).__name__}",
        code="storage_refused",
        hint="check source.credentials.endpoint_url and region",
    )
