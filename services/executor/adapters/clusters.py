"""The clusters that an executor knows: cluster ids, and the Spark Connect URLs that they stand for."""

from collections.abc import Mapping

from libs.common.errors import Permanent


def url_of(cluster_id: str, clusters: Mapping[str, str]) -> str:
    """Where the cluster is.

    Raises:
        Permanent: ``unknown_cluster``.
    """
    url = clusters.get(cluster_id)
    if url is None:
        raise Permanent(
            f"this executor knows no cluster {cluster_id!r}",
            code="unknown_cluster",
            hint=f"known clusters: {', '.join(sorted(clusters))}; set AUTOLOADER_CLUSTERS",
        )
    return url
