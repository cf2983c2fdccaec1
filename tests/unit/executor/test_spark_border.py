"""What crosses the border to Spark: statements, paths, settings and errors."""

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from pyspark.errors import AnalysisException
from pyspark.errors.exceptions.connect import UnknownException

from libs.common.contracts.definition import Credentials, Destination
from libs.common.errors import AutoloaderError, Permanent, Temporary
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Field, Struct, literal
from services.executor.adapters import creation_sql, iceberg_sql
from services.executor.adapters.reading.origin import exact_path
from services.executor.adapters.spark_errors import (
    file_not_whole,
    file_read_in_silence,
    is_table_missing,
    translate,
)
from services.executor.adapters.spark_sessions import SessionKey, s3a_conf
from services.executor.adapters.staging import carried, reads, strays
from services.executor.domain.audit import FileRead
from services.executor.domain.layout import PLAIN
from services.executor.domain.schema_change import Addition
from services.executor.handlers import Patience
from services.executor.ports import SourceChanged

TO = Destination(catalog="lake", database="demo", table="t")
URL = "sc://spark:15002"


def version(key: str) -> FileVersion:
    return FileVersion("b", key, "e", 1, datetime(2025, 1, 7, tzinfo=UTC))


def condition(name: str, text: str = "told") -> AnalysisException:
    error = AnalysisException(text)
    error.getCondition = lambda: name  # type: ignore[method-assign]
    return error


class Unavailable(grpc.RpcError):  # type: ignore[misc]
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (condition("REQUIRES_SINGLE_PART_NAMESPACE"), Permanent, "unknown_catalog"),
        (condition("PATH_NOT_FOUND"), SourceChanged, "source_changed"),
        (UnknownException("… RemoteFileChangedException: changed"), SourceChanged, "source_changed"),
        (UnknownException("… AccessDeniedException: no"), Permanent, "access_denied"),
        (UnknownException("… AWSBadRequestException: … Status Code: 400"), Permanent, "storage_refused"),
        (UnknownException("… java.io.IOException: No space left on device"), Temporary, "spark_disk_full"),
        (condition("_LEGACY", "Failed to find data source: avro. Avro is built-in"), Permanent, "unreadable_format"),
        (condition("INCOMPATIBLE_DATA_FOR_TABLE"), Permanent, "spark_refused"),
        (UnknownException("(…CommitFailedException) somebody was faster\nat x.java"), Temporary, "spark_failed"),
        (UnknownException("Exception deserializing response!"), Permanent, "nested_too_deep"),
        (Unavailable(), Temporary, "spark_unreachable"),
        (ConnectionRefusedError(), Temporary, "spark_unreachable"),
        (TimeoutError(), Temporary, "spark_unreachable"),
    ],
)
def test_every_kind_of_trouble_has_its_word(error: BaseException, kind: type[AutoloaderError], code: str) -> None:
    """One line, with a remedy, without a stack trace or a token; what may pass is temporary."""
    ours = translate(error, url=f"{URL}/;token=topsecret", table=TO.identifier)
    assert (kind, code) == (type(ours), ours.code)
    assert "\n" not in ours.message
    assert "at x.java" not in ours.message
    assert "topsecret" not in ours.message


READ_FAILED = (
    "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file s3a-1f://b/a%20b+c.json.gz.  SQLSTATE: KD001"
)


@pytest.mark.parametrize(
    "cause",
    [
        "java.io.EOFException: Unexpected end of input stream",
        "java.io.IOException: invalid distance too far back",
        "java.io.IOException: gzip stream CRC failure",
        "java.io.IOException: incorrect header check",
        "java.io.IOException: unexpected end of stream",
        "com.github.luben.zstd.ZstdIOException: Truncated source",
        "com.github.luben.zstd.ZstdIOException: Unknown frame descriptor",
        "java.io.IOException: Invalid sync!",
        "java.io.IOException: Block read partially, the data may be corrupt",
        "java.io.IOException: Stream corrupted",
        "java.lang.ArrayIndexOutOfBoundsException: Index 42 out of bounds for length 2",
        "org.tukaani.xz.CorruptedInputException: Compressed data is corrupt",
        "org.apache.avro.AvroRuntimeException: Malformed data. Length is negative: -27",
    ],
)
def test_a_file_that_no_retry_can_read_is_told_by_its_cause(cause: str) -> None:
    """The path is decoded: it is compared with a key."""
    error = condition(
        "FAILED_READ_FILE.NO_HINT", f"{READ_FAILED}\n\nJVM stacktrace:\n\tat x\nCaused by: {cause}\n\tat y"
    )
    assert ("s3a-1f://b/a b+c.json.gz", cause.split(": ", 1)[1]) == file_not_whole(error)


