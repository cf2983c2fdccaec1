"""What is the same for every format: the columns in which a reader hands over records.

| column | holds |
|---|---|
| ``file`` | the file's position in the batch; null: a file that is not in the batch |
| ``uri``, ``version`` | that file's URI and its version tag |
| ``folders`` | a map of the columns that the file's key fills, with their values as texts |
| ``raw`` | the record as it stands in the file, where a file is text; else null, or JSON made of a bad one |
| ``row`` | the record as a struct of the schema's data columns |
| ``blank`` | it holds nothing and makes no row: an empty line |
| ``bad`` | it is no record of this schema and makes no row |
| ``unknown`` | names that it has and the schema lacks, dotted |
| ``misfits`` | columns for which it has a value that does not fit |
| ``outside`` | in a table that rescues: a JSON object of what no column holds whole; null: nothing, or no such table |
| ``line`` | (``numbered`` alone) its place in the file, 1-based |
| ``reason`` | (``numbered`` alone) of a bad one: why, in a few words that name the column and the value; else null |

``blank`` and ``bad`` are never null, and never both true. A value that does not fit makes a record bad, unless the
table rescues: then its column is null.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from pyspark.sql import DataFrame

from libs.common.contracts.definition import Format
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct
from services.executor.adapters.reading.csv import CsvFiles
from services.executor.adapters.reading.documents import JsonDocuments
from services.executor.adapters.reading.json_lines import JsonLines
from services.executor.adapters.reading.orc import OrcFiles
from services.executor.adapters.reading.origin import Origin
from services.executor.adapters.reading.plain_text import PlainText
from services.executor.adapters.reading.typed import TypedFiles


class Reader(Protocol):
    """One format. ``records`` and ``numbered`` are lazy; what goes wrong shows as Spark's own error."""

    def infer(self, origin: Origin, files: Sequence[FileVersion]) -> Struct:
        """The schema that these files show. Empty if they hold no record."""
        ...

    def records(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        """Every record of these files, in the columns that this module describes: one pass over their bytes.
        ``schema`` is the table's; of it only the data's columns are filled."""
        ...

    def numbered(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        """As ``records``, with ``line`` and ``reason``: for a second look, at some of the records. The lines are right
        only in a session that reads each file as one partition (``origin.whole_files``)."""
        ...

    def known_empty(self, origin: Origin, files: Sequence[FileVersion]) -> frozenset[bytes]:
        """Of files with bytes that gave no record, those that hold none: by digest. Any other was not understood."""
        ...

    def check(self, origin: Origin, file: FileVersion) -> None:
        """Reads the file to its end, and raises what stands in the way."""
        ...


_READERS: Final[dict[str, Callable[[Format], Reader]]] = {
    # Files are what they are, whatever they are named.
    "avro": lambda _: TypedFiles("avro", {"ignoreExtension": "true"}),
    "csv": lambda format_: CsvFiles(format_.options),
    "json": lambda format_: JsonDocuments() if format_.options.multiline else JsonLines(),
    "orc": lambda _: OrcFiles(),
    "parquet": lambda _: TypedFiles("parquet"),
    "text": lambda format_: PlainText(format_.options),
}


def reader_of(format_: Format) -> Reader:
    """A reader for files of this kind. One batch has it to itself: it may remember what it saw of the files."""
    return _READERS[format_.type](format_)
