"""Clusters come from the settings, and tell no token."""

import pytest

from libs.common.errors import Invalid, NotFound
from services.api.clusters.registry import Clusters

CLUSTERS = Clusters({"local": "sc://localhost:15002", "big": "sc://spark.internal:443/;use_ssl=true;token=topsecret"})


def test_a_token_in_the_url_is_not_shown() -> None:
    """Spark Connect URLs carry tokens as parameters."""
    assert CLUSTERS.url_of("big") == "sc://spark.internal:443"


def test_an_unknown_cluster_is_refused_with_the_known_ones() -> None:
    """422 in a body, 404 in a path."""
    with pytest.raises(Invalid) as invalid:
        CLUSTERS.url_of("nowhere")
    with pytest.raises(NotFound) as missing:
        CLUSTERS.get("nowhere")
    for error in (invalid.value, missing.value):
        assert error.code == "unknown_cluster"
        assert "nowhere" in error.message
        assert "big, local" in error.hint
