"""A file system of a test's own, so small that a test can fill it.

with small_disk(size_mb=200) as disk:
    ...  # a server keeps its data under disk.path
    disk.fill()
    ...
    disk.free()
"""

import errno
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_DEVICE = "autoloader-test"
_PREFIX = "autoloader-disk-"
_CHUNKS_BYTES = (1024 * 1024, 4096, 1)
"""The last bytes of a file system go in small pieces."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """``path`` is where it is mounted; everybody may enter."""

    path: Path

    def fill(self) -> None:
        """From now on nobody can write anything new."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in _CHUNKS_BYTES:
                piece = b"\0" * size
                try:
                    while True:
                        ballast.write(piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """There is room again. May be called twice."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"


@contextmanager
def small_disk(*, size_mb: int) -> Iterator[SmallDisk]:
    """In memory (tmpfs). Gone at the end, with whatever is on it, also if a process still has files open there; the
    next one takes those away that killed test runs have left.

    Raises:
        CalledProcessError: this machine does not let us mount; see ``why_no_small_disk``.
    """
    _unmount_orphans()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        path = Path(folder) / "disk"
        path.parent.chmod(0o755)  # Postgres runs as somebody else
        path.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0755", _DEVICE, str(path))
        try:
            yield SmallDisk(path)
        finally:
            _run("umount", "--lazy", str(path))


def _unmount_orphans() -> None:
    """The process that mounted one is in its folder's name."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, path = line.split(" ")[:2]
        owner = re.search(rf"{_PREFIX}(\d+)-", path)
        if device == _DEVICE and owner and not Path("/proc", owner[1]).exists():
            with suppress(OSError, subprocess.CalledProcessError):  # another test run may be at it
                _run("umount", "--lazy", path)
                shutil.rmtree(Path(path).parent)


def why_no_small_disk() -> str | None:
    """Tries it. None: this machine allows it."""
    if os.name != "posix" or not Path("/proc/self/mounts").exists():
        return "a full disk needs a small file system of its own, which is made with Linux' tmpfs"
    try:
        with small_disk(size_mb=1):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        return f"a full disk needs a small file system of its own, and this machine does not let us mount one ({said})"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
