"""``python -m services.api``. On uvloop: most that the API does is reading from sockets and writing to them."""

import sys

import uvloop

from libs.common.entrypoint import main
from services.api.app import build_service
from services.api.settings import ApiSettings

if __name__ == "__main__":
    sys.exit(main("api", ApiSettings, build_service, new_loop=uvloop.new_event_loop))
