"""wildmatch, with git itself as the judge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bm_gitindex.wildmatch import translate
from support.git import Git

if TYPE_CHECKING:
    from pathlib import Path


def matches(pattern: bytes, path: bytes) -> bool:
    expression = translate(pattern)
    return expression is not None and re.fullmatch(expression, path, re.DOTALL) is not None


CASES = [
    # literal bytes
    ("foo", "foo", True),
    ("foo", "fo", False),
    ("foo", "food", False),
    ("foo", "a/foo", False),
    ("a/foo", "a/foo", True),
    ("a.b", "axb", False),
    ("a\\b", "ab", True),
    ("\\*", "*", True),
    ("\\*", "x", False),
    ("\\\\", "\\", True),
    ("\\[ab]", "[ab]", True),
    # one byte
    ("?", "a", True),
    ("?", "\n", True),
    ("?", "é", False),
    ("??", "é", True),
    ("?", "/", False),
    ("a?b", "a/b", False),
    # a run within a name
    ("*", "", True),
    ("*", "foo", True),
    ("*", "a/b", False),
    ("*", "a\nb", True),
    ("f*", "foo", True),
    ("*f", "foo", False),
    ("*foo*", "foo", True),
    ("*ob*a*r*", "foobar", True),
    ("*ab", "aaab", True),
    ("*ab*ab", "abab", True),
    ("*ab*ab", "aab", False),
    ("*aab*b", "aaabb", True),
    ("a*/b", "a/b", True),
    ("a*/b", "ax/b", True),
    ("a*/b", "a/x/b", False),
    ("*/*/*", "a/b/c", True),
    ("*/*/*", "a/b", False),
    ("*x/y*", "axx/yb", True),
    # whole names
    ("**/a", "a", True),
    ("**/a", "x/a", True),
    ("**/a", "x/y/a", True),
    ("**/a", "xa", False),
    ("**/a", "x/ya", False),
    ("a/**", "a/b", True),
    ("a/**", "a/b/c", True),
    ("a/**", "a", False),
    ("a/**/b", "a/b", True),
    ("a/**/b", "a/x/b", True),
    ("a/**/b", "a/x/y/b", True),
    ("a/**/b", "ab", False),
    ("a/**/b", "a/xb", False),
    ("a/***/b", "a/x/y/b", True),
    ("a/***/b", "a/b", True),
    ("a/**/**/b", "a/b", True),
    ("a/**\\/b", "a/b", False),
    ("a/**\\/b", "a/x/b", True),
    ("**/a*b/**/c", "ax/ab/c", True),
    ("**/a/b/**/c", "a/a/b/c", True),
    ("**/a/*/**/a", "x/a/a", False),
    ("**/a/*/**/a", "x/a/a/a", True),
    ("**", "a/b", True),
    # two asterisks that are only part of a name
    ("a**b", "axb", True),
    ("a**b", "a/b", False),
    ("a**/b", "a/b", True),
    ("a**/b", "ab", False),
    ("a**/b", "ax/y/b", False),
    ("a/**b", "a/xb", True),
    ("a/**b", "a/x/b", False),
    ("[a]**/b", "ax/y/b", False),
    # sets
    ("[ab]", "b", True),
    ("[ab]", "c", False),
    ("[!ab]", "c", True),
    ("[^ab]", "a", False),
    ("[a-c]", "b", True),
    ("[c-a]", "a", False),
    ("[c-a]", "b", False),
    ("[c-a]", "c", True),
    ("[!c-a]", "b", True),
    ("[!c-a]", "c", False),
    ("[c-ax]", "x", True),
    ("[a-c-e]", "-", True),
    ("[a-c-e]", "d", False),
    ("[-a]", "-", True),
    ("[a-]", "-", True),
    ("[--0]", "0", True),
    ("[]]", "]", True),
    ("[]-a]", "^", True),
    ("[!]a]", "]", False),
    ("[!]a]", "x", True),
    ("[\\]]", "]", True),
    ("[\\a-\\c]", "b", True),
    ("[\\\\-^]", "]", True),
    ("[a\\-c]", "b", False),
    ("[/]", "/", False),
    ("[.-0]", "/", False),
    ("[!a]", "/", False),
    ("a[!x]b", "a/b", False),
    ("[*?]", "*", True),
    ("[*?]", "x", False),
    ("[[]", "[", True),
    ("[[:]", ":", True),
    ("[a[:]b", "[b", True),
    ("[!!]", "!", False),
    ("[\n]", "\n", True),
    # classes
    ("[[:alpha:]]", "x", True),
    ("[[:alpha:]]", "1", False),
    ("[![:alpha:]]", "1", True),
    ("[[:alpha:][:digit:]_]", "_", True),
    ("[[:digit:]-z]", "-", True),
    ("[a-[:alpha:]]", "a]", True),
    ("[a-[:alpha:]]", "b]", False),
    ("[A-[:alpha:]]", "B:]", False),
    ("[:alpha:]", "p", True),
    ("[[:alpha:]", "a", False),
    # invalid
    ("[", "[", False),
    ("[a", "a", False),
    ("[a", "[a", False),
    ("a[]", "a[]", False),
    ("[!", "[!", False),
    ("[!]", "!", False),
    ("[a-", "a", False),
    ("[\\", "\\", False),
    ("\\", "\\", False),
    ("a\\", "a", False),
    ("a\\", "a\\", False),
    ("*\\", "a", False),
    ("[[:none:]]", "n", False),
    ("[[:ALPHA:]]", "A", False),
    ("[[::]]", ":", False),
    ("[x[:none:]]", "x", False),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), CASES, ids=ascii)
def test_a_pattern_matches(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern.encode(), path.encode()) is expected


def test_what_is_invalid_has_no_expression() -> None:
    assert [translate(pattern) for pattern in (b"[", b"a\\", b"[[:none:]]", b"a/[!", b"[]")] == [None] * 5


HOSTILE = [
    (b"*a*a*a*a*a*a*a*b", b"a" * 255),
    (b"*a" * 100 + b"*b", b"a" * 255),
    (b"*?" * 100 + b"*b", b"a" * 255),
    (b"*[a-z]" * 100 + b"*b", b"a" * 255),
    (b"**/a/**/a/**/a/**/b", b"a/" * 2000 + b"a"),
    (b"**/a/" * 100 + b"b", b"a/" * 2000 + b"a"),
    (b"**/*/" * 100 + b"b", b"a/" * 2000 + b"a"),
    (b"**/*a*a*a*/" * 10 + b"*b", (b"a" * 255 + b"/") * 15 + b"a"),
    (b"*/" * 50 + b"**/" * 50 + b"b", b"a/" * 2000 + b"a"),
    (b"**/" * 500 + b"b", b"a/" * 2000 + b"a"),
    (b"*" * 5000 + b"b", b"a" * 255),
    (b"a/**/" * 20 + b"**/*x*y/**", b"a/" * 2000 + b"xx"),
]


@pytest.mark.parametrize(("pattern", "path"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_pattern_is_soon_done_with(pattern: bytes, path: bytes) -> None:
    assert not matches(pattern, path)


# --- git as the judge ------------------------------------------------------------------------------------------------


@pytest.fixture
def git(tmp_path: Path) -> Git:
    root = tmp_path / "root"
    root.mkdir()
    return Git(tmp_path / "git", tmp_path / "index-of-git", root)


def left_out_by_git(git: Git, patterns: list[bytes], paths: list[bytes]) -> list[set[bytes]]:
    """Return what each of the patterns leaves out, anchored to a folder of its own; one process for all of them."""
    for number, pattern in enumerate(patterns):
        folder = git.worktree / str(number)
        folder.mkdir(exist_ok=True)
        (folder / ".gitignore").write_bytes(b"/" + pattern)
    asked = b"".join(b"%d/%b\0" % (number, path) for number in range(len(patterns)) for path in paths)
    done = git.run("check-ignore", "--no-index", "-z", "--stdin", stdin=asked)
    assert (done.stderr, done.returncode in (0, 1)) == (b"", True)
    found: list[set[bytes]] = [set() for _ in patterns]
    for answer in done.stdout.split(b"\0")[:-1]:
        number_, _, path = answer.partition(b"/")
        found[int(number_)].add(path)
    return found


def left_out(pattern: bytes, paths: list[bytes]) -> set[bytes]:
    """Return the paths that match, or that are below a folder that does."""
    return {path for path in paths if any(matches(pattern, parent) for parent in _with_parents(path))}


def _with_parents(path: bytes) -> list[bytes]:
    names = path.split(b"/")
    return [b"/".join(names[:length]) for length in range(1, len(names) + 1)]


def test_literal_cases_agree_with_git(git: Git) -> None:
    patterns = sorted({pattern.encode() for pattern, _, _ in CASES if "\n" not in pattern and not _is_misread(pattern)})
    paths = sorted({path.encode() for _, path, _ in CASES if path.strip("/")})
    assert left_out_by_git(git, patterns, paths) == [left_out(pattern, paths) for pattern in patterns]


def _is_misread(pattern: str) -> bool:
    """Return whether older versions of git (2.39 is one) let asterisks that end a name match slashes: `foo**/bar`.

    It compares what precedes the first wildcard by itself, and passes on only the rest.
    """
    return re.match(r"[^*?\[\\]*[^*?\[\\/]\*\*+(/|\\/|$)", pattern) is not None


CLASSES = ["alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"]


def test_classes_hold_the_bytes_that_they_hold_in_git(git: Git) -> None:
    patterns = [b"x[[:%b:]]" % name.encode() for name in CLASSES]
    paths = [b"x%c" % byte for byte in range(1, 256) if byte != ord("/")]
    assert left_out_by_git(git, patterns, paths) == [left_out(pattern, paths) for pattern in patterns]


_pieces = st.sampled_from(
    [
        *("a", "b", "é", "/", "/", "*", "*", "**", "**/", "/**/", "/***/", "/**", "**\\/", "?"),
        *("[", "]", "!", "^", "-", "\\", ":", "[:", ":]", "[ab]", "[!a]", "[^b", "[a-", "[]", "[]a]", "[!]", "\\]"),
        *("[[:alpha:]", "[[:punct:]]", "[[:none:]]", "[:digit:]", "[a-é]", "[\\a-b]", "[/]", "[+-:]"),
    ]
)
_patterns = st.lists(_pieces, min_size=1, max_size=7).map("".join)
_names = st.text(alphabet="aabbé[]!-\\:1*", min_size=1, max_size=4)
_paths = st.lists(_names, min_size=1, max_size=4).map("/".join)


def _is_as_written(pattern: str) -> bool:
    """Return whether nothing of a line is the business of gitignore(5), and all of it wildmatch's."""
    return not pattern.endswith("/") and not _is_misread(pattern)


@settings(max_examples=100)
@given(
    patterns=st.lists(_patterns.filter(_is_as_written), min_size=5, max_size=30),
    paths=st.lists(_paths, min_size=5, max_size=40),
)
@example(patterns=["**/a*b/**/b", "a/*/**/b", "*b*/**/a"], paths=["a/b/a/b", "ab/b", "a/ab/a/b", "b/a/b/a"])
def test_generated_patterns_match_what_git_matches(git: Git, patterns: list[str], paths: list[str]) -> None:
    asked = sorted({path.encode() for path in paths})
    written = [pattern.encode() for pattern in patterns]
    assert left_out_by_git(git, written, asked) == [left_out(pattern, asked) for pattern in written]
