"""``python -m services.scanner``."""

import sys

from libs.common.entrypoint import main
from services.scanner.app import build_service
from services.scanner.settings import ScannerSettings

if __name__ == "__main__":
    sys.exit(main("scanner", ScannerSettings, build_service))
