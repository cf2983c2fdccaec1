"""ORC, beside what is the same for all formats that bring their own types."""

from collections.abc import Sequence
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql.connect.session import SparkSession

from libs.common.errors import Permanent
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Array, Map, Struct, Type
from services.executor.adapters.reading.origin import Origin
from services.executor.adapters.reading.typed import TypedFiles

# Old dates mean what they say, unless the file itself says that its writer reckoned otherwise.
_OPTIONS: Final = {"orc.proleptic.gregorian.default": "true"}
_UTC: Final = frozenset({"UTC", "Etc/UTC", "Z", "Zulu", "Etc/Zulu", "UCT", "Etc/UCT", "Universal", "GMT", "Etc/GMT"})
_ZONE: Final = "SELECT java_method('java.time.ZoneId', 'systemDefault')"
_NAMED_BY_PLACE: Final = "_col"


class OrcFiles(TypedFiles):
    """See ``reader.Reader``."""

    def __init__(self) -> None:
        super().__init__("orc", _OPTIONS)
        self._is_utc = False

    def _load(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        """These are of one schema.

        Raises:
            Permanent: as ``require_utc``, if they have times.
        """
        whole = origin.described[files[0].digest].schema
        if all(f.name.startswith(_NAMED_BY_PLACE) for f in whole.fields):
            schema = whole  # Spark finds such columns by their place, and so must see all of them
        if not self._is_utc and _has_times(schema):
            require_utc(origin.spark)
            self._is_utc = True
        return super()._load(origin, files, schema)


def _has_times(found: Type) -> bool:
    match found:
        case Struct(fields=fields):
            return any(_has_times(f.type) for f in fields)
        case Array(element=inner):
            return _has_times(inner)
        case Map(key=key, value=inner):
            return _has_times(key) or _has_times(inner)
        case str(name):
            return name == "timestamp_ntz_text"


def require_utc(spark: SparkSession) -> None:
    """ORC's reader takes times through the zone of its own process, where some of them do not exist.

    Raises:
        Permanent: ``cluster_time_zone``, where that is not UTC.
    """
    [[zone]] = spark.sql(_ZONE).collect()
    if zone not in _UTC:
        raise Permanent(
            f"Spark's own time zone is {zone}, in which it reads times in ORC files as others",
            code="cluster_time_zone",
            hint="start the cluster with -Duser.timezone=UTC in spark.driver.extraJavaOptions and "
            "spark.executor.extraJavaOptions",
        )
