"""Settings of the executor: the common ones, and how much it does at once."""

from pydantic import Field

from libs.common.settings import CommonSettings


class ExecutorSettings(CommonSettings):
    """Read once, in ``__main__``."""

    batches_at_once: int = Field(
        default=2, ge=1, description="Batches that one executor writes at the same time, each in its own Spark session."
    )
    backfill_batches_at_once: int = Field(
        default=1,
        ge=1,
        description="Batches of backfills that one executor writes at the same time, beside the others and one that "
        "its sweeper takes up: what is fresh never waits behind them.",
    )
    attempts_max: int = Field(
        default=4, ge=1, description="Attempts at a batch in a row before its files are left to the next run."
    )
    takeovers_max: int = Field(
        default=8,
        ge=1,
        description="Executors that may lose a batch (crash on it, or lose Spark with it) before it is given up.",
    )
    spark_call_timeout_s: float = Field(
        default=1800, gt=0, description="Longest that one call to Spark may take before its session is given up."
    )
