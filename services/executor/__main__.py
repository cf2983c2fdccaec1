"""``python -m services.executor``."""

import sys

from libs.common.entrypoint import main
from services.executor.app import build_service
from services.executor.settings import ExecutorSettings

if __name__ == "__main__":
    sys.exit(main("executor", ExecutorSettings, build_service))
