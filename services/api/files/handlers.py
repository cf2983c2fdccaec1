"""Looking at files. Nothing is changed."""

import asyncio
from uuid import UUID

from libs.common.contracts.definition import Credentials, Definition
from libs.common.errors import AutoloaderError, Invalid
from libs.common.ledger.model.files import digest_of
from libs.common.ledger.states import FileState
from libs.common.objects.ports import ObjectStore
from libs.common.secrets import SecretBox
from libs.common.storage.definitions import open_credentials
from libs.common.storage.engine import Database
from services.api.caller import Caller
from services.api.files import repository
from services.api.files.schemas import Explanation, FileOut
from services.api.files.verdict import There, judge, while_building
from services.api.ingestions import repository as ingestions
from services.api.pages import Page

STORE_S_MAX = 5.0
"""How long an explanation waits for the store."""

_SCHEME = "s3://"


class Files:
    """The files of all tenants; every call sees those of its caller only."""

    def __init__(
        self, database: Database, secret_box: SecretBox, objects: ObjectStore, *, seconds_max: float = STORE_S_MAX
    ) -> None:
        self._database = database
        self._box = secret_box
        self._objects = objects
        self._seconds_max = seconds_max

    async def page(
        self,
        caller: Caller,
        ingestion_id: UUID,
        page: Page,
        *,
        state: FileState | None,
        prefix: str | None,
        run_id: UUID | None,
    ) -> tuple[list[FileOut], int]:
        """File versions of the table's current generation, newest first, and how many there are.

        Raises:
            NotFound: the ingestion. Invalid: code ``invalid_key``.
        """
        if prefix is not None and "\x00" in prefix:
            raise _no_such_key()
        async with self._database.read() as connection:
            row = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            return await repository.page(
                connection, ingestion_id, row.generation, page, state=state, prefix=prefix, run_id=run_id
            )

    async def explain(self, caller: Caller, ingestion_id: UUID, key: str) -> Explanation:
        """Why ``key`` is in the table or is not. It is a key of the source's bucket, or ``s3://bucket/key``.

        Raises:
            NotFound: the ingestion. Invalid: code ``invalid_key``.
        """
        async with self._database.read() as connection:
            row = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            source, created_at = Definition.model_validate(row.definition).source, row.created_at
            bucket, name = bucket_and_key(key, source.bucket)
            versions = await repository.versions(connection, ingestion_id, row.generation, digest_of(bucket, name))
            sealed = await ingestions.sealed_secret(connection, ingestion_id)
        access = open_credentials(self._box, ingestion_id, sealed)
        # The store is asked about keys of the source only: these credentials are for no other place.
        is_ours = bucket == source.bucket and name.startswith(source.prefix)
        there = await self._there(bucket, name, access) if is_ours else There(None, "it is not the source's")
        found = judge(source, created_at, bucket, name, versions, there)
        if row.building is not None:
            found = while_building(found, versions, row.building)
        return Explanation(
            uri=f"{_SCHEME}{bucket}/{name}",
            verdict=found.verdict,
            evidence=list(found.evidence),
            next_action=found.next_action,
            versions=versions,
        )

    async def _there(self, bucket: str, key: str, access: Credentials | None) -> There:
        try:
            async with asyncio.timeout(self._seconds_max):
                found = (await self._objects.versions(bucket, [key], access))[key]
                return There(None) if found is None else There(found.version_tag, written_at=found.last_modified)
        except TimeoutError:
            return There(None, f"the store did not answer within {self._seconds_max:g} s")
        except AutoloaderError as error:
            return There(None, error.message)


def bucket_and_key(key: str, bucket: str) -> tuple[str, str]:
    """Of a key below ``bucket``, or of ``s3://bucket/key``.

    Raises:
        Invalid: code ``invalid_key``.
    """
    if key.startswith(_SCHEME):
        bucket, _, key = key.removeprefix(_SCHEME).partition("/")
    if not key or not bucket or "\x00" in key:
        raise _no_such_key()
    return bucket, key


def _no_such_key() -> Invalid:
    return Invalid(
        "no object has this key", code="invalid_key", hint="give the key below the bucket, or s3://bucket/key"
    )
