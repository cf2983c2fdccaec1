"""``python -m services.api``."""

import sys

from libs.common.entrypoint import main
from services.api.app import build_service
from services.api.settings import ApiSettings

if __name__ == "__main__":
    sys.exit(main("api", ApiSettings, build_service))
