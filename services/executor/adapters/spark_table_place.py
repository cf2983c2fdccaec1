"""A ``TablePlace`` on Spark Connect and Iceberg: what stands under a table's name, and what is put there."""

from libs.common.schema import Struct
from services.executor.adapters import creation_sql, iceberg_sql
from services.executor.adapters.described import layout_of, location_of
from services.executor.adapters.spark_errors import is_table_missing
from services.executor.adapters.table_session import TableSession
from services.executor.domain.layout import Layout
from services.executor.whole_table_ports import TableFound


class SparkTablePlace:
    """See ``whole_table_ports.TablePlace``."""

    def __init__(self, on: TableSession) -> None:
        self._on = on

    async def look(self, name: str | None = None) -> TableFound | None:
        on = self._on.named(name)

        def work() -> TableFound | None:
            try:
                described = on.described()
                metadata = on.sql(iceberg_sql.latest_metadata(on.to.identifier))
                schema = on.schema()
                properties = on.properties()
            except Exception as e:
                if is_table_missing(e):
                    return None
                raise
            return TableFound(
                schema,
                location_of(described, schema),
                metadata[0]["file"] if metadata else None,
                layout_of(described, properties, schema),
            )

        return await self._on.run(work)

    async def rename(self, name: str | None, to: str | None) -> None:
        statement = iceberg_sql.rename_table(self._on.named(name).to, self._on.named(to).to.table)
        await self._on.run(lambda: self._on.sql(statement))

    async def create(
        self, schema: Struct, layout: Layout, location: str | None = None, name: str | None = None
    ) -> None:
        on = self._on.named(name)

        def work() -> None:
            on.sql(creation_sql.create_table(on.to, schema, layout, location=location))
            # Crash here: whoever comes next finds the table, and says the rest. What was loaded into stays as it is:
            # its user may have changed it since.
            if on.properties().get("current-snapshot-id") == "none":
                for statement in creation_sql.settle(on.to, layout):
                    on.sql(statement)

        await self._on.run(work)

    async def drop(self, name: str) -> None:
        statement = iceberg_sql.drop_table(self._on.named(name).to)
        await self._on.run(lambda: self._on.sql(statement))
