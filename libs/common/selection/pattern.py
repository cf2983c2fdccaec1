"""Which keys under a path are wanted.

A pattern without a slash is matched with the file's name, at any depth below the path (as Auto Loader's
``pathGlobFilter``); one with a slash is matched with the whole key below the path. ``*`` and ``?`` stop at a
slash, ``**`` does not, ``**/`` is any number of folders, none as well; ``[…]`` is a set, ``{a,b}`` are alternatives,
a backslash takes the next character as it is.

Patterns come from users and run in a process that serves them all, so matching must not explode: braces are written
out, up to a limit, and each piece between two wildcards is taken where it is found first, for good (an atomic group).
That loses nothing: what lies between the first place and a later one can go to the wildcard behind it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

ALTERNATIVES_MAX = 256


class Pattern:
    def __init__(self, pattern: str) -> None:
        """Raises ``ValueError`` with a clear text when the pattern cannot be read."""
        self._whole_key = "/" in pattern
        self._regex = _compiled(pattern)

    def matches(self, key: str, prefix: str) -> bool:
        """Whether ``key``, which starts with ``prefix``, is wanted."""
        below = key[len(prefix) :]
        return self._regex.fullmatch(below if self._whole_key else below.rsplit("/", 1)[-1]) is not None


def outlines(pattern: str) -> list[str]:
    """What the matches of a pattern look like, for each way through its braces: fixed characters stand where they
    stand in the key (or the name), ``*`` and ``?`` for what is not fixed. Raises as ``Pattern`` does."""
    crossing = "*/*" if "/" in pattern else "*"
    return [
        "".join(_outline(piece, crossing) for piece in pieces)
        for pieces in _written_out(_TOKEN.findall(pattern), pattern)
    ]


def _outline(piece: str, crossing: str) -> str:
    if piece == "**":
        return crossing
    if len(piece) > 1:
        return "?" if piece.startswith("[") else piece[1:]
    return piece


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    alternatives = _written_out(_TOKEN.findall(pattern), pattern)
    try:
        return re.compile("|".join(_translate(pieces) for pieces in alternatives), re.DOTALL)
    except re.error as e:
        raise ValueError(f"file pattern {pattern!r} cannot be read: {e}") from e


_TOKEN = re.compile(r"\*\*|\\.|\[[!^]?\]?[^\]]*\]|.", re.DOTALL)


def _written_out(pieces: Sequence[str], pattern: str) -> list[list[str]]:
    """The pattern without its braces: one list of pieces for each way through them."""
    ways: list[list[str]] = [[]]
    outer: list[tuple[list[list[str]], list[list[str]]]] = []  # for each open brace: what came before, what is done
    for piece in pieces:
        if piece in ("[", "[]", "[!]", "[^]"):  # the first ']' of a set is a member of it
            raise ValueError(f"file pattern {pattern!r} has a '[' without its ']'; write \\[ for the character")
        if piece == "{":
            outer.append((ways, []))
            ways = [[]]
        elif piece == "," and outer:
            outer[-1][1].extend(ways)
            ways = [[]]
        elif piece == "}" and outer:
            before, done = outer.pop()
            done.extend(ways)
            if len(before) * len(done) > ALTERNATIVES_MAX:
                raise ValueError(f"file pattern {pattern!r} stands for more than {ALTERNATIVES_MAX} patterns")
            ways = [head + tail for head in before for tail in done]
        else:
            for way in ways:
                way.append(piece)
    if outer:
        raise ValueError(f"file pattern {pattern!r} has a '{{' without its '}}'; write \\{{ for the character")
    return ways


_FOLDERS = "**/"
_LAZY = {"**": ".*?", _FOLDERS: "(?:.*?/)??"}


def _translate(pieces: Sequence[str]) -> str:
    """A regular expression for pieces without braces.

    They fall into chains, ``lead X*Y*Z``, where only the lead crosses folders. A chain that is followed by another
    is matched as early as can be, for good. In the last chain only the lead and the last star are tried further.
    """
    chains: list[tuple[str, list[str]]] = [("", [""])]
    for piece in _with_folders(pieces):
        if piece in _LAZY:
            chains.append((_LAZY[piece], [""]))
        elif piece == "*":
            chains[-1][1].append("")
        else:
            chains[-1][1][-1] += _set_or_itself(piece)
    *early, (lead, (first, *others)) = chains
    out = [f"(?>{start}{x}{_each_first(more)})" for start, (x, *more) in early]
    out += [lead, first, _each_first(others[:-1]), *(f"[^/]*{x}" for x in others[-1:])]
    return "".join(out)


def _each_first(fixed: Sequence[str]) -> str:
    return "".join(f"(?>[^/]*?{x})" for x in fixed)


def _with_folders(pieces: Sequence[str]) -> list[str]:
    """Joins ``**`` and ``/`` to one piece where they stand for whole folders: at the start, or behind a slash."""
    out: list[str] = []
    for piece in pieces:
        if piece == "/" and out[-1:] == ["**"] and (len(out) == 1 or out[-2] in ("/", "\\/", _FOLDERS)):
            out[-1] = _FOLDERS
        else:
            out.append(piece)
    return out


_MEMBER = re.compile(r"(.)-(.)|(.)", re.DOTALL)  # of a set: a range, or a character


def _set_or_itself(piece: str) -> str:
    if piece == "?":
        return "[^/]"
    if piece.startswith("[") and len(piece) > 1:
        inside = piece[1:-1]
        negated = inside.startswith(("!", "^"))
        members = "".join("-".join(map(re.escape, filter(None, m))) for m in _MEMBER.findall(inside[negated:]))
        # A set never matches a slash, as in a shell: "not x" must not cross a folder.
        return f"(?!/)[{'^' if negated else ''}{members}]"
    return re.escape(piece[1:] if len(piece) > 1 else piece)
