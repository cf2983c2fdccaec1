"""Files that are read as one piece of text: where a line's end need not be a record's.

A piece is in memory at once, several times over while it is parsed. So it is bounded: a larger file is refused, also
one that is large only when it is unpacked (Hadoop's line reader takes no more than it is told, and gives nothing then).
"""

from collections.abc import Sequence
from typing import Final

from pyspark.sql import DataFrame

from libs.common.ledger.model.files import FileVersion
from services.executor.adapters.reading.origin import PATH, Origin, union
from services.executor.ports import FilesUnreadable

WHOLE_BYTES_MAX: Final = 128 * 1024**2
# Without the byte order mark of UTF-8. Those of other encodings are taken by who decodes them.
_WHOLE = "IF(startswith(CAST(value AS binary), X'EFBBBF'), substring(CAST(value AS binary), 4), CAST(value AS binary))"
_NEVER = "\0autoloader: no such line end\0"


def wholes(origin: Origin, files: Sequence[FileVersion]) -> DataFrame:
    """A row for each file that holds anything: its bytes, ``whole``, and its ``path``.

    Raises:
        FilesUnreadable: files that are too large, before they are unpacked.
    """
    too_large = {
        f.digest: f"it has {f.size_bytes:,} bytes; as one piece of text, no more than {WHOLE_BYTES_MAX:,} can be read"
        for f in files
        if f.size_bytes > WHOLE_BYTES_MAX
    }
    if too_large:
        raise FilesUnreadable(too_large)
    plain = [f for f in files if origin.compression_of(f) == "none"]
    packed = [f for f in files if origin.compression_of(f) != "none"]
    pieces: list[DataFrame] = []
    if plain:
        # Cut for Spark's cores, each part would be read to the end of the file, to look for the end of the line.
        pieces.append(origin.reading(plain).text(origin.paths(plain), wholetext=True))
    if packed:
        reader = origin.reading(packed).option("mapreduce.input.linerecordreader.line.maxlength", WHOLE_BYTES_MAX)
        pieces.append(reader.text(origin.paths(packed), lineSep=_NEVER))
    found = (piece.selectExpr(f"{_WHOLE} AS whole", f"{PATH} AS path") for piece in pieces)
    return union(found)
