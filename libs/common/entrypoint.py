"""What every ``__main__`` does: read the settings, set up the logs, build the service, run it."""

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import TypeVar

from libs.common import logs
from libs.common.errors import AutoloaderError
from libs.common.service import Service, run_service
from libs.common.settings import CommonSettings, load

S = TypeVar("S", bound=CommonSettings)

EXIT_BAD_SETTINGS = 2


def main(
    name: str,
    settings_type: type[S],
    build: Callable[[S], Service],
    *,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Runs a service until it is told to stop. Returns the exit code: 2 when its settings cannot be used, and then
    one clear line per problem is on stderr. ``new_loop`` as in ``run_service``."""
    try:
        settings = load(settings_type)
        logs.configure(settings.log_level, service=name)
        service = build(settings)
    except AutoloaderError as error:
        hint = f" ({error.hint})" if error.hint else ""
        print(f"{name} cannot start: {error.message}{hint}", file=sys.stderr, flush=True)
        return EXIT_BAD_SETTINGS
    # What is there by now stays as long as the process. To look through all of it for garbage, again and again, would
    # stop everything else: the API for a tenth of a second.
    gc.collect()
    gc.freeze()
    return run_service(service, new_loop=new_loop)
