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
    except (re.error, IndexError) as e:
        raise ValueError(f"file pattern {pattern!r} cannot be read: {e}") from e


def _translate(pattern: str) -> str:
    out: list[str] = []
    braces = position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if pattern.startswith("**/", position - 1):
            out.append("(?:.*/)?")  # also no folder at all, as in a shell
            position += 2
        elif pattern.startswith("**", position - 1):
            out.append(".*")
            position += 1
        elif char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "\\" and position < len(pattern):
            out.append(re.escape(pattern[position]))
            position += 1
        elif char == "[":
            end = pattern.find("]", position + 1)
            if end < 0:
                raise ValueError(f"file pattern {pattern!r} has a '[' without its ']'; write \\[ for the character")
            inside = pattern[position:end].replace("\\", "\\\\").replace("[", "\\[")
            out.append("[" + ("^" + inside[1:] if inside.startswith(("!", "^")) else inside) + "]")
            position = end + 1
        elif char == "{":
            braces += 1
            out.append("(?:")
        elif char == "}" and braces:
            braces -= 1
            out.append(")")
        elif char == "," and braces:
            out.append("|")
        else:
            out.append(re.escape(char))
    if braces:
        raise ValueError(f"file pattern {pattern!r} has a '{{' without its '}}'; write \\{{ for the character")
    return "".join(out)
