"""What clients get about costs."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.api.costs.counting import Counted
from services.api.costs.model import Estimate, Prices, Speed

_EXAMPLE: dict[str, Any] = {
    "files_to_process": 1200,
    "estimated_data_size_gb": 8.4,
    "estimated_duration_minutes": 6.1,
    "estimated_cost_usd": 0.0117,
    "breakdown": {
        "compute_usd": 0.0102,
        "requests_usd": 0.0015,
        "storage_usd_month": 0.193,
        "list_requests": 2,
        "get_requests": 3600,
        "batches": 12,
    },
    "assumptions": {
        "cores": 2,
        "core_hour_usd": 0.05,
        "list_1000_usd": 0.005,
        "get_1000_usd": 0.0004,
        "gb_month_usd": 0.023,
        "based_on_runs": 0,
    },
}


class Predicted(BaseModel):
    """What is expected of a run; and, in the same fields, what it came to."""

    files: int
    size_bytes: int = Field(description="Of the source files.")
    records: int | None = Field(description="Null: nobody can tell yet.")
    snapshots: int | None = Field(description="Batches, each of which becomes visible in one commit.")
    duration_seconds: float | None
    cost_usd: float | None = Field(description="By the price model of docs/explanation/cost-model.md.")


class Breakdown(BaseModel):
    compute_usd: float
    requests_usd: float
    storage_usd_month: float = Field(
        description="Of the source's bytes, per month, and not in the total: what the table takes depends on the data."
    )
    list_requests: int
    get_requests: int
    batches: int


class Assumptions(BaseModel):
    """Settings of the API: AUTOLOADER_COST_… . docs/explanation/cost-model.md has the formula."""

    cores: int
    core_hour_usd: float
    list_1000_usd: float
    get_1000_usd: float
    gb_month_usd: float
    based_on_runs: int = Field(description="Runs of the ingestion that corrected the duration; 0: the formula alone.")


class CostEstimate(BaseModel):
    """What loading everything under the source's path would take and cost."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    files_to_process: int
    estimated_data_size_gb: float = Field(description="In 10^9 bytes.")
    estimated_duration_minutes: float
    estimated_cost_usd: float
    breakdown: Breakdown
    assumptions: Assumptions


def shown(counted: Counted, found: Estimate, speed: Speed, prices: Prices) -> CostEstimate:
    """An estimate with everything that it rests on."""
    return CostEstimate(
        files_to_process=counted.work.files,
        estimated_data_size_gb=counted.work.size_bytes / 1e9,
        estimated_duration_minutes=found.seconds / 60,
        estimated_cost_usd=found.usd,
        breakdown=Breakdown(
            compute_usd=found.compute_usd,
            requests_usd=found.requests_usd,
            storage_usd_month=found.storage_usd_month,
            list_requests=found.list_requests,
            get_requests=found.get_requests,
            batches=counted.work.batches,
        ),
        assumptions=Assumptions(
            cores=speed.cores,
            core_hour_usd=prices.core_hour_usd,
            list_1000_usd=prices.list_1000_usd,
            get_1000_usd=prices.get_1000_usd,
            gb_month_usd=prices.gb_month_usd,
            based_on_runs=found.based_on_runs,
        ),
    )
