"""``/clusters``."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from services.api import pages
from services.api.clusters.registry import Clusters
from services.api.docs import PageQuery, errors_for, listed


class ClusterOut(BaseModel):
    """Where Spark runs. Settings decide (``AUTOLOADER_CLUSTERS``)."""

    id: str = Field(examples=["local"])
    spark_connect_url: str = Field(examples=["sc://localhost:15002"])


def router(clusters: Clusters) -> APIRouter:
    routes = APIRouter(prefix="/clusters", tags=["clusters"])

    @routes.get(
        "",
        summary="List the clusters",
        description="Those that an ingestion's `cluster_id` may name, by name.",
        responses=listed(422),
    )
    async def list_clusters(request: Request, response: Response, page: PageQuery) -> list[ClusterOut]:
        ids = clusters.ids()
        pages.announce(response, request, page, len(ids))
        shown = ids[page.offset : page.offset + page.limit]
        return [ClusterOut(id=cluster_id, spark_connect_url=clusters.get(cluster_id)) for cluster_id in shown]

    @routes.get(
        "/{cluster_id}",
        summary="One cluster",
        description="Its Spark Connect address, without the parameters that may hold a token.",
        responses=errors_for(404, 422),
    )
    async def get_cluster(cluster_id: str) -> ClusterOut:
        return ClusterOut(id=cluster_id, spark_connect_url=clusters.get(cluster_id))

    return routes
