"""``python -m services.api``."""

import sys

from libs.common import logs
from libs.common.errors import AutoloaderError
from libs.common.service import run_service
from libs.common.settings import load
from services.api.app import build_service
from services.api.settings import ApiSettings


def main() -> int:
    """Returns the exit code."""
    try:
        settings = load(ApiSettings)
        logs.configure(settings.log_level, service="api")
        service = build_service(settings)
    except AutoloaderError as error:
        hint = f" ({error.hint})" if error.hint else ""
        print(f"api cannot start: {error.message}{hint}", file=sys.stderr)
        return 2
    return run_service(service)


if __name__ == "__main__":
    sys.exit(main())
