"""Where things lie, who may reach them, and what processes are told."""

import base64
import json
from pathlib import Path

import pytest

from devstack.environment import base_environment, client_environment, secret_key, service_environment
from devstack.logs import tail
from devstack.parts.kafka import new_cluster_id, server_properties
from devstack.places import cache_dir, state_dir
from devstack.settings import DevSettings
from devstack.users import User, first_closed_folder


def test_a_user_keeps_things_at_home_and_root_where_others_can_enter() -> None:
    """Postgres started by root runs as somebody who cannot enter root's home."""
    assert cache_dir({"XDG_CACHE_HOME": "/home/ann/c"}, is_root=False) == Path("/home/ann/c/autoloader")
    assert state_dir({"XDG_STATE_HOME": "/home/ann/s"}, is_root=False) == Path("/home/ann/s/autoloader")
    assert cache_dir({"XDG_CACHE_HOME": "/root/c"}, is_root=True) == Path("/var/cache/autoloader")
    assert state_dir({}, is_root=True) == Path("/var/lib/autoloader")


@pytest.mark.parametrize("is_root", [True, False])
def test_a_chosen_folder_is_taken(*, is_root: bool) -> None:
    """Whoever asks."""
    chosen = {"AUTOLOADER_CACHE_DIR": "/c", "AUTOLOADER_DEV_STATE_DIR": "/s"}
    assert (cache_dir(chosen, is_root=is_root), state_dir(chosen, is_root=is_root)) == (Path("/c"), Path("/s"))


def test_the_folder_that_keeps_a_user_out_is_named(tmp_path: Path) -> None:
    """So that the error can say which one to open."""
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == tmp_path.stat().st_uid and folder.is_relative_to(tmp_path):
            folder.chmod(0o755)
    (tmp_path / "closed").chmod(0o700)
    stranger = User("stranger", 4_000_000, 4_000_000)
    owner = User("owner", tmp_path.stat().st_uid, 4_000_000)
    assert first_closed_folder(inner, stranger) is not None
    assert first_closed_folder(Path("/"), stranger) is None
    (tmp_path / "closed").chmod(0o755)
    assert first_closed_folder(inner, owner) != tmp_path / "closed"


def test_foreign_servers_inherit_almost_nothing() -> None:
    """Cloud credentials, proxies and certificate settings of the caller are not theirs to see."""
    caller = {"PATH": "/bin", "HOME": "/h", "AWS_SECRET_ACCESS_KEY": "s", "https_proxy": "p", "AWS_CA_BUNDLE": "b"}
    assert base_environment(caller) == {"PATH": "/bin", "HOME": "/h"}


def test_services_are_told_where_this_stack_is(tmp_path: Path) -> None:
    """Also when it is not at its usual ports."""
    told = service_environment(DevSettings(state=tmp_path, postgres_port=1, kafka_port=2, minio_port=3, spark_port=4))
    assert told["DATABASE_URL"] == "postgresql://test_user:test_password@localhost:1/autoloader_test"
    assert told["AUTOLOADER_KAFKA_BOOTSTRAP"] == "localhost:2"
    assert told["AUTOLOADER_S3_ENDPOINT_URL"] == "http://localhost:3"
    assert json.loads(told["AUTOLOADER_CLUSTERS"]) == {
        "test-cluster-001": "sc://localhost:4",
        "local": "sc://localhost:4",
    }


def test_tests_find_the_names_of_the_test_environment(tmp_path: Path) -> None:
    """Beside everything that the services are told."""
    settings = DevSettings.model_construct(state=tmp_path)  # without this machine's variables
    told = client_environment(settings)
    assert told["TEST_SPARK_CONNECT_URL"] == "sc://localhost:15002"
    assert told["TEST_MINIO_ENDPOINT"] == "http://localhost:9000"
    assert service_environment(settings).items() <= told.items()


def test_the_key_is_made_once_and_kept_to_ourselves(tmp_path: Path) -> None:
    """What one start sealed, the next can open."""
    path = tmp_path / "dev.key"
    key = secret_key(path)
    assert len(base64.b64decode(key)) == 32
    assert secret_key(path) == key
    assert path.stat().st_mode & 0o077 == 0


def test_of_two_lines_for_one_kafka_setting_this_machine_s_is_the_later(tmp_path: Path) -> None:
    """The shared file stays as it is, and its addresses do not count where others were chosen."""
    text = server_properties(
        "listeners=shared\nnode.id=1", DevSettings(state=tmp_path, kafka_port=5, kafka_controller_port=6), tmp_path
    )
    read = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert read["listeners"] == "PLAINTEXT://127.0.0.1:5,CONTROLLER://127.0.0.1:6"
    assert read["advertised.listeners"] == "PLAINTEXT://localhost:5"
    assert read["node.id"] == "1"


def test_a_cluster_id_is_sixteen_random_bytes() -> None:
    """In the alphabet that Kafka wants.

    Without padding, and never with a dash in front, which its tool takes for an option.
    """
    ids = {new_cluster_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(base64.urlsafe_b64decode(each + "==")) for each in ids} == {16}
    assert [each for each in ids if each.startswith("-")] == []


def test_the_end_of_a_log_is_its_last_written_lines(tmp_path: Path) -> None:
    """Blank lines are left out; an empty or missing log says so."""
    log = tmp_path / "part.log"
    assert tail(log, 2) == ["(no log yet)"]
    log.write_text("\n")
    assert tail(log, 2) == ["(nothing was written)"]
    log.write_text("one\ntwo\n\nthree\n")
    assert tail(log, 2) == ["two", "three"]
