"""Reading the heads of some files: as many as there is time for."""

import asyncio
from collections.abc import Sequence

from libs.common.contracts.definition import Credentials, Definition
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.ports import ObjectStore
from services.api.preview.bounds import Bounds
from services.api.preview.lines import head_of
from services.api.preview.sample import Sample

_READS_AT_ONCE = 8


async def sampled(
    objects: ObjectStore,
    files: Sequence[FileVersion],
    access: Credentials | None,
    bounds: Bounds,
    left_s: float,
    definition: Definition,
) -> Sample:
    """What the heads of these files show: of as many as there is time for. A file that went, or changed, since it was
    listed has nothing to show."""
    sample = Sample.of(definition)
    gate = asyncio.Semaphore(_READS_AT_ONCE)

    async def read(file: FileVersion) -> tuple[FileVersion, bytes | None]:
        async with gate:
            return file, await objects.first_bytes(file, bounds.size_bytes, access)

    reading = [asyncio.create_task(read(file)) for file in files]
    try:
        if reading:
            await asyncio.wait(reading, timeout=left_s, return_when=asyncio.FIRST_EXCEPTION)
        # In the order of their keys, so that the same files show the same.
        for file, body in [task.result() for task in reading if task.done()]:
            # Parsing is work for the processor: in a thread, other requests are answered meanwhile.
            await asyncio.to_thread(_add, sample, file, body, bounds)
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    return sample


def _add(sample: Sample, file: FileVersion, body: bytes | None, bounds: Bounds) -> None:
    if body is None:
        sample.lose(file.key)
        return
    is_all = len(body) >= file.size_bytes
    head = head_of(file.key, body, is_all=is_all, lines_max=bounds.lines, size_bytes_max=bounds.size_bytes)
    sample.add(file.key, head, len(body))
