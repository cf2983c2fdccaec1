"""Values about refreshes: the right to work on one, and the tables and rows that it sets aside."""

from dataclasses import dataclass

from libs.common.contracts.events import Problem, RefreshMode, RefreshStrategy
from libs.common.ids import IngestionId, RefreshId
from libs.common.ledger.outlived import why_ended


@dataclass(frozen=True, slots=True)
class KeptTable:
    """A table that a refresh set aside: its name now (without catalog and database), whose generation it holds, and its
    latest metadata file then."""

    name: str
    generation: int
    metadata_location: str | None = None


@dataclass(frozen=True, slots=True)
class BuiltAside:
    """A table that a refresh builds beside the old one: its name (without catalog and database). ``generation`` is the
    one whose history goes on: what was built if it takes the place, what was there before if it is given up."""

    name: str
    generation: int


@dataclass(frozen=True, slots=True)
class ReplacedRows:
    """The rows that a swap took out of the table: the snapshot that still has them (``NO_SNAPSHOT``: there were none),
    and the generation that they are of."""

    snapshot_id: int
    generation: int


@dataclass(frozen=True, slots=True)
class RefreshClaim:
    """The right to work on a refresh, until the lease ends or somebody holds a higher token. ``kept`` is what an undo
    goes back to, or what a swap puts in place."""

    id: RefreshId
    ingestion_id: IngestionId
    mode: RefreshMode
    from_generation: int
    to_generation: int
    token: int
    attempt: int
    kept: KeptTable | BuiltAside | ReplacedRows | None = None
    strategy: RefreshStrategy = "drop"

    @property
    def builds_aside(self) -> bool:
        """Whether the old table stays in its place, and the new one is loaded beside it."""
        return self.mode in ("full", "new_only") and self.strategy == "swap"

    @property
    def replaces_all(self) -> bool:
        """Whether it puts other rows into the table that stands there, in one snapshot."""
        return self.mode == "swap" or isinstance(self.kept, ReplacedRows)

    @property
    def wap_id(self) -> str:
        """The name under which it can do so once: a batch's, since that snapshot stands in the ledger as one."""
        return f"al1:{self.ingestion_id}:{self.to_generation}:{self.id}"

    @property
    def reason(self) -> Problem:
        """What the runs that it ends are told."""
        return why_ended(self.mode, self.to_generation, had_begun=True)
