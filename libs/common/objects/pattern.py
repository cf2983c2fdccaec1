"""Which keys under a path are wanted.

A pattern without a slash is matched with the file's name, at any depth below the path (as Auto Loader's
``pathGlobFilter``); one with a slash is matched with the whole key below the path. ``*`` and ``?`` stop at a
slash, ``**`` does not, ``[…]`` is a set, ``{a,b}`` are alternatives, a backslash takes the next character as it is.
"""

import re
from functools import lru_cache


class Pattern:
    def __init__(self, pattern: str) -> None:
        """Raises ``ValueError`` with a clear text when the pattern cannot be read."""
        self._whole_key = "/" in pattern
        self._regex = _compiled(pattern)

    def matches(self, key: str, prefix: str) -> bool:
        """Whether ``key``, which starts with ``prefix``, is wanted."""
        below = key[len(prefix) :]
        return self._regex.fullmatch(below if self._whole_key else below.rsplit("/", 1)[-1]) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_translate(pattern), re.DOTALL)
    except re.error as e:
        raise ValueError(f"file pattern {pattern!r} cannot be read: {e}") from e


_TOKEN = re.compile(r"\*\*/|\*\*|\\.|\[[!^]?\]?[^\]]*\]|.", re.DOTALL)
_WILDCARDS = {
    "**/": "(?:.*/)?",  # also no folder at all, as in a shell
    "**": ".*",
    "*": "[^/]*",
    "?": "[^/]",
}


def _translate(pattern: str) -> str:
    out: list[str] = []
    braces = 0
    for piece in _TOKEN.findall(pattern):
        if piece == "{":
            braces += 1
            out.append("(?:")
        elif piece == "}" and braces:
            braces -= 1
            out.append(")")
        elif piece == "," and braces:
            out.append("|")
        elif piece == "[":
            raise ValueError(f"file pattern {pattern!r} has a '[' without its ']'; write \\[ for the character")
        else:
            out.append(_WILDCARDS.get(piece) or _set_or_itself(piece))
    if braces:
        raise ValueError(f"file pattern {pattern!r} has a '{{' without its '}}'; write \\{{ for the character")
    return "".join(out)


def _set_or_itself(piece: str) -> str:
    if piece.startswith("[") and len(piece) > 1:
        inside = piece[1:-1]
        negated = inside.startswith(("!", "^"))
        escaped = inside[negated:].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
        # A set never matches a slash, as in a shell: "not x" must not cross a folder.
        return f"(?!/)[{'^' if negated else ''}{escaped}]"
    return re.escape(piece[1:] if len(piece) > 1 else piece)
