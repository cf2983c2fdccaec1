"""A ``TablePlace`` on Spark Connect and Iceberg: what stands under a table's name, and what is put there."""

from collections.abc import Callable
from typing import TypeVar

from libs.common.contracts.definition import Destination
from libs.common.schema import Struct, struct_from_json
from services.executor.adapters import creation_sql, iceberg_sql
from services.executor.adapters.described import layout_of, location_of
from services.executor.adapters.spark_errors import is_table_missing, translate
from services.executor.adapters.spark_sessions import BatchSession
from services.executor.domain.layout import Layout
from services.executor.ports import TableFound

T = TypeVar("T")


class SparkTablePlace:
    """See ``ports.TablePlace``."""

    def __init__(self, session: BatchSession, url: str, destination: Destination) -> None:
        self._session = session
        self._spark = session.spark
        self._url = url
        self._to = destination

    async def look(self, name: str | None = None) -> TableFound | None:
        identifier = self._named(name).identifier

        def work() -> TableFound | None:
            try:
                rows = self._spark.sql(iceberg_sql.describe_table(identifier)).collect()
                metadata = self._spark.sql(iceberg_sql.latest_metadata(identifier)).collect()
                schema = struct_from_json(self._spark.table(identifier).schema.jsonValue())
                properties = self._properties(name)
            except Exception as e:
                if is_table_missing(e):
                    return None
                raise
            described = [(row["col_name"], row["data_type"]) for row in rows]
            return TableFound(
                schema,
                location_of(described, schema),
                metadata[0]["file"] if metadata else None,
                layout_of(described, properties, schema),
            )

        return await self._run(work)

    async def rename(self, name: str | None, to: str | None) -> None:
        statement = iceberg_sql.rename_table(self._named(name), self._named(to).table)
        await self._run(lambda: self._sql(statement))

    async def create(
        self, schema: Struct, layout: Layout, location: str | None = None, name: str | None = None
    ) -> None:
        to = self._named(name)

        def work() -> None:
            self._sql(creation_sql.create_table(to, schema, layout, location=location))
            # Crash here: whoever comes next finds the table, and says the rest. What was loaded into stays as it is:
            # its user may have changed it since.
            if self._properties(name).get("current-snapshot-id") == "none":
                for statement in creation_sql.settle(to, layout):
                    self._sql(statement)

        await self._run(work)

    def _properties(self, name: str | None) -> dict[str, str]:
        rows = self._spark.sql(iceberg_sql.show_properties(self._named(name))).collect()
        return {row["key"]: row["value"] for row in rows}

    async def drop(self, name: str) -> None:
        statement = iceberg_sql.drop_table(self._named(name))
        await self._run(lambda: self._sql(statement))

    def _named(self, name: str | None) -> Destination:
        return self._to if name is None else self._to.model_copy(update={"table": name})

    def _sql(self, statement: str) -> None:
        self._spark.sql(statement).collect()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._session.run(work)
        except Exception as e:
            raise translate(e, url=self._url, table=self._to.identifier) from e
