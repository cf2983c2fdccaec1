"""The border: from pyspark's and gRPC's errors to ours. One table; the most specific row that fits wins."""

import re
from urllib.parse import unquote

import grpc
from pyspark.errors import AnalysisException, PySparkException

from libs.common.errors import AutoloaderError, Permanent, Temporary
from services.executor.ports import SourceChanged

_UNKNOWN_CATALOG = frozenset({"REQUIRES_SINGLE_PART_NAMESPACE", "CATALOG_NOT_FOUND"})
_SOURCE_CHANGED = ("FileNotFoundException", "RemoteFileChangedException", "No such file or directory")
_ACCESS_DENIED = ("AccessDeniedException", "Status Code: 403")
# An answer to HEAD has no body, so of what the store has against the request only the number comes through.
_REQUEST_REFUSED = ("AWSBadRequestException", "AWSRedirectException", "Status Code: 400", "Status Code: 301")
_DISK_FULL = ("No space left on device", "Disk quota exceeded")
# What gRPC says of an answer with more levels than protobuf's limit (100 messages): the plan of a deep schema.
_TOO_DEEP = "Exception deserializing response"
_CHANGE_REFUSED = (
    "ForbiddenException",
    "NotAuthorizedException",
    "AccessControlException",
    "UnsupportedOperationException",
)
_UNREACHABLE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


# What is said of bytes that are not whole, in a "Caused by" of FAILED_READ_FILE. A connection that breaks says
# "premature end".
_NOT_WHOLE = re.compile(
    r"unexpected end of|truncated|invalid |incorrect |unknown (?:frame|compression)|not a |bad |corrupt|malformed|"
    r"data corruption|checksum failure|failed_to_uncompress|could not (?:de|read page)|can not read class|[\w ]*CRC|"
    r"stream corrupted|block (?:read partially|size invalid)|buffer size too small|totalLength|"
    r"decompress output|seek in ",
    re.IGNORECASE,
)
# Whatever these say, or if they say nothing, as the first cause of all: they decode what has been read.
_DECODERS = (
    "java.io.EOFException", "java.lang.ArrayIndexOutOfBoundsException", "java.lang.IndexOutOfBoundsException",
    "java.util.zip.", "io.airlift.compress.", "org.apache.avro.", "org.apache.orc.", "org.tukaani.xz.",
)  # fmt: skip
_CAUSE = re.compile(r"^\s*Caused by: ([\w.$]+)(?:: ([^\n]{0,200}))?", re.MULTILINE)
_NO_SUCH_SOURCE = re.compile(r"Failed to find data source: (\w+)")
_GRPC_DETAILS = re.compile(r'^\s*details = "([^\n]+)"$', re.MULTILINE)
_READ_FILE = re.compile(r"Encountered error while reading file (\S+?)\.?(?:\s|$)")


def file_not_whole(error: BaseException) -> tuple[str, str] | None:
    """The path, as Spark knows it, of a file that no retry can read, and the reason; None for any other error."""
    if not (_condition(error) or "").startswith("FAILED_READ_FILE"):
        return None
    path, reason = _READ_FILE.search(str(error)), _fault_of_file(str(error))
    return (unquote(path[1]), reason) if path and reason else None


def file_read_in_silence(error: BaseException) -> str | None:
    """The path, as Spark knows it, of a file at whose reading something failed that does not say what it was. Decoders
    are like that at times; of a connection that breaks, or a store that refuses, there are words."""
    if not (_condition(error) or "").startswith("FAILED_READ_FILE") or _CAUSE.search(str(error)):
        return None
    path = _READ_FILE.search(str(error))
    return unquote(path[1]) if path else None


def _fault_of_file(text: str) -> str | None:
    causes: list[tuple[str, str]] = _CAUSE.findall(text)
    told = next((words for _, words in causes if _NOT_WHOLE.match(words)), None)
    if told is None and causes and causes[-1][0].startswith(_DECODERS):
        told = causes[-1][1] or "its bytes cannot be decoded"
    return told and told.strip()


