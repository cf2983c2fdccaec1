"""``python -m tests.faults.negative``: the executor as it must not be, to show that the fault suite sees it.

Everything is the real service, but its table publishes by a plain append of the staged rows instead of a cherry-pick.
"""

import sys

from libs.common.entrypoint import main
from services.executor import app
from services.executor.settings import ExecutorSettings
from tests.faults.negative.tables import AppendingTables

if __name__ == "__main__":
    app.SparkTables = AppendingTables  # type: ignore[attr-defined]
    sys.exit(main("executor", ExecutorSettings, app.build_service))
