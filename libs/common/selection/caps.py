"""How much a run may take, when its scope says so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from libs.common.contracts.scope import Scope
from libs.common.ledger.model.files import FileVersion
from libs.common.selection.select import Selection


@dataclass(slots=True)
class Cap:
    """Counts what a run takes, and says when it has enough. ``is_reached``: something that it wanted was left out."""

    files_max: int | None
    bytes_max: int | None
    files: int = 0
    size_bytes: int = 0
    is_reached: bool = False

    @classmethod
    def of(cls, scope: Scope) -> "Cap":
        return cls(scope.max_files, scope.max_bytes)

    def count(self, files: int, size_bytes: int) -> None:
        """What the run has taken already."""
        self.files += files
        self.size_bytes += size_bytes

    def admit(self, files: Sequence[FileVersion]) -> tuple[FileVersion, ...]:
        """The first of these files, as far as the cap goes. The first file of all is always let in: a run that could
        take none would never get further."""
        for n, f in enumerate(files):
            if self.is_reached or not self._has_room_for(f):
                self.is_reached = True
                return tuple(files[:n])
            self.count(1, f.size_bytes)
        return tuple(files)

    def warnings(self) -> tuple[str, ...]:
        """What to tell the user of a run that left something out."""
        if not self.is_reached:
            return ()
        return (
            f"the run took {self.files:,} files of {self.size_bytes:,} bytes, as many as it was asked to take at most; "
            "there are more: ask again for the rest",
        )

    def _has_room_for(self, f: FileVersion) -> bool:
        return self.files == 0 or (
            (self.files_max is None or self.files < self.files_max)
            and (self.bytes_max is None or self.size_bytes + f.size_bytes <= self.bytes_max)
        )


def limited(found: Selection, cap: Cap) -> Selection:
    """``found`` without the new files that go beyond the cap, and without those that would be loaded again. What the
    run took in an earlier attempt stays its own."""
    cap.count(len(found.resumed), _bytes_of(found.resumed))
    taken, reloaded = cap.admit(found.taken), cap.admit(found.reloaded)
    out = {f.digest for f in (*found.taken, *found.reloaded)} - {f.digest for f in (*taken, *reloaded)}
    if not out:
        return found
    return replace(
        found,
        taken=taken,
        reloaded=reloaded,
        superseded=tuple(digest for digest in found.superseded if digest not in out),
        beside=tuple(digest for digest in found.beside if digest not in out),
        left=tuple(f for f in found.left if f.digest not in out),
    )


def _bytes_of(files: Iterable[FileVersion]) -> int:
    return sum(f.size_bytes for f in files)
