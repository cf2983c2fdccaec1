"""The part of the executor that runs inside of Spark: files of JSON, one object per line, read as fast as Spark reads
them, and no line taken for more or less than it says.

``services/executor/java`` is what runs there, a source for Spark. It travels with a session as an artifact, so nobody
installs anything. A server that does not take it reads lines as text (``json_lines``), to the same end.
"""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import pyspark
from pyspark.sql import DataFrame
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructType

from libs.common.ledger.model.files import FileVersion
from libs.common.logs import get_logger
from services.executor.adapters.reading.origin import Origin

JARS: Final = Path(__file__).parents[2] / "java"
"""``make setup`` puts the jar there."""
_SOURCE: Final = "autoloader.reading.PlainLines"
_CHECK: Final = "SELECT java_method('autoloader.reading.Check', 'works') AS said"
_log = get_logger(__name__)
_lent: WeakKeyDictionary[SparkSession, bool] = WeakKeyDictionary()
_guard = threading.Lock()


def lent(spark: SparkSession) -> bool:
    """Whether the session can read plain lines. Asked first, it is sent what it takes, unless the server has it; and
    that is tried on a line there."""
    with _guard:
        known = _lent.get(spark)
    if known is None:
        # One batch has the session to itself; only the dictionary is everybody's.
        known = _lend(spark)
        with _guard:
            _lent[spark] = known
    return known


def _lend(spark: SparkSession) -> bool:
    jar = next(iter(JARS.glob("plain-lines-*.jar")), None)
    if jar is None:
        _log.warning("plain_lines.missing", folder=str(JARS), hint="make setup makes it; lines are read as text")
        return False
    right = f"works {jar.stem.rsplit('-', 1)[1]}"
    try:
        said = _said(spark)
        if said is None:
            spark.addArtifacts(str(jar))
            said = _said(spark)
    except Exception as e:  # noqa: BLE001 - whatever stands in the way, there is the other way
        said = str(e)
    if said != right:
        _log.warning("plain_lines.refused", reason=str(said)[:500], expected=right, hint="lines are read as text")
    return said == right


def _said(spark: SparkSession) -> str | None:
    """What the source says of itself; None: the server has none.

    The classes of Spark on which it rests are no version's promise, and a wrong one shows only when it is used. So it
    is not even tried on another Spark than that of this client, for which it was made.
    """
    if _minor(spark.version) != _minor(pyspark.__version__):
        return f"the server is Spark {spark.version}, and this is made for {pyspark.__version__}"
    try:
        return str(spark.sql(_CHECK).collect()[0]["said"])
    except Exception as e:
        if "ClassNotFoundException" in str(e) or "CLASS_NOT_FOUND" in str(e) or "UNEXPECTED_CLASS_TYPE" in str(e):
            return None
        raise


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def records(
    origin: Origin, files: Sequence[FileVersion], record: StructType, corrupt: str, required: Sequence[str]
) -> DataFrame:
    """The lines of these files, in columns that the class ``Records`` describes: ``row`` (a ``record``), ``raw`` and
    ``keys`` of those that are not plain, and ``file``. ``corrupt`` names the record's field that only a line which does
    not fit would fill; ``required`` those that no plain line lacks. Only for a session that it was ``lent``."""
    schema = StructType().add("row", record).add("raw", StringType())
    schema = schema.add("keys", ArrayType(StringType())).add("file", IntegerType())
    options = {
        "columnNameOfCorruptRecord": corrupt,
        "autoloader.files": json.dumps([origin.seen(f) for f in files]),
        "autoloader.sizes": json.dumps([f.size_bytes for f in files]),
        "autoloader.required": json.dumps(list(required)),
    }
    reader = origin.reading(files).format(_SOURCE).options(**options)
    return reader.schema(schema).load()
