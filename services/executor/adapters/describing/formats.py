"""What is known of a batch's files beside their names: what those of some formats say of themselves, and what others
turn out to be."""

from collections.abc import Mapping, Sequence

from libs.common.contracts.definition import Format
from libs.common.ledger.model.files import FileVersion
from services.executor.adapters.describing import avro, by_content, csv, orc, parquet
from services.executor.adapters.describing.description import Describe, Description, Parts, described


class Knowledge:
    """``known`` goes by file digest, and grows. ``describe`` is asked before files are read, ``recognise`` when they
    made trouble."""

    def __init__(
        self, parts: Parts | None = None, describe: Describe | None = None, recognise: Describe | None = None
    ) -> None:
        self._known: dict[bytes, Description] = {}
        self._parts = parts
        self._describe = describe
        self._recognise = recognise

    @property
    def known(self) -> Mapping[bytes, Description]:
        return self._known

    async def gather(self, files: Sequence[FileVersion]) -> None:
        """What must be known before these are read. Raises as ``described``."""
        await self._look(self._describe, files)

    async def doubt(self, files: Sequence[FileVersion]) -> bool:
        """Looks again at files that made trouble, once at each: whether one of them is not what its name says, so that
        all should be read anew. Raises as ``described``."""
        found = await self._look(self._recognise, files)
        return any(one.compression is not None for one in found.values())

    async def _look(self, describe: Describe | None, files: Sequence[FileVersion]) -> Mapping[bytes, Description]:
        if describe is None or self._parts is None:
            return {}
        found = await described(describe, self._parts, [f for f in files if f.digest not in self._known])
        self._known |= found
        return found


def knowledge_of(format_: Format, parts: Parts) -> Knowledge:
    """How files of this kind are known."""
    match format_.type:
        case "avro":
            return Knowledge(parts, describe=avro.describe)
        case "csv":
            return Knowledge(parts, describe=csv.describe(format_.options))
        case "orc":
            return Knowledge(parts, describe=orc.describe)
        case "parquet":
            return Knowledge(parts, describe=parquet.describe)
        case "json" | "text" if format_.options.compression is None:
            return Knowledge(parts, recognise=by_content.recognise)
        case _:
            return Knowledge()
