"""What stands in a quarantine: records that do not fit the table beside it, each with its place and its reason.

The table is ``<table>__quarantine``, in the same database. Its rows of a batch become visible after the batch's own
rows, and only if those did (``services/executor/quarantine.py``).
"""

from libs.common.schema import Field, Struct

ATTEMPT = "autoloader.attempt"
"""The snapshot property that pairs a batch's staged rows with the bad records that were set aside beside them."""
RAW_CHARACTERS_MAX = 1_048_576
"""What is longer is cut there."""
FIRST_OF_A_FILE_MAX = 10
FIRST_OF_A_BATCH_MAX = 200
FIRST_CHARACTERS_MAX = 1_000
"""Of the first bad records, which the ledger keeps as well, for who asks the API."""

COLUMNS = Struct(
    (
        Field("file", "string", comment="the file that holds the record"),
        Field("file_version", "string", comment="that file's version: ETag, colon, size in bytes"),
        Field("line", "bigint", comment="the record's place in the file, from 1; null in a file of more than 2 GiB"),
        Field("raw", "string", comment="the record as it stands in the file; null if the file is not text"),
        Field(
            "is_raw_whole",
            "boolean",
            comment=f"false: raw was cut after {RAW_CHARACTERS_MAX:,} characters, is not UTF-8, or is null",
        ),
        Field("reason", "string", comment="why it does not fit"),
        Field("ingestion_id", "string"),
        Field("run_id", "string"),
        Field("batch_id", "string"),
        Field("quarantined_at", "timestamp"),
    )
)
