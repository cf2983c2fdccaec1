"""What clients get about clusters."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.common.contracts.events import Problem
from libs.common.contracts.reports import ClusterReport

_TEST: dict[str, Any] = {
    "test_id": "4c2f7d0e-8a1b-4f5e-9d7e-0d9f2c1b8a11",
    "cluster_id": "local",
    "spark_connect_url": "sc://localhost:15002",
    "status": "success",
    "message": "Spark 4.1.1 answered in 48 ms, after 210 ms for a new session; 2 of 2 catalogs can be used",
    "created_at": "2025-01-07T12:34:56Z",
    "ended_at": "2025-01-07T12:34:57Z",
    "report": {
        "spark_version": "4.1.1",
        "connect_ms": 210,
        "statement_ms": 48,
        "catalogs": [
            {"name": "lake", "usable": True, "problem": None},
            {"name": "spark_catalog", "usable": True, "problem": None},
        ],
    },
    "problem": None,
    "ask_again": None,
}


class ClusterOut(BaseModel):
    """Where Spark runs. Settings decide (``AUTOLOADER_CLUSTERS``)."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"id": "local", "spark_connect_url": "sc://localhost:15002"}}
    )

    id: str
    spark_connect_url: str


class ConnectionTestOut(BaseModel):
    """What an executor found at a cluster, when it has said it."""

    model_config = ConfigDict(json_schema_extra={"example": _TEST})

    test_id: UUID
    cluster_id: str
    spark_connect_url: str
    status: Literal["success", "failed", "pending"] = Field(
        description="success: a statement was answered; failed: `problem` says why not; pending: no executor has said "
        "anything yet, ask again at `ask_again`."
    )
    message: str = Field(description="For people.")
    created_at: datetime
    ended_at: datetime | None = None
    report: ClusterReport | None = None
    problem: Problem | None = None
    ask_again: str | None = Field(default=None, description="The address of this test, while it is pending.")
