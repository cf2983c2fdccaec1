"""What a run of the benchmark found, as it is kept in a file."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench.measures import Variant

LATEST = Path(__file__).parent / "results" / "latest.json"
"""Of the last whole run. The page in docs is made from it."""
LOOK = Path(__file__).parent / "results" / "look.json"
"""Of the last run that left something out. Not kept in the repository."""


class Machine(BaseModel):
    """Where it was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cores: int
    memory_bytes: int
    processor: str
    system: str
    python: str
    java: str
    spark: str
    spark_master: str
    spark_compiles_fully: bool
    """False: the server was started to be up quickly, and never becomes as fast as it can be."""
    load_average: float
    """Of the minute before the first round, per core: well above 0 means that others were at work."""
    commit: str


class Measured(BaseModel):
    """All variants of one workload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    files: int
    rows: int
    bytes: int
    variants: Mapping[str, Variant]


class Results(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    made_at: datetime
    machine: Machine
    rounds: int
    left_out: str = ""
    """What this run was told to leave out. Empty: nothing."""
    workloads: Mapping[str, Measured]

    def save(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.model_dump_json(indent=1, exclude_none=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Results":
        return cls.model_validate_json(path.read_text())