def test_an_end_that_comes_too_early_says_nothing_of_itself() -> None:
    """So we do."""
    causes = "Caused by: org.apache.avro.AvroRuntimeException: java.io.EOFException\nCaused by: java.io.EOFException\n"
    found = file_not_whole(condition("FAILED_READ_FILE.NO_HINT", f"{READ_FAILED}\n{causes}\t... 4 more"))
    assert ("s3a-1f://b/a b+c.json.gz", "its bytes cannot be decoded") == found


@pytest.mark.parametrize(
    "error",
    [
        condition("FAILED_READ_FILE.NO_HINT", f"{READ_FAILED}\nCaused by: java.io.IOException: Connection reset"),
        condition(
            "FAILED_READ_FILE.NO_HINT",
            f"{READ_FAILED}\nCaused by: org.apache.avro.AvroRuntimeException: java.net.SocketException: reset\n"
            "Caused by: java.net.SocketException: reset",
        ),
        condition("FAILED_READ_FILE.NO_HINT", f"{READ_FAILED}\nCaused by: x.Gone: Premature end of Content-Length"),
        condition("FAILED_READ_FILE.NO_HINT", READ_FAILED),
        UnknownException("Caused by: java.io.EOFException: Unexpected end of input stream"),
    ],
)
def test_a_read_that_may_succeed_next_time_blames_no_file(error: BaseException) -> None:
    """A connection that breaks is no fault of the file."""
    assert file_not_whole(error) is None


def test_a_read_that_fails_without_a_word_names_its_file() -> None:
    """Whether the file is to blame, a second look has to tell."""
    assert "s3a-1f://b/a b+c.json.gz" == file_read_in_silence(condition("FAILED_READ_FILE.NO_HINT", READ_FAILED))
    told = f"{READ_FAILED}\nCaused by: java.net.SocketException: reset"
    assert file_read_in_silence(condition("FAILED_READ_FILE.NO_HINT", told)) is None
    assert file_read_in_silence(condition("PATH_NOT_FOUND", READ_FAILED)) is None


def test_an_error_of_ours_passes_as_it_is() -> None:
    """A border does not translate twice."""
    ours = Permanent("told", code="x")
    assert translate(ours, url=URL, table="t") is ours


def test_what_grpc_says_is_found_in_its_small_print() -> None:
    """Not the name of the class that says it."""
    said = '<_InactiveRpcError of RPC that terminated with:\n\tstatus = INTERNAL\n\tdetails = "Message too big!"\n>'
    assert "Message too big!" in translate(UnknownException(said), url=URL, table=TO.identifier).message


def test_a_missing_table_is_no_error() -> None:
    """It is the answer to a question."""
    assert is_table_missing(condition("TABLE_OR_VIEW_NOT_FOUND"))
    assert not is_table_missing(condition("UNRESOLVED_COLUMN"))


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("plain.json", "s3a://b/plain.json"),
        ("a b+c%20=1/é.json", "s3a://b/a b+c%20=1/é.json"),
        ("[x]{y}*?.json", "s3a://b/\\[x\\]\\{y\\}\\*\\?.json"),
        ("back\\slash.json", "s3a://b/back\\\\slash.json"),
    ],
)
def test_a_key_means_itself(key: str, path: str) -> None:
    """What Hadoop would take for a pattern is escaped; nothing else is touched."""
    assert path == exact_path(version(key))


def test_statements_name_the_table_and_quote_the_rest() -> None:
    """Names of columns come from files, so they may hold anything."""
    assert "ALTER TABLE lake.demo.t ADD COLUMNS (`meta`.`a``b` string)" == iceberg_sql.add_columns(
        TO, [Addition(("meta", "a`b"), "string")]
    )
    created = creation_sql.create_table(TO, Struct((Field("x y", "bigint"),)), PLAIN)
    assert "(`x y` bigint)" in created
    assert "'write.wap.enabled'='true'" in created
    assert "()" not in creation_sql.create_table(TO, Struct(), PLAIN)
    assert "CALL lake.system.cherrypick_snapshot('demo.t', 7)" == iceberg_sql.cherry_pick(TO, 7)
    assert r"'it\'s \\'" == literal("it's \\")


