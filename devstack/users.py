"""The unprivileged user that Postgres runs as when the stack runs as root: Postgres itself refuses to be root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.errors import DevstackError


@dataclass(frozen=True, slots=True)
class User:
    """Somebody else to run a process as."""

    name: str
    uid: int
    gid: int

    def process_arguments(self) -> dict[str, Any]:
        """What subprocess needs to become this user and nobody's group member."""
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}

    def give(self, path: Path) -> None:
        """Make `path` this user's own."""
        os.chown(path, self.uid, self.gid)


def unprivileged_user(preferred: str | None = None) -> User | None:
    """Who to run Postgres as; None when we are an ordinary user ourselves and can simply run it."""
    if os.geteuid() != 0:
        return None
    for name in (preferred,) if preferred else ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(found.pw_name, found.pw_uid, found.pw_gid)
    raise DevstackError(
        f"Postgres cannot run as root, and there is no user {preferred or 'postgres or nobody'} to run it as: "
        "name one that exists with AUTOLOADER_DEV_POSTGRES_USER"
    )


def first_closed_folder(path: Path, user: User) -> Path | None:
    """The first folder on the way to `path` that `user` may not enter, judged by owner, group and mode.

    None if all are open.
    """
    for folder in [*reversed(path.parents), path]:
        seen = folder.stat()
        if seen.st_uid == user.uid:
            needed = 0o100
        elif seen.st_gid == user.gid:
            needed = 0o010
        else:
            needed = 0o001
        if not seen.st_mode & needed:
            return folder
    return None
