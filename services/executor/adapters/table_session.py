"""A session on loan, and the one table that it is for: statements go out, rows come back, errors are ours."""

from collections.abc import Callable
from typing import TypeVar

from pyspark.sql import DataFrame, Row

from libs.common.contracts.definition import Destination
from libs.common.errors import AutoloaderError
from libs.common.ledger.model.batches import NO_SNAPSHOT
from libs.common.schema import Struct, struct_from_json
from services.executor.adapters import iceberg_sql
from services.executor.adapters.spark_errors import translate
from services.executor.adapters.spark_sessions import BatchSession

T = TypeVar("T")


class TableSession:
    """``run`` moves work to a thread of the session. All that is not async is called from such work."""

    def __init__(self, session: BatchSession, url: str, to: Destination) -> None:
        self.session = session
        self.spark = session.spark
        self.to = to
        self._url = url

    def named(self, name: str | None) -> "TableSession":
        """The same session, for another table of the same database; None: for this one."""
        return self if name is None else self.over(self.to.model_copy(update={"table": name}))

    def over(self, to: Destination) -> "TableSession":
        """The same session, for another table."""
        return TableSession(self.session, self._url, to)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work``.

        Raises:
            Temporary, Permanent: what went wrong, as ``spark_errors.translate`` calls it.
        """
        try:
            return await self.session.run(work)
        except Exception as e:
            raise self.translated(e) from e

    def translated(self, error: BaseException) -> AutoloaderError:
        return translate(error, url=self._url, table=self.to.identifier)

    def sql(self, statement: str) -> list[Row]:
        """Runs a statement, and asks for its rows: two calls to Spark."""
        return self.spark.sql(statement).collect()

    def do(self, command: str) -> None:
        """Runs a command whose rows nobody wants: one call."""
        self.spark.sql(command)

    def metadata(self, name: str) -> DataFrame:
        """One of Iceberg's tables about the table (``snapshots``, ``refs``). No call before its rows are asked for."""
        return self.spark.read.table(f"{self.to.identifier}.{name}")

    def refresh(self) -> None:
        """What is read from here on is the table as it is now."""
        self.do(iceberg_sql.refresh(self.to))

    def schema(self) -> Struct:
        return struct_from_json(self.spark.table(self.to.identifier).schema.jsonValue())

    def properties(self) -> dict[str, str]:
        return {row["key"]: row["value"] for row in self.sql(iceberg_sql.show_properties(self.to))}

    def described(self) -> list[tuple[str, str]]:
        """See ``described.Described``."""
        rows = self.sql(iceberg_sql.describe_table(self.to.identifier))
        return [(row["col_name"], row["data_type"]) for row in rows]

    def current(self) -> int:
        """The current snapshot, read back afresh; ``NO_SNAPSHOT`` if there is none."""
        self.refresh()
        found = self.sql(iceberg_sql.current_snapshot(self.to))
        return int(found[0]["snapshot_id"]) if found else NO_SNAPSHOT

    def count(self, as_of: int | None = None) -> int:
        """Rows, as of a snapshot (None: now)."""
        return int(self.sql(iceberg_sql.count_rows(self.to, as_of))[0]["row_count"])
