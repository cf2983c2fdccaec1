"""Spark Connect with Iceberg: the server inside the pyspark wheel, started as plain `java`."""

from pathlib import Path

from devstack.commands import Say
from devstack.environment import base_environment
from devstack.fetch.jars import fetch_jars
from devstack.health import HOST, grpc_answers
from devstack.java import find_java
from devstack.part import Launch, Part, Port
from devstack.pins import pins
from devstack.places import DEPLOY
from devstack.settings import CATALOG_DATABASE, PREFIX, DevSettings
from devstack.wheels import require_wheel

CATALOGS = ("lake", "test_catalog")

# What Spark's launcher would add. The launcher itself is not used: it asks for a module that small Java runtimes lack.
OPENED_PACKAGES = (
    "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util",
    "java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch", "sun.nio.cs", "sun.security.action",
    "sun.util.calendar",
)  # fmt: skip


def spark(settings: DevSettings) -> Part:
    """The part."""

    async def fetch(say: Say) -> None:
        await fetch_jars(pins().spark_jars, settings.cache, say)

    async def launch() -> Launch:
        home = require_wheel("pyspark")
        jars = await fetch_jars(pins().spark_jars, settings.cache, lambda _: None)
        java = await find_java(pins().java_minimum)
        work = settings.folder("spark")
        scratch = settings.folder("spark/scratch")
        confs = [item for key, value in overrides(settings, work).items() for item in ("--conf", f"{key}={value}")]
        command: tuple[str | Path, ...] = (
            java, *java_flags(settings.spark_memory, scratch, peak=settings.spark_peak),
            "-cp", f"{home}/jars/*:{jars}/*",
            "org.apache.spark.deploy.SparkSubmit", "--master", "local[*]",
            "--properties-file", DEPLOY / "spark-defaults.conf", *confs,
            "--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal",
        )  # fmt: skip
        environment = {**base_environment(), "SPARK_HOME": str(home), "SPARK_LOCAL_IP": HOST}
        return Launch(command, environment, work)

    return Part(
        name="spark",
        version=pins().spark,
        ports=(
            Port(settings.spark_port, f"{PREFIX}SPARK_PORT"),
            Port(settings.spark_ui_port, f"{PREFIX}SPARK_UI_PORT"),
        ),
        needs=("postgres", "minio"),
        fetch=fetch,
        launch=launch,
        check=lambda: grpc_answers(settings.spark_port),
    )


def java_flags(heap: str, scratch: Path, *, peak: bool) -> list[str]:
    """The JVM's own flags; ``peak``: for the speed of a server that has run for long."""
    opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED_PACKAGES]
    return [
        f"-Xmx{heap}",
        # Each plan is compiled anew, and runs for a second: not long enough to be worth the second compiler.
        *([] if peak else ["-XX:TieredStopAtLevel=1"]),
        "-XX:ReservedCodeCacheSize=512m",  # the first compiler alone gets 48, fills them, and compiles all over again
        "-Xss8m",  # JSON 500 objects deep, and the server is gone: Spark gives up at an overflow of a task's stack
        "-XX:+UseParallelGC",  # throughput on few cores; nobody waits for this server's pauses
        "-XX:+ExitOnOutOfMemoryError",  # a server that lost its memory must not look alive
        f"-Djava.io.tmpdir={scratch}",
        f"-Dlog4j2.configurationFile={DEPLOY / 'spark-log4j2.properties'}",
        "-Djava.awt.headless=true",
        "-Duser.timezone=UTC",  # in local mode, the driver's flags in spark-defaults.conf come too late
        "-Dio.netty.tryReflectionSetAccessible=true",
        *opens,
    ]


def overrides(settings: DevSettings, work: Path) -> dict[str, str]:
    """What this machine changes in deploy/spark-defaults.conf: addresses, and folders outside the clone."""
    result = {
        "spark.connect.grpc.binding.address": HOST,
        "spark.connect.grpc.binding.port": str(settings.spark_port),
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.ui.port": str(settings.spark_ui_port),
        "spark.local.dir": str(work / "scratch"),
        "spark.sql.warehouse.dir": str(work / "warehouse"),
        "spark.hadoop.fs.s3a.endpoint": settings.s3_url,
        "spark.hadoop.fs.s3a.buffer.dir": str(work / "scratch"),
    }
    for catalog in CATALOGS:
        prefix = f"spark.sql.catalog.{catalog}"
        result[f"{prefix}.uri"] = f"jdbc:postgresql://localhost:{settings.postgres_port}/{CATALOG_DATABASE}"
        result[f"{prefix}.s3.endpoint"] = settings.s3_url
    return result
