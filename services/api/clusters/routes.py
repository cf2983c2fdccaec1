"""``/clusters``."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.api import pages
from services.api.caller import Caller
from services.api.clusters.handlers import ConnectionTests
from services.api.clusters.registry import Clusters
from services.api.clusters.schemas import ClusterOut, ConnectionTestOut
from services.api.docs import OnceHeader, PageQuery, errors_for, listed


def router(clusters: Clusters, tests: ConnectionTests, caller: Caller) -> APIRouter:
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

    @routes.post(
        "/{cluster_id}/test-connection",
        response_model=ConnectionTestOut,
        summary="Test the connection to a cluster",
        description="An executor opens a session, runs a tiny statement and tries each catalog. The answer waits for "
        "its word, bounded by a setting; 202 and `pending` when there is none by then.",
        responses={
            202: {"model": ConnectionTestOut, "description": "Pending: ask again at `Location`."},
            **errors_for(404, 413, 422),
        },
    )
    async def test_connection(cluster_id: str, once: OnceHeader) -> Response:
        answer = await tests.request(caller, cluster_id, once)
        address = answer.body["ask_again"]
        return answer.response({"Location": address} if address else None)

    @routes.get(
        "/{cluster_id}/connection-tests/{test_id}",
        summary="One connection test",
        description="`report` is there when the cluster answered, `problem` when it did not.",
        responses=errors_for(404, 422),
    )
    async def get_connection_test(cluster_id: str, test_id: UUID) -> ConnectionTestOut:
        return await tests.get(caller, cluster_id, test_id)

    return routes
