"""Peers that hold the data in their own memory: each load in a process of its own, whose greatest size is told.

Their packages are in ``.venv-bench``, which ``make bench`` makes; the product's own environment knows none of them.
"""

import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.measures import Took
from bench.peers.peer import GivenUp, Miscounted
from bench.workloads import Workload

HERE = Path(__file__).parents[2]
PYTHON = HERE / ".venv-bench" / "bin" / "python"


def is_there() -> bool:
    return PYTHON.exists()


def measure_apart(
    peer: str, work: Workload, *, limit_s: float, rows: int | None = None, pause_s: float = 0, **told: str
) -> Took:
    """One load by a peer of ``bench.peers.child``, after a pause. ``told`` goes into its environment.

    What it leaves on disk is gone; what it leaves in the bucket goes with that. Time begins when all is imported.

    Raises:
        GivenUp: it takes longer than ``limit_s``, and was ended; or it failed.
        Miscounted.
    """
    with tempfile.TemporaryDirectory(prefix="autoloader-bench-") as folder:
        try:
            ended = subprocess.run(  # noqa: S603  # our own program, and a name from our own table
                [PYTHON, "-m", "bench.peers.child", peer],
                cwd=HERE,
                env={**os.environ, "PYTHONPATH": str(HERE), "BENCH_FOLDER": folder, **told},
                input=json.dumps({"work": asdict(work), "rows": rows, "pause_s": pause_s}),
                capture_output=True,
                text=True,
                timeout=pause_s + limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as e:
            raise GivenUp(f"not done after {limit_s:.0f} s") from e
    return answer_of(ended.returncode, ended.stdout, ended.stderr)


def draw(results: Path, plot: Path) -> None:
    """The picture of some results. Raises: ``subprocess.CalledProcessError``."""
    subprocess.run([PYTHON, "-m", "bench.plot", results, plot], cwd=HERE, check=True)  # noqa: S603  # our own program


def answer_of(exit_code: int, out: str, err: str) -> Took:
    """What a child found: the last line that it wrote. Others may have written before it.

    Raises:
        GivenUp, Miscounted: as the child says.
    """
    lines = out.strip().splitlines()
    if exit_code == 0 and lines:
        return Took.model_validate_json(lines[-1])
    last = (err.strip().splitlines() or ["it said nothing"])[-1]
    if exit_code == MISCOUNTED:
        raise Miscounted(last)
    raise GivenUp(f"it ended with {exit_code}: {last}")


MISCOUNTED = 3
"""With which a child ends that loaded other rows than there are."""
