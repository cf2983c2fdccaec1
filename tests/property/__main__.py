"""``make property``: the properties over examples that no gate has seen, round after round, until time is up or one
does not hold.

    make property MINUTES=5          a round's seed is in its first line
    make property SEED=17 MINUTES=0  that one round again

Exit code 0 only if every round held.
"""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence

WHERE = ("tests/property", "tests/unit")
SEEDS = 1_000_000_000


def main(options: Sequence[str]) -> int:
    minutes = float(os.environ.get("MINUTES") or 5)
    seed = int(os.environ.get("SEED") or secrets.randbelow(SEEDS))
    ends, rounds = time.monotonic() + minutes * 60, 0
    while True:
        print(f"property: seed {seed}", flush=True)
        if code := explored(seed, options):
            print(f"property: again with make property SEED={seed} MINUTES=0", flush=True)
            return code
        seed, rounds = seed + 1, rounds + 1
        if time.monotonic() >= ends:
            print(f"property: {rounds} rounds, everything held", flush=True)
            return 0


def explored(seed: int, options: Sequence[str]) -> int:
    """pytest's exit code for all properties, over what this seed draws."""
    which = ("-m", "hypothesis", "--hypothesis-profile=explore", f"--hypothesis-seed={seed}")
    return subprocess.run((sys.executable, "-m", "pytest", "-q", *WHERE, *which, *options), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
