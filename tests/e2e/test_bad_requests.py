"""Definitions that can never work are refused at once, naming the field and the remedy, and nothing is created."""

from typing import Any

import httpx
import pytest

from tests.e2e.helpers import generate_unique_table_name, standard_definition

pytestmark = [pytest.mark.e2e, pytest.mark.requires_minio]


class TestRequestsThatAreRefused:
    """What can be known at once is said at once: 422, and nothing is created."""

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            pytest.param({"destination": {"table": "drop table; --"}}, ["drop table; --"], id="bad table name"),
            pytest.param({"destination": {"database": "a.b"}}, ["a.b", "letters"], id="bad database name"),
            pytest.param({"destination": {"write_mode": "overwrite"}}, ["overwrite", "append"], id="overwrite"),
            pytest.param({"source": {"path": "/data"}}, ["/data", "s3://"], id="not an S3 path"),
            pytest.param({"format": {"type": "xml"}}, ["json"], id="unknown format"),
            pytest.param({"sauce": {}}, ["sauce"], id="unknown field"),
            pytest.param({"source": {"path": "s3://landing//x/"}}, ["source.path", "empty folder"], id="empty folder"),
            pytest.param({"source": {"file_pattern": "/*.json"}}, ["source.file_pattern"], id="hopeless pattern"),
            pytest.param({"format": {"options": {"delimiter": ";"}}}, ["format.options.delimiter"], id="idle option"),
            pytest.param({"schedule": {"timezone": "Mars/Olympus"}}, ["schedule.timezone"], id="unknown time zone"),
        ],
    )
    async def test_a_bad_definition_is_refused(
        self,
        api_client: httpx.AsyncClient,
        minio_config: dict[str, str],
        test_cluster_id: str,
        change: dict[str, Any],
        words: list[str],
    ) -> None:
        """A definition that can never work.

        Success criteria:
        - 422, naming the field or value and what would be right; no credential is echoed
        """
        definition = standard_definition(test_cluster_id, "landing", minio_config, "refused", overrides=change)

        response = await api_client.post("/api/v1/ingestions", json=definition)

        assert response.status_code == 422, response.text
        for word in words:
            assert word in response.text, f"The answer should mention {word!r}: {response.text}"

    async def test_a_table_with_two_writers_is_warned_of(
        self, api_client: httpx.AsyncClient, minio_config: dict[str, str], test_cluster_id: str
    ) -> None:
        """Two ingestions of one folder into one table: allowed, and hardly meant.

        Success criteria:
        - the second is created, and its answer warns and names the first
        """
        name = generate_unique_table_name("shared")
        definition = standard_definition(test_cluster_id, "landing", minio_config, name)
        first = await api_client.post("/api/v1/ingestions", json=definition)

        second = await api_client.post("/api/v1/ingestions", json=definition)

        assert (first.json()["warnings"], second.status_code) == ([], 201)
        [warning] = second.json()["warnings"]
        assert first.json()["id"] in warning

    async def test_unknown_cluster(
        self, api_client: httpx.AsyncClient, minio_config: dict[str, str], test_cluster_id: str
    ) -> None:
        """A cluster that the settings do not have.

        Success criteria:
        - 422 that names the asked cluster and the known ones
        """
        definition = standard_definition("no-such-cluster", "landing", minio_config, "refused")

        response = await api_client.post("/api/v1/ingestions", json=definition)

        assert response.status_code == 422, response.text
        assert "no-such-cluster" in response.text
        assert test_cluster_id in response.text
