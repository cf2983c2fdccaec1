"""How S3 is listed: a page at a time, or in stretches and by several requests.

Pages are read by our own reader (``listing_page``); requests, retries and refusals stay botocore's.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import pairwise, repeat, takewhile
from typing import Any

from botocore.handlers import decode_list_object_v2
from botocore.parsers import create_parser

from libs.common.errors import AutoloaderError, Temporary
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.listing_page import CLOSE, Apart, entries, last_of, objects_up_to, taken_apart
from libs.common.objects.s3_errors import BOTOCORES
from libs.common.objects.side_by_side import Part, Place
from libs.common.objects.stretches import Cutter, Stretch, fingerprint_of

_BEFORE_BOTOCORES = "before-parse.*.ListObjectsV2"
"""With this star our handler comes before those of ``before-parse.s3.*``: one of them parses every answer as a whole to
see whether it is an error."""
_DIRECTORY_BUCKET = "--x-s3"
"""Names of buckets end so that promise no order: S3 Express One Zone."""
_PLACE_KEYS = 1000
_APART = "Autoloader.Apart"
"""Where an answer has the objects that botocore has not read."""


def read_pages_ourselves(client: Any) -> None:
    """From now on the client's answers to listings have their objects apart."""
    client.meta.events.register(_BEFORE_BOTOCORES, _take_apart)


class S3Listing:
    """What lies in a bucket. ``opened`` gives the client; inside of ``translated``, botocore's errors are ours.

    A ``Parted[Stretch]``.
    """

    def __init__(
        self,
        opened: Callable[[], Awaitable[Any]],
        translated: Callable[[], AbstractContextManager[None]],
        bucket: str,
        page_keys: int = 1000,
    ) -> None:
        self._opened = opened
        self._translated = translated
        self._bucket = bucket
        self._page_keys = page_keys

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[FileVersion]]:
        """All below a prefix, in key order. Raises as ``ObjectStore``."""
        async for client, answer in self._answers(prefix, self._page_keys):
            with self._translated():
                page = page_of(client, self._bucket, answer)
            yield page

    async def walk(self, part: Part) -> AsyncGenerator[Sequence[Stretch], None]:
        """See ``Parted``. Raises as ``ObjectStore``."""
        cutter, read = Cutter(), _nothing

        def stretch(told: bytes) -> Stretch:
            return Stretch(fingerprint_of(told), partial(read, told))

        try:
            async for client, answer in self._answers(part.prefix, self._page_keys):
                with self._translated():
                    if (apart := answer.get(_APART)) is not None:
                        read = partial(self._objects, client, apart)
                        told, is_left = _taken(part, apart.objects, read)
                        stretches = [*map(stretch, cutter.add(told))]
                    else:
                        page = page_of(client, self._bucket, answer)
                        within = _counted(part, page)
                        is_left = len(within) < len(page)
                        stretches = [*map(stretch, cutter.rest())]
                        stretches += [Stretch(None, partial(tuple, within))] if within else []
                yield stretches
                if is_left or part.is_over:
                    break
        except AutoloaderError:
            yield [*map(stretch, cutter.rest())]  # what the store has told already is not lost
            raise
        yield [*map(stretch, cutter.rest())]

    async def look(self, prefix: str, after: str) -> Place[Stretch] | None:
        """See ``Parted``."""
        place = await self.place(prefix, answers_max=1, page_keys=_PLACE_KEYS)
        if place is None:
            return None
        beside = [f for f in place.beside if f.key > after]
        return Place(place.folders, [Stretch(None, partial(tuple, beside))] if beside else [])

    async def place(self, prefix: str, *, answers_max: int, page_keys: int) -> Place[FileVersion] | None:
        """What lies right below a prefix, if the store tells it in so many answers, in order; and if it may be asked:
        who may not ask so, may still list."""
        if self._bucket.endswith(_DIRECTORY_BUCKET):
            return None
        folders: list[str] = []
        beside: list[FileVersion] = []
        answers = 0
        try:
            async for client, answer in self._answers(prefix, page_keys, Delimiter="/"):
                answers += 1
                with self._translated():
                    folders += [each["Prefix"] for each in answer.get("CommonPrefixes", ())]
                    beside += page_of(client, self._bucket, answer)
                if answers == answers_max and answer.get("IsTruncated"):
                    return None
        except AutoloaderError:
            return None
        return Place(folders, beside) if _is_place(prefix, folders, [f.key for f in beside]) else None

    async def may_walk(self, prefix: str) -> bool:
        """See ``Parted``. There are policies that allow one prefix only."""
        try:
            await (await self._opened()).list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
        except BOTOCORES:
            return False
        return True

    async def _answers(self, prefix: str, page_keys: int, **more: str) -> AsyncIterator[tuple[Any, Any]]:
        """The pages of a listing as the store sends them, with the client that asked."""
        with self._translated():
            client = await self._opened()
        token: dict[str, str] | None = {}
        while token is not None:
            with self._translated():
                answer = await client.list_objects_v2(
                    Bucket=self._bucket, Prefix=prefix, MaxKeys=page_keys, **token, **more
                )
                token = _following(answer, token)
            yield client, answer

    def _objects(self, client: Any, apart: Apart, told: bytes) -> Sequence[FileVersion]:
        """Some objects, told as in the page ``apart``."""
        with self._translated():
            return _read(client, self._bucket, apart, told)


