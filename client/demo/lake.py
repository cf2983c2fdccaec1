"""The table, as any reader of the lake sees it: through Spark Connect, with no knowledge of Autoloader."""

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from client.demo.flights import WHOLE_NUMBERS, WORDS
from client.demo.settings import DemoSettings
from client.demo.trouble import DemoTrouble

_CONNECT_TIMEOUT_S = 3
_GRPC_TIMEOUT_S = 15


@dataclass(frozen=True, slots=True)
class MonthRows:
    """What the table holds of one month. ``distinct`` is smaller than ``rows`` when a flight is there twice."""

    rows: int
    distinct: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    snapshot_id: int
    committed_at: datetime
    operation: str
    added_rows: int
    rows_in_all: int


class Lake:
    """One Spark session and the one table that the demo is about. Call ``close()``: a session pins server memory."""

    def __init__(self, session: Any, table_name: str) -> None:
        self._session = session
        self._table_name = table_name

    @classmethod
    def connect(cls, settings: DemoSettings) -> "Lake":
        """A new session.

        Raises:
            DemoTrouble: nothing listens at the address, or it is not Spark Connect of our version.
        """
        parts = urlsplit(settings.spark_url)
        address = (parts.hostname or "localhost", parts.port or 15002)
        away = DemoTrouble(f"Spark Connect at {settings.spark_url} does not answer", "Start it with `make up`.")
        # PySpark itself would try for minutes before it says that nobody listens, or that it is not Spark who does.
        try:
            socket.create_connection(address, _CONNECT_TIMEOUT_S).close()
        except OSError as e:
            raise away from e
        # Importing takes a while, so the caller does it in a thread beside other work.
        import grpc
        from pyspark.errors import PySparkException
        from pyspark.sql.connect.session import SparkSession

        with grpc.insecure_channel("{}:{}".format(*address)) as channel:
            try:
                grpc.channel_ready_future(channel).result(_GRPC_TIMEOUT_S)
            except grpc.FutureTimeoutError as e:
                raise away from e

        try:
            return cls(SparkSession.builder.remote(settings.spark_url).create(), settings.table_name)
        except PySparkException as e:
            raise away from e

    def close(self) -> None:
        self._session.stop()

    def has_table(self) -> bool:
        return bool(self._session.catalog.tableExists(self._table_name))

    def drop_table(self) -> None:
        """Removes the table with its data files, if it is there."""
        if self.has_table():
            self._session.sql(f"DROP TABLE {self._table_name} PURGE").collect()

    def months(self) -> dict[int, MonthRows]:
        """Rows and distinct rows by month, counted from the data in one pass."""
        columns = ", ".join(f"`{column}`" for column in (*WHOLE_NUMBERS, *WORDS))
        answer = self._session.sql(
            f"""SELECT month, sum(copies) AS row_count, count(*) AS distinct_count
                FROM (SELECT {columns}, count(*) AS copies FROM {self._table_name} GROUP BY {columns})
                GROUP BY month ORDER BY month"""  # noqa: S608 - names of our own, nothing a user typed
        ).collect()
        return {row["month"]: MonthRows(rows=row["row_count"], distinct=row["distinct_count"]) for row in answer}

    def snapshots(self) -> list[Snapshot]:
        """The snapshots a reader can see, oldest first."""
        # The history has the table's own line only: a batch that is staged and not yet published is not in it.
        # Microseconds, because PySpark hands timestamps over in the zone of the reader's machine.
        answer = self._session.sql(
            f"""SELECT s.snapshot_id, unix_micros(s.committed_at) AS committed_us, s.operation,
                       coalesce(s.summary['added-records'], '0') AS added, s.summary['total-records'] AS total
                FROM {self._table_name}.snapshots s JOIN {self._table_name}.history h USING (snapshot_id)
                WHERE h.is_current_ancestor ORDER BY h.made_current_at"""  # noqa: S608 - as above
        ).collect()
        return [
            Snapshot(
                snapshot_id=row["snapshot_id"],
                committed_at=datetime.fromtimestamp(row["committed_us"] / 1e6, UTC),
                operation=row["operation"],
                added_rows=int(row["added"]),
                rows_in_all=int(row["total"] or 0),
            )
            for row in answer
        ]
