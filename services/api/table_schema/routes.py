"""``/ingestions/{id}/schema``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from services.api import pages
from services.api.caller import Caller
from services.api.docs import OnceHeader, PageQuery, errors_for, listed
from services.api.table_schema.handlers import Schemas
from services.api.table_schema.schemas import ColumnsIn, RollbackIn, RollbackOut, SchemaOut, SchemaVersionOut

VersionPath = Annotated[int, Path(ge=1, le=2**31 - 1, description="The number of a version.")]


def router(schemas: Schemas, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions/{ingestion_id}/schema", tags=["schema"])

    @routes.get(
        "",
        summary="The columns of the table",
        description="As the last batch that changed them left them, and what becomes of fields that they lack.",
        responses=errors_for(404, 422),
    )
    async def get_schema(ingestion_id: UUID) -> SchemaOut:
        return await schemas.current(caller, ingestion_id)

    @routes.get(
        "/versions",
        summary="How the columns came to be, newest first",
        description="Each version of the table's current generation: what changed, in which run, and which file asked "
        "for it, with a value.",
        responses=listed(404, 422),
    )
    async def list_schema_versions(
        ingestion_id: UUID, request: Request, response: Response, page: PageQuery
    ) -> list[SchemaVersionOut]:
        shown, total = await schemas.versions(caller, ingestion_id, page)
        pages.announce(response, request, page, total)
        return shown

    @routes.get(
        "/versions/{version}",
        summary="One version of the columns",
        description="Its columns, and what changed against the version before.",
        responses=errors_for(404, 422),
    )
    async def get_schema_version(ingestion_id: UUID, version: VersionPath) -> SchemaVersionOut:
        return await schemas.version(caller, ingestion_id, version)

    @routes.post(
        "/approve",
        response_model=SchemaOut,
        summary="Let fields become columns",
        description="From the next batch on. Files that waited for the decision are loaded by the next run. Without "
        "`columns`: all that wait. A rejected field may be approved later.",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def approve_columns(ingestion_id: UUID, asked: ColumnsIn, once: OnceHeader) -> Response:
        return (await schemas.decide(caller, ingestion_id, asked.columns, "approved", once)).response()

    @routes.post(
        "/reject",
        response_model=SchemaOut,
        summary="Keep fields from becoming columns",
        description="From the next batch on, no column takes them: they are left out, or rescued if the table rescues. "
        "Files that waited for the decision are loaded by the next run. A column that the table has already stays, "
        "for what it holds; new rows have a null there.",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def reject_columns(ingestion_id: UUID, asked: ColumnsIn, once: OnceHeader) -> Response:
        return (await schemas.decide(caller, ingestion_id, asked.columns, "rejected", once)).response()

    @routes.post(
        "/rollback",
        response_model=RollbackOut,
        summary="Go back to an earlier version of the columns",
        description="From the next batch on, files fill the columns of that version alone: what was added since is "
        "rejected, and what was rejected since and is in it is approved. Nothing in the table changes.",
        responses=errors_for(400, 404, 413, 422),
    )
    async def roll_back_schema(ingestion_id: UUID, asked: RollbackIn, once: OnceHeader) -> Response:
        return (await schemas.roll_back(caller, ingestion_id, asked.version, once)).response()

    return routes