def bins(*counts: tuple[int, int]) -> dict[str, Any]:
    return {"counts": [{"x": float(x), "y": float(y)} for x, y in counts]}


def test_counts_are_added_up_over_partitions() -> None:
    """A file that two tasks read has two bins of a kind; a file without a line has none; a stranger is nobody's."""
    files = [version("a"), version("b"), version("c")]
    row, blank, bad = range(3)
    observed = bins((row, 779), (row, 221), (4 + blank, 1), (4 + bad, 2), (-4 + row, 5), (-4 + bad, 1))
    assert {
        files[0].digest: FileRead(lines=1000, rows=1000),
        files[1].digest: FileRead(lines=3, rows=0, bad=2),
    } == reads(observed, files)
    assert strays(observed) == 6


@pytest.mark.parametrize("observed", [{}, bins((3, 1)), bins((4, 1))], ids=["nothing sent", "no kind", "no file"])
def test_counts_that_were_not_sent_or_cannot_be_are_counted_again(observed: dict[str, Any]) -> None:
    """Of no count at all, it would look as if the files could not be understood."""
    with pytest.raises(Temporary):
        reads(observed, [version("a")])


def test_a_count_that_was_reckoned_is_the_whole_number_that_it_was() -> None:
    """Spark merges bins of one number to 1.9999999999999998."""
    file, bad = version("a"), 1.9999999999999998
    observed = {"counts": [{"x": bad, "y": 2.0}, {"x": 0.0, "y": 3.0}]}
    assert {file.digest: FileRead(lines=5, rows=3, bad=2)} == reads(observed, [file])


def test_carried_are_gathered_per_file() -> None:
    """Several lines of one file may lack different things."""
    files = [version("a"), version("b")]
    entries = [
        {"file": 1, "unknown": ["x"], "misfits": []},
        {"file": 1, "unknown": ["m.y", "x"], "misfits": []},
        {"file": 0, "unknown": [], "misfits": ["i"]},
        {"file": None, "unknown": ["z"], "misfits": ["i"]},
    ]
    assert {files[1].digest: frozenset({"x", "m.y"})} == carried({"carriers": entries}, "unknown", files)
    assert {files[0].digest: frozenset({"i"})} == carried({"carriers": entries}, "misfits", files)


def test_a_bucket_is_read_with_the_ingestions_own_access() -> None:
    """Settings for that bucket only; without credentials the cluster's own access is used."""
    access = Credentials(aws_access_key_id="k", aws_secret_access_key="s", endpoint_url="http://minio:9000")
    key = SessionKey(URL, "landing", access)
    conf = s3a_conf(key)
    assert f"fs.{key.scheme}.impl" == next(name for name in conf if not name.startswith("fs.s3a.bucket.landing."))
    assert "false" == conf["fs.s3a.bucket.landing.connection.ssl.enabled"]
    assert {} == s3a_conf(SessionKey(URL, "landing", None))


def test_each_access_reads_under_a_name_of_its_own() -> None:
    """Hadoop keeps a file system per scheme and bucket; a corrected key must not meet the one with the wrong key."""
    access = Credentials(aws_access_key_id="k", aws_secret_access_key="s", endpoint_url="http://minio:9000")
    changed = [
        access,
        access.model_copy(update={"aws_secret_access_key": "t"}),
        access.model_copy(update={"endpoint_url": "http://other:9000"}),
        None,
    ]
    schemes = [SessionKey(URL, "landing", one).scheme for one in changed]
    assert len(changed) == len(set(schemes))
    assert schemes[0] == SessionKey(URL, "other", access).scheme


def test_pauses_double_and_stay_within_their_bounds() -> None:
    """Half to the whole of 0.5, 1, 2 … seconds."""
    patience = Patience(pause_s=0.5)
    for attempt in range(1, 6):
        most = 0.5 * 2 ** (attempt - 1)
        assert most / 2 <= patience.pause_after(attempt) <= most
