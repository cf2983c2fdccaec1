"""What a user says about an ingestion: where files land, how to read them, which table keeps up.

These models are the request body of ``POST /ingestions`` (minus ``credentials``, which never leave the API
unencrypted) and the frozen copy that every run carries, so a run keeps the definition that it started with.
"""

import re
from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field, field_validator, model_validator

from libs.common.contracts.expected import RULES_MAX, ExpectedArrival
from libs.common.contracts.part import Part
from libs.common.contracts.partitioning import SHAPES, Transform, parse_all
from libs.common.contracts.schedule import DAY_S, Schedule
from libs.common.contracts.schema_rules import SchemaRules
from libs.common.ddl import keys_that_are_no_text

# A bucket name as S3 allows it; the looser legacy names of us-east-1 are refused by every current server.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Catalog, database and table become SQL identifiers: letters, digits and _ need no quoting anywhere.
# What libs/common/built_aside.py adds to a table's name.
_BUILT_ASIDE = re.compile(r"__new_[0-9a-f]{32}$")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

OnError = Literal["continue", "skip_file", "abort"]
"""What becomes of a file some of whose records do not fit."""
OverwritePolicy = Literal["skip", "append", "replace", "fail"]
"""What a run does with a file that was loaded, and then written again with other content."""
LOADS_OVERWRITES: frozenset[OverwritePolicy] = frozenset({"append", "replace"})
"""The policies under which a new version of a loaded file is loaded, too."""

MetadataColumn = Literal["_file_path", "_file_version", "_loaded_at", "_run_id"]
FILE_PATH: MetadataColumn = "_file_path"
"""The one without which the rows of a file cannot be told from others."""
"""A column that says where a row came from, beside the data's own."""

Compression = Literal["none", "gzip", "bzip2", "zstd", "deflate", "snappy", "lz4"]
COMPRESSIONS: dict[str, Compression] = {
    "none": "none",
    "uncompressed": "none",
    "gzip": "gzip",
    "bzip2": "bzip2",
    "zstd": "zstd",
    "deflate": "deflate",
    "snappy": "snappy",
    "lz4": "lz4",
}
"""By the words of ``format.options.compression``."""


class Credentials(Part):
    """How to reach the source bucket. Write-only: stored encrypted, never returned, logged or put in an event."""

    aws_access_key_id: str = Field(min_length=1)
    aws_secret_access_key: str = Field(min_length=1, repr=False)
    endpoint_url: str | None = Field(default=None, description="For S3-compatible stores; empty means AWS.")
    region: str = "us-east-1"

    @field_validator("endpoint_url")
    @classmethod
    def _is_a_web_address(cls, url: str | None) -> str | None:
        if not url:
            return None
        if not re.fullmatch(r"https?://[^\s/@]+/?", url):
            # The value itself is not repeated: it may hold a password.
            raise ValueError("endpoint_url must look like http://host:port or https://host")
        return url


class PartitionPruning(Part):
    """Whether a run may leave out partitions of the source in which nothing happens any more. A file that comes late to
    one of them is found by the next full check."""

    enabled: bool = Field(
        default=False,
        description="True: partitions that are settled are not listed by every run. A partition is a folder below the "
        "path, or in another partition, with a name such as year=2026, 2026-11-28 or 11. It is settled when all that "
        "is in it was loaded, and nothing was written there for settled_after_s.",
    )
    settled_after_s: int = Field(
        default=2 * DAY_S,
        ge=3600,
        le=366 * DAY_S,
        description="Seconds after the last write to a partition; 30 times as long for one that has folders in it. "
        "More than the longest pause between two writes to one partition.",
    )
    full_check_every_s: int = Field(
        default=DAY_S,
        ge=6 * 3600,
        le=31 * DAY_S,
        description="The first run in each such period lists everything. Until then, a file that comes late to a "
        "settled partition is loaded only where a notification, or a backfill, names it, and the watermark waits.",
    )


