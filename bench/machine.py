"""On what it was measured. A ratio means little on a machine that nobody knows."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from pyspark.sql.connect.session import SparkSession

from bench.results import Machine


def describe(spark: SparkSession) -> Machine:
    def java(name: str) -> str:
        [row] = spark.sql(f"SELECT reflect('java.lang.System', 'getProperty', '{name}')").collect()
        return str(row[0])

    return Machine(
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        processor=_processor(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        java=java("java.version"),
        spark=f"{spark.version}, client {version('pyspark')}",
        spark_master=str(spark.conf.get("spark.master", "?")),
        # So HotSpot calls itself when it is told to compile quickly and never well.
        spark_compiles_fully="emulated-client" not in java("java.vm.info"),
        load_average=round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
        commit=_commit(),
    )


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    names = [line for line in told.read_text().splitlines() if line.startswith("model name")] if told.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor()


def _commit() -> str:
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()
