"""The clusters of the settings: ``cluster_id`` to Spark Connect URL."""

import re
from collections.abc import Mapping

from libs.common.errors import Invalid, NotFound

# sc://host:port/;token=…;user_id=… : what follows the host may hold a token.
_PARAMETERS = re.compile(r"/?;.*$")


class Clusters:
    """Which clusters there are. URLs come out without their parameters, which may hold a token."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = {cluster_id: _PARAMETERS.sub("", url) for cluster_id, url in urls.items()}

    def ids(self) -> list[str]:
        return sorted(self._urls)

    def known(self, cluster_id: str) -> str | None:
        """The URL, or None for a cluster that is not in the settings."""
        return self._urls.get(cluster_id)

    def url_of(self, cluster_id: str) -> str:
        """The URL of a cluster that a request names.

        Raises:
            Invalid: code ``unknown_cluster``.
        """
        url = self._urls.get(cluster_id)
        if url is None:
            raise Invalid(f"no cluster is called {cluster_id!r}", code="unknown_cluster", hint=self._hint())
        return url

    def get(self, cluster_id: str) -> str:
        """The URL of a cluster that a path names.

        Raises:
            NotFound: code ``unknown_cluster``.
        """
        url = self._urls.get(cluster_id)
        if url is None:
            raise NotFound(f"no cluster is called {cluster_id!r}", code="unknown_cluster", hint=self._hint())
        return url

    def _hint(self) -> str:
        known = ", ".join(self.ids()) or "none"
        return f"known clusters: {known}; they are set in AUTOLOADER_CLUSTERS"