def page_of(client: Any, bucket: str, answer: Any) -> Sequence[FileVersion]:
    """The objects of one answer. A listing may end with a page that has no Contents at all (MinIO).

    Raises:
        KeyError: this is no listing; some other program answered with some other XML.
    """
    apart: Apart | None = answer.get(_APART)
    if apart is not None:
        return _read(client, bucket, apart, apart.objects)
    if "Contents" not in answer and "IsTruncated" not in answer and "KeyCount" not in answer:
        raise KeyError("IsTruncated")
    # XML cannot carry every key, so botocore asks for EncodingType=url by itself and undoes it. Asking for it in the
    # call would mean: I undo it myself.
    return [
        FileVersion(bucket, entry["Key"], bare_etag(entry["ETag"]), entry["Size"], entry["LastModified"])
        for entry in answer.get("Contents", ())
    ]


def _read(client: Any, bucket: str, apart: Apart, objects: bytes) -> Sequence[FileVersion]:
    """Objects that were taken out of a page: by our own reader, or, what is not written as it expects, by botocore."""
    if (read := entries(objects)) is not None:
        return [*map(FileVersion, repeat(bucket), *read)]
    model = client.meta.service_model
    response = {"status_code": 200, "headers": {}, "body": apart.with_(objects)}
    answer = create_parser(model.protocol).parse(response, model.operation_model("ListObjectsV2").output_shape)
    decode_list_object_v2(answer, {"encoding_type_auto_set": True})
    return page_of(client, bucket, answer)


def _following(answer: Any, token: dict[str, str]) -> dict[str, str] | None:
    """What asks for the page after this one; None after the last.

    Raises:
        KeyError: there should be one, but the store does not say which, or says the same one again.
    """
    if not answer.get("IsTruncated"):
        return None
    following = {"ContinuationToken": str(answer["NextContinuationToken"])}
    if following == token:
        raise KeyError("NextContinuationToken")
    return following


def bare_etag(raw: str) -> str:
    """Some servers leave out the quotes of an ETag."""
    return raw.strip('"')


def _taken(part: Part, told: bytes, read: Callable[[bytes], Sequence[FileVersion]]) -> tuple[bytes, bool]:
    """Those of a page's objects that the part has, and whether others came behind them."""
    last = read(last_of(told))[-1].key
    if part.has(last):
        part.go_on(last, told.count(CLOSE))
        return told, False
    return objects_up_to(told, len(_counted(part, read(told)))), True


def _counted(part: Part, page: Sequence[FileVersion]) -> Sequence[FileVersion]:
    """Those of a page's objects that the part has.

    Raises:
        Temporary: code ``storage_unreachable``: some of the others lie between them.
    """
    within = [*takewhile(lambda f: part.has(f.key), page)]
    if any(part.has(f.key) for f in page[len(within) :]):
        raise Temporary(
            f"{page[0].bucket} is not listed in the order of its keys, so that no part of it can be listed by itself",
            code="storage_unreachable",
            hint="set AUTOLOADER_LIST_REQUESTS_AT_ONCE to 1",
        )
    if within:
        part.go_on(within[-1].key, len(within))
    return within


def _is_place(prefix: str, folders: Sequence[str], keys: Sequence[str]) -> bool:
    """Whether an answer tells what lies right below a prefix as S3 does: in order, each folder once, and nothing that
    lies deeper. There are stores that sort by other rules, and decoders that leave a mark in the place of a byte."""
    inner = [f.removeprefix(prefix) for f in folders]
    return (
        all(f.startswith(prefix) and "\ufffd" not in f for f in folders)
        and all(name.endswith("/") and name.count("/") == 1 for name in inner)
        and all("/" not in key.removeprefix(prefix) for key in keys)
        and all(a < b for names in (folders, keys) for a, b in pairwise(names))
    )


def _take_apart(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Takes the objects out of a page before botocore parses it, and adds them to its answer. Retries, refusals and
    tokens stay botocore's, and so does a page that is not written as expected."""
    if response_dict["status_code"] == 200 and (apart := taken_apart(response_dict["body"])) is not None:
        response_dict["body"], customized_response_dict[_APART] = apart.rest, apart


def _nothing(_: bytes) -> Sequence[FileVersion]:
    return ()