def translate(error: BaseException, *, url: str, table: str) -> AutoloaderError:
    """Our error for one of theirs; the cause is chained by the caller's ``raise … from``."""
    if isinstance(error, AutoloaderError):
        return error
    condition = _condition(error)
    text = str(error)
    url = without_token(url)
    if condition in _UNKNOWN_CATALOG:
        catalog = table.split(".", 1)[0]
        return Permanent(
            f"Spark at {url} knows no catalog {catalog!r}",
            code="unknown_catalog",
            hint=f"correct destination.catalog, or configure spark.sql.catalog.{catalog} on the cluster",
        )
    if condition == "PATH_NOT_FOUND" or any(word in text for word in _SOURCE_CHANGED):
        return SourceChanged()
    if (known := _of_storage(text, url, table) or _of_files(text, url, table)) is not None:
        return known
    if _is_unreachable(error):
        return unreachable(url)
    if isinstance(error, AnalysisException):
        return Permanent(
            f"Spark refused the work on {table}: {first_line(text)}",
            code="spark_refused",
            hint="check that the table's columns fit the files",
        )
    return Temporary(f"Spark at {url} failed on {table}: {first_line(text)}", code="spark_failed",
                     hint="see the log of the Spark server")  # fmt: skip


def _of_storage(text: str, url: str, table: str) -> AutoloaderError | None:
    if any(word in text for word in _ACCESS_DENIED):
        return Permanent(
            f"Spark at {url} may not read the source or write {table}",
            code="access_denied",
            hint="check source.credentials, and the cluster's access to the warehouse",
        )
    if any(word in text for word in _DISK_FULL):
        return Temporary(
            f"a disk of Spark at {url} is full, in the middle of the work on {table}",
            code="spark_disk_full",
            hint="make room where the cluster's spark.local.dir is; the next run picks up what is left",
        )
    if any(word in text for word in _REQUEST_REFUSED):
        return Permanent(
            f"the object store refused what Spark at {url} asked of it for {table}: {first_line(text)}",
            code="storage_refused",
            hint="check source.credentials.region and endpoint_url, and whether the keys have expired",
        )
    return None


def _of_files(text: str, url: str, table: str) -> AutoloaderError | None:
    if _TOO_DEEP in text:
        return Permanent(
            f"the objects for {table} are nested more deeply than Spark Connect can describe, about 30 levels",
            code="nested_too_deep",
            hint="have the producer write the inner part as text, and upload the file again under the same key",
        )
    if (source := _NO_SUCH_SOURCE.search(text)) is not None:
        return Permanent(
            f"Spark at {url} has no reader for {source[1]} files",
            code="unreadable_format",
            hint=f"add Spark's own package org.apache.spark:spark-{source[1]}, of the cluster's version, to its jars",
        )
    return None


def unreachable(url: str) -> Temporary:
    return Temporary(
        f"Spark Connect at {without_token(url)} cannot be reached",
        code="spark_unreachable",
        hint="start the cluster, or correct its address in AUTOLOADER_CLUSTERS; the next run picks up what is left",
    )


def without_token(url: str) -> str:
    """A Spark Connect URL without its parameters, which may hold a token."""
    return re.sub(r"/?;.*$", "", url)


def is_table_missing(error: BaseException) -> bool:
    return _condition(error) in ("TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND")


def is_schema_mismatch(error: BaseException) -> bool:
    return (_condition(error) or "").startswith("INCOMPATIBLE_DATA_FOR_TABLE")


def is_field_there_already(error: BaseException) -> bool:
    return _condition(error) == "FIELD_ALREADY_EXISTS"


def is_change_refused(error: BaseException) -> bool:
    """Whether the catalog does not let us change a table's properties: no right to it, or no such thing there."""
    return any(word in str(error) for word in _CHANGE_REFUSED)


def first_line(text: str) -> str:
    """What happened, in one line. gRPC's own errors begin with the name of a Python class and say it further down."""
    if (details := _GRPC_DETAILS.search(text)) is not None:
        text = details[1]
    return (text.strip().splitlines() or ["no message"])[0][:300]


def _condition(error: BaseException) -> str | None:
    return error.getCondition() if isinstance(error, PySparkException) else None


def _is_unreachable(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, grpc.RpcError) and getattr(seen, "code", lambda: None)() in _UNREACHABLE:
            return True
        if isinstance(seen, ConnectionError | TimeoutError):
            return True
        seen = seen.__cause__ or seen.__context__
    return _condition(error) == "RETRIES_EXCEEDED"
