"""File patterns, by example."""

import pytest

from libs.common.selection.pattern import Pattern

NAMES = [  # without a slash: the file's name, at any depth
    ("*", "in/a.json", True),
    ("*", "in/deep/er/a.json", True),
    ("*.json", "in/deep/a.json", True),
    ("*.json", "in/a.json.gz", False),
    ("*.json", "in/x.json/a.csv", False),
    ("*.JSON", "in/a.json", False),
    ("a?.json", "in/ab.json", True),
    ("a?.json", "in/a.json", False),
    ("?.json", "in/é.json", True),
    ("**.json", "in/deep/a.json", True),
    ("data-[0-9].json", "in/data-7.json", True),
    ("data-[!0-9].json", "in/data-7.json", False),
    ("data-[^0-9].json", "in/data-x.json", True),
    ("[]x].json", "in/].json", True),
    ("[a-].json", "in/-.json", True),
    ("[--0].json", "in/..json", True),
    ("[&&|~[].json", "in/[.json", True),
    ("*.{json,ndjson}", "in/a.ndjson", True),
    ("*.{json,ndjson}", "in/a.csv", False),
    ("*.json{,.gz}", "in/a.json", True),
    ("*.json{,.gz}", "in/a.json.gz", True),
    ("{a,b{c,d}}.json", "in/bd.json", True),
    ("{a,b{c,d}}.json", "in/b.json", False),
    ("a,b}.json", "in/a,b}.json", True),
    (r"\*.json", "in/*.json", True),
    (r"\*.json", "in/a.json", False),
    (r"\{a,b\}", "in/{a,b}", True),
    ("a.b", "in/axb", False),
    ("a+(b)$^|", "in/a+(b)$^|", True),
    ("*.json", "in/line\nbreak.json", True),
    ("*.json\n", "in/a.json", False),
    ("a\\", "in/a\\", True),
]
KEYS = [  # with a slash: the whole key below the path
    ("*/a.json", "in/x/a.json", True),
    ("*/a.json", "in/a.json", False),
    ("*/a.json", "in/x/y/a.json", False),
    ("**/*.json", "in/a.json", True),
    ("**/*.json", "in/x/y/a.json", True),
    ("x/**/a.json", "in/x/a.json", True),
    ("x/**/a.json", "in/x/y/z/a.json", True),
    ("x/**/a.json", "in/xx/a.json", False),
    ("x/**", "in/x/y/a.json", True),
    ("x**/a.json", "in/xa.json", False),
    ("x**/a.json", "in/xyz/w/a.json", True),
    ("{x,y}/**/a.json", "in/y/a.json", True),
    ("{**/a,b/c}.json", "in/x/a.json", True),
    ("{**/a,b/c}.json", "in/a.json", True),
    ("year=[0-9][0-9]/*", "in/year=25/a", True),
    ("x[!y]z/*", "in/x/z/a", False),
    ("**/a*b/**/c", "in/a/axb/c", True),
]


@pytest.mark.parametrize(("pattern", "key", "expected"), NAMES)
def test_a_pattern_without_a_slash_is_about_the_files_name(pattern: str, key: str, expected: bool) -> None:
    """At any depth below the path."""
    assert expected == Pattern(pattern).matches(key, "in/")


@pytest.mark.parametrize(("pattern", "key", "expected"), KEYS)
def test_a_pattern_with_a_slash_is_about_the_whole_key(pattern: str, key: str, expected: bool) -> None:
    """Below the path; one star stays in its folder."""
    assert expected == Pattern(pattern).matches(key, "in/")


def test_the_path_itself_is_no_part_of_it() -> None:
    """Neither as text nor as pattern."""
    assert Pattern("a/*").matches("in*[/a/b", "in*[/")
    assert Pattern("a/*").matches("a/b", "")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[abc", r"'\[' without its '\]'"),
        ("a[].json", r"'\[' without its '\]'"),
        ("[!]", r"'\[' without its '\]'"),
        ("{a,b", "'{' without its '}'"),
        ("[z-a]", "bad character range"),
        ("{a,b}" * 9, "more than 256 patterns"),
        ("{a,b}" * 200, "more than 256 patterns"),
    ],
)
def test_a_pattern_that_cannot_be_read_says_why(pattern: str, why: str) -> None:
    """In words that a user can act on."""
    with pytest.raises(ValueError, match=why):
        Pattern(pattern)
