"""Looks whether a batch fills a folder, so that Spark can read it as one (``domain.folders``)."""

from collections.abc import Sequence

from libs.common.contracts.definition import Credentials
from libs.common.errors import AutoloaderError
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.ports import ObjectStore
from services.executor.domain.folders import folder_of, strangers_max


class Folders:
    """The folders of one source."""

    def __init__(self, objects: ObjectStore, credentials: Credentials | None) -> None:
        self._objects = objects
        self._credentials = credentials

    async def filled_by(self, files: Sequence[FileVersion]) -> str | None:
        """The prefix of the folder that these files fill; None: they are to be read path by path. Lists no more than it
        takes to know, and raises nothing: whoever may not list the folder can still read its files."""
        if (folder := folder_of(files)) is None:
            return None
        batch, strangers = {f.key for f in files}, 0
        try:
            async for page in self._objects.pages(files[0].bucket, folder, self._credentials):
                strangers += sum(f.key not in batch for f in page)
                if strangers > strangers_max(len(files)):
                    return None
        except AutoloaderError:
            return None
        return folder
