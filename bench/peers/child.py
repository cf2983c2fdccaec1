"""The process of one load by one peer, in ``.venv-bench``. What is asked comes in as JSON, what was measured goes out.

python -m bench.peers.child polars < asked.json
"""

import importlib
import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.peers.apart import MISCOUNTED
from bench.peers.peer import Miscounted, Peer, measure
from bench.workloads import Workload

PEERS: Mapping[str, tuple[str, str]] = {
    "polars": ("bench.peers.pyiceberg_script", "Polars"),
    "pyarrow": ("bench.peers.pyiceberg_script", "PyArrow"),
    "dlt": ("bench.peers.dlt_pipeline", "Dlt"),
    "dlt-known": ("bench.peers.dlt_pipeline", "DltKnown"),
    "list-boto3": ("bench.peers.listings", "Boto3"),
    "list-aioboto3": ("bench.peers.listings", "Aioboto3"),
    "list-obstore": ("bench.peers.listings", "Obstore"),
    "fill": ("bench.peers.listings", "Fill"),
}
"""Module and class. Only the one that is asked for is imported."""


def main() -> int:
    module, name = PEERS[sys.argv[1]]
    peer: Peer = getattr(importlib.import_module(module), name)()
    try:
        asked = json.load(sys.stdin)
        took = measure(peer, Workload(**asked["work"]), rows=asked["rows"], pause_s=asked["pause_s"])
    except Miscounted as e:
        print(e, file=sys.stderr)
        return MISCOUNTED
    print(took.model_copy(update={"peak_rss_bytes": _peak_rss_bytes()}).model_dump_json())
    return 0


def _peak_rss_bytes() -> int:
    """Linux keeps it for the program alone; elsewhere that of whoever started it may be in it."""
    status = Path("/proc/self/status")
    if status.exists():
        [kib] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(kib) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
