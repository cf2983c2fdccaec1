"""Kafka: one KRaft node that is broker and controller."""

import base64
import uuid
from pathlib import Path

from devstack.commands import Say, run
from devstack.environment import base_environment
from devstack.fetch.jars import fetch_jars
from devstack.health import HOST, kafka_answers
from devstack.java import find_java
from devstack.part import Launch, Part, Port
from devstack.pins import pins
from devstack.places import DEPLOY
from devstack.settings import PREFIX, DevSettings

# A small broker that starts often: the quick compiler and the small collector cost less than they save.
JAVA_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Djava.awt.headless=true")


def kafka(settings: DevSettings) -> Part:
    """The part."""
    home = settings.state / "kafka"
    properties = home / "server.properties"

    async def java(main: str, *arguments: str | Path, heap: str = "256m") -> tuple[str | Path, ...]:
        jars = await fetch_jars(pins().kafka_jars, settings.cache, lambda _: None)
        logging = f"-Dlog4j2.configurationFile={DEPLOY / 'kafka-log4j2.properties'}"
        return (
            await find_java(pins().java_minimum),
            f"-Xmx{heap}",
            *JAVA_FLAGS,
            logging,
            "-cp",
            f"{jars}/*",
            main,
            *arguments,
        )

    async def fetch(say: Say) -> None:
        await fetch_jars(pins().kafka_jars, settings.cache, say)

    async def prepare(say: Say) -> None:
        settings.folder("kafka")
        data = home / "data"
        properties.write_text(server_properties((DEPLOY / "kafka.properties").read_text(), settings, data))
        if (data / "meta.properties").exists():
            return
        say("formatting an empty log")
        format_storage = await java("kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", properties)
        await run("formatting Kafka's log", format_storage, environment=base_environment(), directory=home)

    async def launch() -> Launch:
        command = await java("kafka.Kafka", properties, heap=settings.kafka_memory)
        return Launch(command, base_environment(), home)

    return Part(
        name="kafka",
        version=pins().kafka,
        ports=(
            Port(settings.kafka_port, f"{PREFIX}KAFKA_PORT"),
            Port(settings.kafka_controller_port, f"{PREFIX}KAFKA_CONTROLLER_PORT"),
        ),
        fetch=fetch,
        prepare=prepare,
        launch=launch,
        check=lambda: kafka_answers(settings.kafka_port),
    )


def server_properties(shared: str, settings: DevSettings, data: Path) -> str:
    """The shared file, then this machine's addresses and folder: of two lines for one key, the later one counts."""
    client, controller = f"{HOST}:{settings.kafka_port}", f"{HOST}:{settings.kafka_controller_port}"
    own = {
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{settings.kafka_bootstrap}",
        "log.dirs": str(data),
    }
    return "\n".join([shared, "# Of this machine:", *(f"{key}={value}" for key, value in own.items()), ""])


def new_cluster_id() -> str:
    """A random id in the form that Kafka wants.

    16 bytes, URL-safe base64, no padding, and no dash that looks like an option.
    """
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text
