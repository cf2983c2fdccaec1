"""What every service's ``__main__`` does before it runs."""

import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[3]
_SERVICE = """
import gc, sys
from libs.common.entrypoint import main
from libs.common.service import Service
from libs.common.settings import CommonSettings

def build(settings):
    service = Service("s")
    built = {"lives": ["as long", "as the process"]}
    async def look():
        seen = any(each is built for each in gc.get_objects())
        print("looked through" if seen else "left alone")
    service.add_task("look", look)
    return service

sys.exit(main("s", CommonSettings, build))
"""


def test_what_was_built_is_not_looked_through_for_garbage() -> None:
    """It stays as long as the process; a full collection would stop everything else to find that out."""
    ran = subprocess.run([sys.executable, "-c", _SERVICE], cwd=REPO, capture_output=True, text=True, check=False)
    assert ran.stdout == "left alone\n", ran.stderr
