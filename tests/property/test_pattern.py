"""File patterns against a plain reading of their definition, and against the standard library where both agree."""

import time
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from libs.common.selection.pattern import Pattern

# A pattern as a tree, and a matcher that tries everything. Texts are short, so it may.
Atom = tuple[str, ...]
SLASH: Atom = ("char", "/")
LETTERS = "ab-]!^.{"
ATOMS = st.one_of(
    st.sampled_from(LETTERS).map(lambda c: ("char", c)),
    st.just(("?",)),
    st.just(("*",)),
    st.just(("**",)),
    st.text("ab-", min_size=1, max_size=3).filter(lambda s: "-" not in s[1:-1]).map(lambda s: ("set", s)),
    st.text("ab^", min_size=1, max_size=3).map(lambda s: ("not", s)),
)
TEXTS = st.text("ab-]!^./{", max_size=9)


@st.composite
def patterns(draw: st.DrawFn) -> tuple[str, tuple[tuple[Atom, ...], ...]]:
    """A pattern's text, and the sequences of atoms that it stands for."""
    text = ""
    meanings: list[tuple[Atom, ...]] = [()]
    for number in range(draw(st.integers(1, 4))):
        if number and draw(st.booleans()):
            text, meanings = text + "/", [(*m, SLASH) for m in meanings]
        choices = draw(st.lists(st.lists(ATOMS, max_size=4).filter(_is_readable), min_size=1, max_size=3))
        written = [_written(atoms) for atoms in choices]
        if len(choices) > 1:
            text += "{" + ",".join(written) + "}"
        elif not (text.endswith("*") and written[0].startswith("*")):
            text += written[0]
        else:
            continue
        meanings = [(*m, *atoms) for m in meanings for atoms in choices]
    return text, tuple(_with_folders(m) for m in meanings)


def _is_readable(atoms: Sequence[Atom]) -> bool:
    """Two stars side by side would be read as one wildcard."""
    return "***" not in _written(atoms) and not any(a == b == ("*",) for a, b in pairwise(atoms))


def _with_folders(atoms: tuple[Atom, ...]) -> tuple[Atom, ...]:
    """``**/`` as a whole folder's name is any number of folders."""
    out: list[Atom] = []
    for atom in atoms:
        if atom == SLASH and out[-1:] == [("**",)] and out[-2:-1] in ([], [SLASH], [("folders",)]):
            out[-1] = ("folders",)
        else:
            out.append(atom)
    return tuple(out)


def _written(atoms: Sequence[Atom]) -> str:
    out = ""
    for kind, *value in atoms:
        match kind:
            case "char":
                out += value[0] if value[0] in "ab-" else "\\" + value[0]
            case "set":
                out += f"[{value[0]}]"
            case "not":
                out += f"[!{value[0]}]"
            case _:
                out += kind
    return out


def reference(atoms: tuple[Atom, ...], text: str) -> bool:
    @lru_cache(None)
    def at(i: int, j: int) -> bool:
        if i == len(atoms):
            return j == len(text)
        kind, *value = atoms[i]
        rest = range(j, len(text) + 1)
        match kind:
            case "**":
                return any(at(i + 1, k) for k in rest)
            case "*":
                return any(at(i + 1, k) for k in rest if "/" not in text[j:k])
            case "folders":
                return at(i + 1, j) or any(at(i + 1, k) for k in rest if text[j:k].endswith("/"))
        if j == len(text):
            return False
        c = text[j]
        fits = {
            "char": lambda: c == value[0],
            "?": lambda: c != "/",
            "set": lambda: c in value[0],
            "not": lambda: c != "/" and c not in value[0],
        }[kind]()
        return fits and at(i + 1, j + 1)

    return at(0, 0)


@given(patterns(), TEXTS)
def test_a_pattern_matches_what_its_definition_says(drawn: tuple[str, tuple[tuple[Atom, ...], ...]], text: str) -> None:
    """Also where braces, sets, stars and folders meet."""
    pattern, meanings = drawn
    assume(pattern)
    below = text if "/" in pattern else text.rsplit("/", 1)[-1]
    expected = any(reference(atoms, below) for atoms in meanings)
    assert expected == Pattern(pattern).matches("in/" + text, "in/")


@given(st.text("ab*?[]!-x.", min_size=1, max_size=8), st.text("ab-x.]!", max_size=8))
def test_without_slashes_and_doubled_stars_it_is_fnmatch(pattern: str, name: str) -> None:
    """Where both can read the pattern: the standard library takes a lonely bracket for itself."""
    try:
        ours = Pattern(pattern).matches(name, "")
    except ValueError:
        reject()
    assert fnmatchcase(name, pattern) == ours


@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_any_text_is_a_pattern_or_a_clear_refusal(pattern: str, key: str) -> None:
    """Never another error, never a warning."""
    with suppress(ValueError):
        Pattern(pattern).matches(key, "")


@given(st.text("ab{}[]*?,\\!^-&~|#. \n", min_size=1, max_size=12))
def test_an_escaped_name_matches_itself_and_nothing_else(name: str) -> None:
    """A backslash before every character."""
    pattern = Pattern("".join("\\" + c for c in name))
    assert pattern.matches(f"deep/{name}", "")
    assert not pattern.matches(f"deep/{name}x", "")


@pytest.mark.parametrize(
    "pattern",
    [
        "*a" * 30 + "z",
        "**a" * 30 + "z",
        "**/*a" * 30 + "z",
        "*{a,aa}" * 8 + "z",
        "{*a,*aa,**a}" * 4 + "*z",
        "*" * 400 + "z",
        "*a**a*a**a*a**a*z",
    ],
)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """The worst key for it is 1,024 bytes of almost."""
    made = Pattern(pattern)
    began = time.process_time()
    assert not made.matches("a" * 1024, "")
    assert not made.matches("a/" * 512, "")
    assert time.process_time() - began < 1
