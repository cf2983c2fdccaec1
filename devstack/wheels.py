"""Finding the folder of an installed wheel without importing it.

Pyspark takes seconds to import, its path takes none.
"""

from importlib.util import find_spec
from pathlib import Path

from devstack.errors import DevstackError


def wheel_folder(package: str) -> Path | None:
    """Where `package` is installed, None if it is not."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def require_wheel(package: str) -> Path:
    """Where `package` is installed; an error that says how to install it if it is not."""
    folder = wheel_folder(package)
    if folder is None:
        raise DevstackError(f"the Python package {package} is not installed: run `make setup`")
    return folder
