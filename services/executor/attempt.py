"""What one executor has in hand when it tries to load a batch."""

from dataclasses import dataclass

from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.model.files import FileVersion
from libs.common.storage.definitions import RunDefinition
from services.executor.ports import Table


@dataclass(frozen=True, slots=True)
class Attempt:
    """``files`` are the same for every attempt at the batch (I3). ``order`` is the definition that its run froze."""

    claim: BatchClaim
    order: RunDefinition
    table: Table
    files: tuple[FileVersion, ...]

    @property
    def destination(self) -> str:
        """The table, as SQL writes it; also the name of its lane."""
        return self.order.definition.destination.identifier
