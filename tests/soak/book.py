"""What has landed, and which rows a table must therefore hold: exactly, whatever was overwritten, deleted or refreshed.

Nobody but the product knows which version of an overwritten file was there when it was read. What is known is that
one version of each key is in the table, whole: which one, the table may say itself. A version that was gone before
the table began anew cannot be it, and only a key that was deleted may be absent.

Moments are numbers that only grow. They are taken on the side of the question that keeps it exact: a version is gone
when its replacement has arrived, and a life of the table begins before the refresh is asked for.
"""

from collections.abc import Collection, Set
from dataclasses import dataclass, field

FOREIGN_FROM = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Version:
    """One content of a key. ``gone``: the moment since when it cannot be read any more."""

    ids: range
    gone: int | None = None


@dataclass
class Book:
    """All files of one ingestion's source, and the rows that somebody else wrote into its table."""

    files: dict[str, list[Version]] = field(default_factory=dict)
    foreign: set[int] = field(default_factory=set)
    """They have arrived."""
    doubtful: set[int] = field(default_factory=set)
    """Their writer was told of an error."""
    _moment: int = 0
    _next_id: int = 0
    _next_foreign: int = FOREIGN_FROM

    def moment(self) -> int:
        self._moment += 1
        return self._moment

    def ids(self, count: int) -> range:
        """Ids for so many rows, never given before."""
        given = range(self._next_id, self._next_id + count)
        self._next_id = given.stop
        return given

    def foreign_id(self) -> int:
        self._next_foreign += 1
        return self._next_foreign

    def landed(self, key: str, ids: range) -> None:
        """A new file has arrived, or a new version in the place of an older one."""
        self._end(key)
        self.files.setdefault(key, []).append(Version(ids))

    def deleted(self, key: str) -> None:
        """A key is gone. It must not come again."""
        self._end(key)

    @property
    def there(self) -> list[str]:
        """Keys that can be read, in the order in which they first landed."""
        return [key for key, versions in self.files.items() if versions[-1].gone is None]

    @property
    def rows(self) -> int:
        """Rows of all versions that ever landed."""
        return self._next_id

    def expected(self, began: int, seen: Set[int]) -> set[int]:
        """Rows that a table must hold that began with all files at the moment ``began`` (0: never refreshed), given
        the ids that are ``seen`` in it. Where several versions of a key may be it, that with the most rows there: rows
        of another one beside it are rows too many, and missing ones are lost."""
        wanted: set[int] = set()
        for versions in self.files.values():
            possible = [v for v in versions if v.gone is None or v.gone > began]
            if not possible:
                continue
            there = [sum(i in seen for i in v.ids) for v in possible]
            if any(there):
                wanted.update(possible[there.index(max(there))].ids)
            elif possible[-1].gone is None:
                wanted.update(possible[-1].ids)
        return wanted

    def expected_foreign(self, seen: Set[int], elsewhere: Collection[int]) -> set[int]:
        """Foreign rows that it must hold: those that arrived and are not in a table that was set aside with everything
        in it; and those of which their writer knows nothing, as far as they are there."""
        return (self.foreign - set(elsewhere)) | (self.doubtful & seen)

    def known(self, ids: Collection[int]) -> set[int]:
        """Those of ``ids`` that some file or some foreign writer held at some time."""
        return {i for i in ids if 0 <= i < self._next_id or i in self.foreign or i in self.doubtful}

    def _end(self, key: str) -> None:
        versions = self.files.get(key)
        if versions and versions[-1].gone is None:
            versions[-1] = Version(versions[-1].ids, gone=self.moment())