class Source(Part):
    """A prefix of a bucket, and which of its keys are wanted."""

    type: Literal["s3"] = "s3"
    path: str = Field(description="s3://bucket/prefix/ to keep up with.", examples=["s3://landing/data/"])
    file_pattern: str = Field(
        default="*",
        min_length=1,
        max_length=1024,
        description="Glob. Without a slash it is matched with the file's name at any depth; with one, with the "
        "key below the path (** crosses folders).",
        examples=["*.json"],
    )
    max_files_per_trigger: int = Field(default=1000, ge=1, le=10_000, description="Files in one batch, at most.")
    max_bytes_per_trigger: int = Field(
        default=1024**3, ge=1, description="Bytes in one batch, at most; a larger single file is a batch of its own."
    )
    include_existing_files: bool = Field(
        default=True, description="False: objects written before the ingestion was made are left to backfills."
    )
    modified_after: AwareDatetime | None = Field(
        default=None, description="Objects written then or before are left to backfills."
    )
    modified_before: AwareDatetime | None = Field(
        default=None, description="Objects written then or later are left to backfills."
    )
    allow_overwrites: OverwritePolicy = Field(
        default="skip",
        description="What a run does with a file that was loaded, and then overwritten. skip: its first version stays. "
        "append: the new version's rows are added to the old one's. replace: they take the place of the old one's, in "
        "one commit; needs _file_path among destination.metadata_columns. fail: the run names the file, and loads the "
        "others.",
    )

    partition_columns: tuple[str, ...] = Field(
        default=(),
        max_length=100,
        description="Columns that are filled from folders of the keys, below the path: with year=2025/a.json, year is "
        "2025 in every row of the file. They are texts unless format.schema.hints says otherwise.",
        examples=[["year", "month"]],
    )
    partition_pruning: PartitionPruning = PartitionPruning()

    @field_validator("partition_columns")
    @classmethod
    def _are_folders(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name or "/" in name or "=" in name:
                raise ValueError(f"{name!r} is no folder's name; write what stands before the =, as in year")
        if len({name.lower() for name in names}) < len(names):
            raise ValueError("partition_columns names a column twice (case does not count)")
        return names

    @field_validator("path")
    @classmethod
    def _is_an_s3_prefix(cls, path: str) -> str:
        scheme, separator, rest = path.partition("://")
        bucket = rest.partition("/")[0]
        if "@" in bucket:  # nor is this one repeated: s3://key:secret@bucket/
            raise ValueError("path must not carry credentials; put them into source.credentials")
        if scheme not in ("s3", "s3a") or not separator:
            raise ValueError(f"path {path!r} must start with s3://, as in s3://bucket/prefix/")
        if not _BUCKET.fullmatch(bucket):
            raise ValueError(f"path {path!r} has no valid bucket name; write s3://bucket/prefix/")
        return path

    @model_validator(mode="after")
    def _leaves_some_time(self) -> "Source":
        if self.modified_after and self.modified_before and self.modified_after >= self.modified_before:
            raise ValueError("modified_after must be before modified_before: no object could be wanted")
        return self

    @property
    def bucket(self) -> str:
        return self.path.split("://", 1)[1].split("/", 1)[0]

    @property
    def prefix(self) -> str:
        """The key prefix that is listed. A path is a folder: ``s3://b/data`` means ``data/``, never ``data-2/``."""
        rest = self.path.split("://", 1)[1]
        prefix = rest.split("/", 1)[1] if "/" in rest else ""
        return prefix if not prefix or prefix.endswith("/") else prefix + "/"


class FormatOptions(Part):
    """How files of text are written. An option that means nothing for a format is refused."""

    multiline: bool = Field(
        default=False,
        description="json: a file holds documents (an object, an array of objects) instead of one object per line. "
        "csv: quoted cells may span lines.",
    )
    compression: str | None = Field(
        default=None,
        description="json, csv, text: what every file is compressed with, whatever its name. Without it, names and the "
        "files' own bytes tell.",
    )
    header: bool | None = Field(default=None, description="csv: whether the first line names the columns; it does.")
    delimiter: str | None = Field(default=None, description="csv: what stands between cells; a comma.")
    quote: str | None = Field(default=None, description='csv: what cells are quoted with; ". Empty: they never are.')
    escape: str | None = Field(default=None, description="csv: what escapes a quote inside quotes; the quote, doubled.")
    encoding: str | None = Field(default=None, description="csv, text: utf-8, utf-16, iso-8859-1, windows-1252, …")
    null_value: str | None = Field(default=None, description="csv: a text that means null, as an empty cell does.")

    @property
    def compression_of_all(self) -> Compression | None:
        """What every file is compressed with, whatever its name; None: as names and bytes say."""
        return None if self.compression is None else COMPRESSIONS.get(self.compression.lower())


class Format(Part):
    """How the bytes of one file become rows."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    type: Literal["json", "csv", "text", "parquet", "avro", "orc"] = "json"
    options: FormatOptions = FormatOptions()
    schema_rules: SchemaRules = Field(default=SchemaRules(), alias="schema")

    @property
    def is_json_lines(self) -> bool:
        """Whether a file is what a preview can look into: one JSON object per line."""
        return self.type == "json" and not self.options.multiline

    @model_validator(mode="after")
    def _has_maps_as_files_have_them(self) -> "Format":
        if self.type not in ("parquet", "orc") and any(map(keys_that_are_no_text, self.schema_rules.types())):
            raise ValueError(
                f"format.schema has a map whose keys are no strings; in {self.type} they always are: map<string, …>"
            )
        return self


class Partitioning(Part):
    """How the table is partitioned that is made when there is none. One that is there is written as it stands."""

    enabled: bool = False
    columns: tuple[str, ...] = Field(
        default=(),
        description=f"As in Iceberg's SQL: {SHAPES}. A text whose time is taken becomes a timestamp.",
        examples=[["days(event_time)", "bucket(16, user_id)"]],
    )

    @model_validator(mode="after")
    def _can_be_read(self) -> "Partitioning":
        if self.enabled and not self.columns:
            raise ValueError(f"partitioning.enabled needs partitioning.columns; name {SHAPES}")
        if self.enabled:
            parse_all(self.columns)
        return self

    @property
    def parts(self) -> tuple[Transform, ...]:
        """What the user asks for; none when it is not enabled."""
        return parse_all(self.columns) if self.enabled else ()


class Optimization(Part):
    target_file_size_bytes: int | None = Field(
        default=None,
        ge=1024**2,
        le=2**40,
        description="How large the table's data files should become (write.target-file-size-bytes). Null: what the "
        "table says, and Iceberg's 512 MiB where it says nothing.",
    )
    z_ordering_enabled: bool = False
    z_ordering_columns: tuple[str, ...] = ()


class Destination(Part):
    """The Iceberg table that is kept up to date."""

    catalog: str = Field(examples=["lake"])
    database: str = Field(examples=["demo"])
    table: str = Field(examples=["flights"])
    write_mode: str = "append"
    partitioning: Partitioning = Partitioning()
    optimization: Optimization = Optimization()
    metadata_columns: tuple[MetadataColumn, ...] = Field(
        default=(),
        description="Columns that say where each row came from, added beside the data's own. Reloading files that were "
        "loaded before needs _file_path.",
        examples=[["_file_path", "_loaded_at"]],
    )

    @field_validator("catalog", "database", "table")
    @classmethod
    def _is_an_identifier(cls, name: str) -> str:
        if not _IDENTIFIER.fullmatch(name):
            raise ValueError(
                f"{name!r} is not a usable name; use letters, digits and underscores, not starting with a digit"
            )
        return name

    @field_validator("metadata_columns")
    @classmethod
    def _are_named_once(cls, names: tuple[MetadataColumn, ...]) -> tuple[MetadataColumn, ...]:
        if len(set(names)) < len(names):
            raise ValueError("metadata_columns names a column twice")
        return names

    @field_validator("write_mode")
    @classmethod
    def _appends(cls, mode: str) -> str:
        if mode != "append":
            raise ValueError(f"write_mode {mode!r} is not supported; use 'append' (to load anew, use a refresh)")
        return mode

    @model_validator(mode="after")
    def _is_writable_today(self) -> "Destination":
        if self.optimization.z_ordering_enabled:
            raise ValueError("destination.optimization.z_ordering is not supported yet; leave it disabled")
        return self

    @property
    def identifier(self) -> str:
        """``catalog.database.table``, safe to put in SQL because each part was checked."""
        return f"{self.catalog}.{self.database}.{self.table}"

    @property
    def quarantine(self) -> "Destination":
        """Where the records stand that do not fit the table. One that is built aside has that of the table whose place
        its rows will take."""
        return self.model_copy(update={"table": f"{_BUILT_ASIDE.sub('', self.table)}__quarantine"})


class Quality(Part):
    row_count_threshold: int | None = Field(default=None, ge=0)
    alerts_enabled: bool = False
    alert_recipients: tuple[str, ...] = ()
    on_error: OnError = Field(
        default="continue",
        description="Records that do not fit the table: continue sets them aside in its quarantine and loads the "
        "others; skip_file loads nothing of their file; abort ends the run as failed, and nothing more is loaded.",
    )
    bad_records_max: int | None = Field(
        default=None,
        ge=0,
        description="With on_error continue: a file with more bad records than this is not loaded at all.",
    )
    bad_records_share_max: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="With on_error continue: a file is not loaded at all if more than this share of its records is "
        "bad.",
        examples=[0.1],
    )

    expected_arrivals: tuple[ExpectedArrival, ...] = Field(
        default=(),
        max_length=RULES_MAX,
        description="Files that should come each hour or day. A period in which they did not is told once, as an event "
        "and in GET …/completeness; it stops nothing.",
    )

    @model_validator(mode="after")
    def _names_rules_once(self) -> "Quality":
        names = [rule.name for rule in self.expected_arrivals]
        if len(set(names)) < len(names):
            raise ValueError("quality.expected_arrivals has two rules of one name")
        return self

    @model_validator(mode="after")
    def _has_no_gate_today(self) -> "Quality":
        if self.row_count_threshold is not None or self.alerts_enabled:
            raise ValueError("quality thresholds and alerts are not supported yet; leave them unset")
        return self


class Definition(Part):
    """One version of an ingestion's definition, without its secrets."""

    name: str = Field(min_length=1, max_length=200)
    cluster_id: str = Field(min_length=1, max_length=200)
    source: Source
    format: Format = Format()
    destination: Destination
    schedule: Schedule = Schedule()
    quality: Quality = Quality()
