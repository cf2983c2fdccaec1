"""Counts taken in passing, of a frame that is written."""

from typing import Any, cast

from pyspark.sql import Column, DataFrame
from pyspark.sql.connect.observation import Observation


def watched(frame: DataFrame, watch: Observation, *metrics: Column) -> DataFrame:
    """The same frame; ``watch`` has the metrics when it has been written.

    The client would ask the server first whether the frame is a stream, and to answer that, Spark looks up every path
    that the frame reads. None of ours is one.
    """
    vars(frame)["isStreaming"] = False  # where the client keeps the answer
    return frame.observe(cast("Any", watch), *metrics)  # the shared signature names another Observation
