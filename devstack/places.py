"""Where things lie: the clone, the cache (downloads, kept for ever) and the state (data, logs, process records).

Cache and state are outside the clone, so that a second clone finds both. As root they are under /var, because Postgres
refuses to run as root and the unprivileged user it runs as cannot enter root's home.
"""

import os
from collections.abc import Mapping
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
DEPLOY = CLONE / "deploy"


def cache_dir(environment: Mapping[str, str] = os.environ, *, is_root: bool = os.geteuid() == 0) -> Path:
    """The folder of downloads: AUTOLOADER_CACHE_DIR, else the usual place of this kind of user."""
    if chosen := environment.get("AUTOLOADER_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    if is_root:
        return Path("/var/cache/autoloader")
    return _user_dir(environment, "XDG_CACHE_HOME", ".cache") / "autoloader"


def state_dir(environment: Mapping[str, str] = os.environ, *, is_root: bool = os.geteuid() == 0) -> Path:
    """The folder of data, logs and process records.

    AUTOLOADER_DEV_STATE_DIR, else the usual place of this kind of user.
    """
    if chosen := environment.get("AUTOLOADER_DEV_STATE_DIR"):
        return Path(chosen).expanduser().absolute()
    if is_root:
        return Path("/var/lib/autoloader")
    return _user_dir(environment, "XDG_STATE_HOME", ".local/state") / "autoloader"


def _user_dir(environment: Mapping[str, str], variable: str, default: str) -> Path:
    return Path(environment.get(variable) or Path.home() / default)
