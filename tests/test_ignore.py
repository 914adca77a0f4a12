"""gitignore(5), with git itself as the judge."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex.ignore import IgnoreRules
from bm_gitindex.options import Options
from support.git import Git
from support.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Tree = dict[str, str]
"""Path of a folder -> the lines of its `.gitignore`."""

FOLDERS = ["", "a/", "b/", "a/b/", "a/b/a/", "foo/", "a/foo/"]
NAMES = ["a.md", "b.md", "foo", "x.log", "#x.md", "a b.md", "!x.md", "[x].md"]
FILES = [folder + name for folder in FOLDERS for name in NAMES if folder + name not in ("foo", "a/foo")]


def build(project: Project, gitignores: Tree) -> None:
    for name in FILES:
        if not os.path.exists(project.path(name)):
            project.write(name, b"x")
    for folder in FOLDERS:
        path = project.path(folder + ".gitignore")
        if os.path.exists(path):
            os.unlink(path)
    for folder, text in gitignores.items():
        project.write(folder + ".gitignore", text.encode("utf-8", "surrogateescape"))


def taken_in(project: Project) -> set[bytes]:
    return {change.path for change in project.status().changes}


def not_hidden(paths: set[bytes]) -> set[bytes]:
    return {path for path in paths if not any(part.startswith(b".") for part in path.split(b"/"))}


@pytest.fixture
def judge(tmp_path: Path) -> tuple[Project, Git]:
    root = tmp_path / "root"
    root.mkdir()
    project = Project(root)
    return project, Git(tmp_path / "git", tmp_path / "index-of-git", root)


def assert_as_git(judge: tuple[Project, Git], gitignores: Tree) -> None:
    project, git = judge
    build(project, gitignores)
    assert taken_in(project) == not_hidden(git.untracked())


MATRIX = [
    "*.md",
    "/a.md",
    "a.md",
    "foo",
    "foo/",
    "/foo/",
    "a/b",
    "a/**/a.md",
    "**/foo",
    "**/b/*",
    "a/**",
    "*\n!*/\n!a.md",
    "*.md\n!a.md",
    "foo/\n!foo/a.md",
    "foo/*\n!foo/a.md",
    "/*\n!/a\n/a/*\n!/a/b",
    "[ab].md",
    "[!a].md",
    "?.md",
    "\\#x.md",
    "#x.md",
    "\\!x.md",
    "!x.md",
    "a b.md",
    "a\\ b.md",
    "x.log   ",
    "x.log\\ ",
    "   x.log",
    "\\[x\\].md",
    "[x].md",
    "A.MD",
    "",
    "\n\n# only a comment\n",
    "x.log\r\na.md\r\n",
    "\ufeffx.log\na.md",
    "a/",
    "a",
    "!a/\na/",
    "*\n!a.md\n!b/",
    "a.md/",
    "/",
    "//",
    "**",
    "***",
    "[",
    "[a",
    "a\\",
    "\\",
    "!",
    "b/[",
    "foo/**/",
    "**/",
    "*/",
    "*/*",
    "[[:alpha:]].md",
    "[![:punct:]x].md",
    "[[:none:]].md\n*.log",
    "[a-b].md",
    "[b-a].md",
    "[]-]x.md",
    "[\\]]x.md",
    "[a/b].md",
    "a[/]b",
    "a/***/b",
    "a/**/**/a.md",
    "/**/b",
    "**/a/**/a.md",
    "**\\/a.md",
    "a/**\\/a.md",
    "a\\/b",
    "foo\\/",
    "a/b/**",
    "!a/b\na/b/*",
    "a*/*.md",
    "*o/a.md",
    "a//b",
    "//a",
    "a//",
    "***/foo",
    "a***",
    "*?.md",
    "\\a.md",
    "x.log\\\\  ",
    "x.log\t",
    "x.log \r\na.md\\ \r",
    "x.log\0junk\na.md",
    " #x.md",
    "!!x.md",
    "!\\!x.md\n?x.md",
    "!#x.md\n*x.md",
    "*\n!*/\n!*.md\na/b/\n!b",
]


@pytest.mark.parametrize("text", MATRIX, ids=ascii)
@pytest.mark.parametrize("folder", ["", "a/"])
def test_one_file_of_rules_leaves_out_what_git_leaves_out(judge: tuple[Project, Git], folder: str, text: str) -> None:
    assert_as_git(judge, {folder: text})


NESTED: list[Tree] = [
    {"": "*.md", "a/": "!a.md"},
    {"": "!a.md", "a/": "*.md"},
    {"": "a/", "a/": "!*"},
    {"": "*.md", "a/": "!b/"},
    {"": "*.md", "a/": "!b"},
    {"": "*", "a/": "!*"},
    {"": "b/", "a/": "!b/"},
    {"": "b", "a/": "!b", "a/b/": "a.md"},
    {"": "foo", "a/": "!foo/\n!*.log"},
    {"": "/a/b/a.md", "a/": "!/b/a.md", "a/b/": "/a.md"},
    {"": "*.md", "a/": "# nothing\n", "a/b/": "!a.md"},
    {"": "*\n!*/", "a/": "!*.md", "a/b/": "b.md"},
]


@pytest.mark.parametrize("gitignores", NESTED, ids=lambda levels: ascii("|".join(map("".join, levels.items()))))
def test_the_nearest_file_that_matches_decides(judge: tuple[Project, Git], gitignores: Tree) -> None:
    assert_as_git(judge, gitignores)


_name = st.sampled_from(
    [
        *("a", "b", "foo", "a.md", "b.md", "x.log", "#x.md", "\\!x.md", "a b.md", "\\[x\\].md"),
        *("*", "?", "*.md", "x.*", "*o", "*x*.md", "?.md", "f?o", "***"),
        *("[ab]", "[ab]*", "[!a].md", "[^f]*", "[a-b].md", "[[:alpha:]].md", "[[:alpha:]_-]*", "[][]x].md"),
        *("[[:none:]]*", "[a", "\\"),
    ]
)
_pattern = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/", "**/", "a/", "/a/", "***/"]),
    st.lists(st.one_of(_name, _name, st.just("**")), min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "", "", "/", "/*", "/**", "/**/"]),
    st.sampled_from(["", "", "", "\r", "  ", "\\ "]),
)
_rules = st.lists(st.one_of(_pattern, st.sampled_from(["*", "!*/"])), min_size=1, max_size=6).map("\n".join)


@settings(max_examples=150)
@given(gitignores=st.dictionaries(st.sampled_from(["", "a/", "a/b/"]), _rules, min_size=1, max_size=3))
def test_generated_rules_leave_out_what_git_leaves_out(judge: tuple[Project, Git], gitignores: Tree) -> None:
    assert_as_git(judge, gitignores)


# --- ours ------------------------------------------------------------------------------------------------------------


def test_configured_patterns_win_over_every_gitignore() -> None:
    rules = IgnoreRules(["*.log", "!keep.md"]).with_gitignore(b"", b"!*.log\nkeep.md\nother.md\n")
    answers = {path: rules.is_ignored(path) for path in (b"x.log", b"keep.md", b"other.md", b"a.md")}
    assert answers == {b"x.log": True, b"keep.md": False, b"other.md": True, b"a.md": False}


def test_rules_of_a_folder_do_not_reach_beside_it() -> None:
    root = IgnoreRules().with_gitignore(b"", b"*.log\n")
    inner = root.with_gitignore(b"a/", b"!x.log\n/y.md\n")
    assert not inner.is_ignored(b"a/x.log")
    assert root.is_ignored(b"a/x.log")
    assert inner.is_ignored(b"a/y.md")
    assert not inner.is_ignored(b"a/b/y.md")


def test_no_rules_ignore_nothing() -> None:
    assert not IgnoreRules().is_ignored(b"anything/")


@pytest.mark.parametrize("text", [b"[z-a]\n*.log\n", b"a[\n*.log\n", b"\\\n*.log", b"**a**b***[\n*.log", b"!\n*.log"])
def test_an_invalid_pattern_does_not_hide_the_others(text: bytes) -> None:
    assert IgnoreRules().with_gitignore(b"", text).is_ignored(b"x.log")
    assert IgnoreRules(text.decode().splitlines()).is_ignored(b"x.log")


def test_names_that_are_not_utf_8_are_matched() -> None:
    rules = IgnoreRules().with_gitignore(b"", b"raw\xe9.md\n")
    assert rules.is_ignored(b"raw\xe9.md")
    assert not rules.is_ignored(b"raw\xe8.md")


def test_names_with_a_newline_are_matched() -> None:
    rules = IgnoreRules().with_gitignore(b"", b"*.log\n")
    assert rules.is_ignored(b"new\nline.log")
    assert rules.is_ignored(b"folder\nname/x.log")


def test_a_pattern_matches_a_path_as_itself_and_not_what_is_below_it() -> None:
    rules = IgnoreRules(["away/", "/out"])
    answers = {path: rules.is_ignored(path) for path in (b"away/", b"away", b"away/a.md", b"a/out", b"out/", b"out/a")}
    ignored = {b"away/", b"out/"}
    assert answers == {path: path in ignored for path in answers}


@pytest.mark.parametrize("folder", ["", "a/", "a/b/"])
@pytest.mark.parametrize("pattern", ["*", "**", "a/*", "a/**", "**/*", "[!x]/*/", "a/**/", "a/b/*", "*/**/*/"])
def test_the_slash_of_a_folder_is_no_part_of_its_name(judge: tuple[Project, Git], folder: str, pattern: str) -> None:
    project, git = judge
    build(project, {folder: pattern})
    asked = [name for name in FOLDERS if name.startswith(folder) and name != folder]
    names = b"".join(name.removesuffix("/").encode() + b"\0" for name in asked)
    by_git = git.run("check-ignore", "--no-index", "-z", "--stdin", stdin=names).stdout.decode().split("\0")[:-1]
    rules = IgnoreRules().with_gitignore(folder.encode(), pattern.encode())
    ignored = [name for name in asked if rules.is_ignored(name.encode())]
    assert [name for name in asked if name.startswith(tuple(ignored))] == [name + "/" for name in by_git]


def test_a_file_without_a_pattern_adds_nothing() -> None:
    rules = IgnoreRules(["*.log"])
    assert rules.with_gitignore(b"a/", b"\xef\xbb\xbf# only a comment\r\n\n   \n") is rules


def test_a_folder_left_out_is_not_entered(project: Project) -> None:
    project.write(".gitignore", b"away/\n")
    project.write("away/deep/a.md")
    project.write("away/.gitignore", b"!*\n")
    project.write("here/a.md")
    report = project.status()
    assert [c.path for c in report.changes] == [b"here/a.md"]
    assert report.counters.dirs_seen == 2


def test_configured_patterns_leave_out_files_and_folders(project: Project) -> None:
    for name in ("a.md", "drafts/b.md", "sub/drafts/c.md", "x.log"):
        project.write(name)
    assert taken_in(project) == {b"a.md", b"drafts/b.md", b"sub/drafts/c.md", b"x.log"}
    options = Options(ignore=("/drafts/", "*.log"))
    assert set(project.changes(ignore=options.ignore)) == {b"a.md", b"sub/drafts/c.md"}


def test_an_ignore_file_does_not_count_as_read(project: Project) -> None:
    project.write(".gitignore", b"*.log\n")
    project.write("a.md")
    project.index_all()
    project.commit([project.entry("a.md")])
    counters = project.status().counters
    assert (counters.files_seen, counters.files_read, counters.bytes_read) == (1, 0, 0)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("elsewhere", path)])
def test_a_gitignore_that_is_no_file_rules_nothing(project: Project, make: Callable[[bytes], None]) -> None:
    project.write("elsewhere", b"*.md\n")
    project.write("a.md")
    make(project.path(".gitignore"))
    assert taken_in(project) == {b"a.md", b"elsewhere"}


def test_a_symlink_that_is_ignored_is_not_reported(project: Project) -> None:
    project.write(".gitignore", b"link\n")
    os.symlink("nowhere", project.path("link"))
    os.symlink("nowhere", project.path("other"))
    assert [s.path for s in project.status().skipped] == [b"other"]
