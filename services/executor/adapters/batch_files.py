"""The files of a batch, as they are read: what is known of them before, and which of them cannot be read at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pyspark.sql.connect import functions as F

from libs.common.contracts.definition import Compression
from libs.common.ledger.model.columns import Evidence
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct
from services.executor.adapters.describing.formats import Knowledge
from services.executor.adapters.examples import examples_in
from services.executor.adapters.folders import Folders
from services.executor.adapters.reading.origin import Origin
from services.executor.adapters.reading.reader import Reader
from services.executor.adapters.spark_errors import file_not_whole, file_read_in_silence
from services.executor.adapters.table_session import TableSession
from services.executor.ports import FilesUnreadable

T = TypeVar("T")

_CHECKED_MAX = 200
"""Files that are read one by one after one of them turned out broken."""
_LOOKS = 2
"""At a file that breaks the work each time without a word, before it is blamed."""


class BatchFiles:
    """``origin`` and ``reader`` are for work that is done in ``reading``. The other methods are ``ports.Table``'s.

    A file that is not what its name says is noticed only when it makes trouble, or looks empty: then it is looked at,
    and the work is done once more, with what is known now.
    """

    def __init__(
        self,
        on: TableSession,
        reader: Reader,
        knowledge: Knowledge,
        compression: Compression | None = None,
        folders: Folders | None = None,
    ) -> None:
        self._on = on
        self._knowledge = knowledge
        self._folders = folders
        self.reader = reader
        self.origin = Origin(on.spark, on.session.scheme, knowledge.known, compression)

    async def infer(self, files: Sequence[FileVersion]) -> Struct:
        def work() -> Struct:
            return self.reader.infer(self.origin, files)

        def none_if_found(found: Struct) -> Sequence[FileVersion]:
            return () if found.fields else files

        return await self.reading(files, work, none_if_found, none_if_found)

    async def examples(
        self, files: Sequence[FileVersion], schema: Struct, paths: Sequence[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], Evidence]:
        def work() -> Mapping[tuple[str, ...], Evidence]:
            records = self.reader.numbered(self.origin, files, schema)
            return examples_in(records, schema, paths)

        return await self.reading(files, work)

    async def misfits(self, files: Sequence[FileVersion], schema: Struct) -> Mapping[str, int]:
        def work() -> Mapping[str, int]:
            records = self.reader.numbered(self.origin, files, schema)
            counted = records.select(F.explode("misfits").alias("column")).groupBy("column").count().collect()
            return {row["column"]: row["count"] for row in counted}

        return await self.reading(files, work)

    async def first_bad_line(self, file: FileVersion, schema: Struct) -> int | None:
        def work() -> int | None:
            with self.origin.whole_files():
                records = self.reader.numbered(self.origin, [file], schema)
                first = records.where("bad").agg(F.min("line").alias("line")).collect()
            return None if first[0]["line"] is None else int(first[0]["line"])

        return await self.reading([file], work)

    async def reading(
        self,
        files: Sequence[FileVersion],
        work: Callable[[], T],
        doubtful: Callable[[T], Sequence[FileVersion]] = lambda _: (),
        unread: Callable[[T], Sequence[FileVersion]] = lambda _: (),
    ) -> T:
        """The result of work that reads these files. ``doubtful`` are those that look, by the result, as if they may
        be something else than their names say; ``unread`` those of which nothing was seen.

        Raises:
            SourceChanged: a file is gone, or is being replaced.
            FilesUnreadable: these can never be read; the others can.
            Temporary, Permanent: as ``TableSession.run``.
        """
        folder = await self._folders.filled_by(files) if self._folders else None
        found = await self._read(files, work, folder)
        if folder is not None and unread(found):
            found = await self._read(files, work)  # under its own path, a file is read or missed aloud
        return await self._read(files, work) if await self._knowledge.doubt(doubtful(found)) else found

    async def _read(self, files: Sequence[FileVersion], work: Callable[[], T], folder: str | None = None) -> T:
        await self._knowledge.gather(files)
        paths = self.origin
        self.origin = replace(paths, folder=folder)
        try:
            return await self._on.session.run(work)
        except Exception as e:
            self.origin = paths
            broken = file_not_whole(e) or await self._broken_in_silence(e, files)
            first = self._seen_as(broken[0], files) if broken else None
            if broken is None or first is None:
                raise self._on.translated(e) from e
            alike = [f for f in files if f is not first and _suffix(f) == _suffix(first)][:_CHECKED_MAX]
            if await self._knowledge.doubt([first, *alike]):
                return await self._read(files, work)
            others = await self._on.run(lambda: self._broken_among(alike))
            raise FilesUnreadable({first.digest: broken[1], **others}) from e
        finally:
            self.origin = paths

    async def _broken_in_silence(self, error: Exception, files: Sequence[FileVersion]) -> tuple[str, str] | None:
        """As ``file_not_whole``, of an error that does not tell."""
        path = file_read_in_silence(error)
        file = self._seen_as(path, files) if path else None
        if path is None or file is None:
            return None
        fault = await self._on.run(lambda: self._fault_of(file))
        return (path, fault) if fault else None

    def _seen_as(self, path: str, files: Sequence[FileVersion]) -> FileVersion | None:
        return next((f for f in files if self.origin.seen(f) == path), None)

    def _broken_among(self, files: Sequence[FileVersion]) -> dict[bytes, str]:
        """Reads files one by one, so that all the broken ones of a batch are named at once."""
        faults = ((f.digest, self._fault_of(f)) for f in files)
        return {digest: fault for digest, fault in faults if fault}

    def _fault_of(self, file: FileVersion) -> str | None:
        """Why this file can never be read; None: it can, or whatever is wrong with it shows in the next attempt."""
        for _ in range(_LOOKS):
            try:
                self.reader.check(self.origin, file)
                return None
            except Exception as e:  # noqa: BLE001 - as the docstring says
                if (told := file_not_whole(e)) is not None:
                    return told[1]
                if file_read_in_silence(e) is None:
                    return None
        return "its bytes cannot be decoded"


def _suffix(file: FileVersion) -> str:
    return file.key.rsplit(".", 1)[-1]
