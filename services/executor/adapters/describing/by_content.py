"""What a file of text is compressed with, where its name lies."""

from libs.common.compression import MARK_BYTES, SNAPPY_FRAMED, found, named
from libs.common.ledger.model.files import FileVersion
from services.executor.adapters.describing.description import Description, NotAsDescribed, Parts


async def recognise(parts: Parts, file: FileVersion) -> Description:
    """See ``description.Describe``. Says nothing of a file that is what its name says."""
    first = await parts.first(file, MARK_BYTES)
    refuse_framed_snappy(first)
    compression = found(file.key, first)
    return Description(compression=None if compression == named(file.key) else compression)


def refuse_framed_snappy(first: bytes) -> None:
    """Raises ``NotAsDescribed`` for what Spark has no codec for."""
    if first.startswith(SNAPPY_FRAMED):
        raise NotAsDescribed(
            "it is compressed with snappy's framing format, for which Spark has no codec; write it as gzip or zstd, "
            "or with Hadoop's snappy"
        )
