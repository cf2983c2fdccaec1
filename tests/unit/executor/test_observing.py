"""Counting in passing asks the server nothing."""

from unittest.mock import MagicMock

from pyspark.sql.connect import functions as F
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.observation import Observation
from pyspark.sql.connect.plan import Range

from services.executor.adapters.observing import watched


def test_nobody_is_asked_whether_the_frame_is_a_stream() -> None:
    session = MagicMock()
    frame = DataFrame(Range(0, 1, 1), session)
    watched(frame, Observation(), F.count(F.lit(1)).alias("n"))
    assert [] == session.client.method_calls
