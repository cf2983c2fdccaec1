"""What a table is like, apart from its rows: its columns and properties, and how they change.

The methods are ``ports.Table``'s, and are called in the session's thread.
"""

from collections.abc import Sequence

from libs.common.errors import Permanent, Temporary
from libs.common.logs import get_logger
from libs.common.schema import Struct
from services.executor.adapters import creation_sql, iceberg_sql
from services.executor.adapters.described import partitioning_of
from services.executor.adapters.spark_errors import (
    first_line,
    is_change_refused,
    is_field_there_already,
    is_table_missing,
)
from services.executor.adapters.table_session import TableSession
from services.executor.domain.layout import Layout, unlike, wishes
from services.executor.domain.schema_change import Addition, Widening, lacking, unwidened

_ADDS_MAX = 5
_log = get_logger(__name__)


class SparkColumns:
    """``can_stage`` is known from the first ``ready`` on: whether the table lets us set ``write.wap.enabled``."""

    def __init__(self, on: TableSession) -> None:
        self._on = on
        self._to = on.to
        self.can_stage = True

    def ready(self) -> Struct | None:
        """See ``ports.Table.schema``."""
        try:
            self._make_ready()
            self._on.refresh()
            return self._on.schema()
        except Exception as e:
            if is_table_missing(e):
                return None
            raise

    def create(self, schema: Struct, layout: Layout) -> Struct:
        # There are catalogs that take a table without its namespace, and then do not show it.
        self._on.do(iceberg_sql.create_namespace(self._to))
        self._on.do(creation_sql.create_table(self._to, schema, layout))
        try:
            # Somebody else may have been faster, with a table that is not ready for staging.
            self._make_ready()
            return self._on.schema()
        except Exception as e:
            if is_table_missing(e):
                raise Temporary(f"{self._to.identifier} was dropped as soon as it was made", code="table_busy") from e
            raise

    def _make_ready(self) -> None:
        properties = self._on.properties()
        if not properties.get("format", "").startswith("iceberg/"):
            raise Permanent(
                f"{self._to.identifier} is a view, or a table of another format than Iceberg",
                code="invalid_destination",
                hint="name an Iceberg table in destination, or one that does not exist yet",
            )
        if properties.get(iceberg_sql.WAP_ENABLED) != "true":
            self.can_stage = self._takes(iceberg_sql.WAP_ENABLED, "true")
        for name, value in wishes(self._to).items():
            if properties.get(name) != value:
                self._takes(name, value)  # the rows are right without it

    def warnings(self) -> tuple[str, ...]:
        parts = partitioning_of(self._on.described(), self._on.schema())
        return unlike(self._to.identifier, self._to, parts)

    def add(self, additions: Sequence[Addition]) -> Struct:
        for _ in range(_ADDS_MAX):
            self._on.refresh()
            schema = self._on.schema()
            missing = lacking(schema, additions)
            if not missing:
                return schema
            try:
                self._on.do(iceberg_sql.add_columns(self._to, missing))
            except Exception as e:
                # Somebody added one of them since we looked; the statement did nothing.
                if not is_field_there_already(e):
                    raise
        raise Temporary(f"the columns of {self._to.identifier} keep changing", code="schema_unsettled")

    def widen(self, widenings: Sequence[Widening]) -> Struct:
        self._on.refresh()
        for widening in unwidened(self._on.schema(), widenings):
            self._on.do(iceberg_sql.change_type(self._to, widening))
        return self._on.schema()

    def _takes(self, name: str, value: str) -> bool:
        """Whether the table has the property from now on. There are catalogs that let nobody set one."""
        try:
            self._on.do(iceberg_sql.set_property(self._to, name, value))
        except Exception as e:
            if is_change_refused(e):
                table = self._to.identifier
                _log.warning("table.property_refused", table=table, property=name, problem=first_line(str(e)))
                return False
            raise
        return True
