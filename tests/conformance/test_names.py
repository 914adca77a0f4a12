"""Names: which of them an index may hold, and that a name is its bytes and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.errors import IndexDamagedError
from bm_gitindex.index.codec import decode, is_valid_path
from bm_gitindex.index.encoding import encode, encode_entry
from bm_gitindex.rules import SkipReason
from support.beside import CLEAN, paths_read
from support.values import SOME_ID, entry, header, record, sealed, updated

if TYPE_CHECKING:
    from support.beside import Beside

SOME = SOME_ID.hex().encode()
FORBIDDEN = [
    *(b".git/x", b"a/.git", b".git", b"a/.git/b", b"../x", b"a/..", b"..", b"a//b", b"./a", b"a/.", b"."),
    *(b"/a", b"dir/", b"/"),
]


def git_takes(both: Beside, path: bytes) -> bool:
    """Return whether git stores an entry of this name."""
    both.git.index.unlink(missing_ok=True)
    both.git.run("update-index", "-z", "--index-info", stdin=b"100644 " + SOME + b" 0\t" + path + b"\0")
    return path in paths_read(both.as_git_reads())


@pytest.mark.parametrize("path", FORBIDDEN)
def test_f18_a_path_that_leads_elsewhere_is_never_in_the_index(both: Beside, path: bytes) -> None:
    assert not git_takes(both, path)
    with pytest.raises(ValueError, match="path"):
        encode([entry(path)])
    read = both.read(sealed(header(1) + record(path)))
    assert isinstance(read.git, list)  # git looks when it writes, and not when it reads
    assert read.ours is IndexDamagedError


@pytest.mark.parametrize("path", [b".GIT", b".Git/x", b"a/.gIT/b"])
def test_f60_gits_own_folder_is_forbidden_in_any_case_of_its_letters(both: Beside, path: bytes) -> None:
    assert not git_takes(both, path)
    assert not is_valid_path(path)
    assert both.read(sealed(header(1) + record(path))).ours is IndexDamagedError
    both.with_options(include_hidden=True).write(path + b"/config")
    assert both.project.changes() == {}
    reasons = {reason for _, reason, _ in both.project.status().skipped}
    assert reasons == {SkipReason.NAME}


@pytest.mark.parametrize("path", [b"git~1/x", b".git./x", b".git /x", b".git::$INDEX_ALLOCATION/x", b"a\\.git\\b"])
def test_f61_what_windows_would_take_for_gits_own_folder_is_a_name_like_any_other(both: Beside, path: bytes) -> None:
    """git guards against it on every system (core.protectNTFS); nothing here is ever checked out from an index."""
    assert not git_takes(both, path)
    assert is_valid_path(path)
    read = both.read(encode([entry(path)]))
    assert paths_read(read.git) == paths_read(read.ours) == [path]


@pytest.mark.parametrize(
    "path", [b"a.git", b".gitx/a", b"...", b"a/...", b"..a", b".gitmodules", b".git-x", b"x.git/a"]
)
def test_f62_what_only_looks_like_a_forbidden_name_is_allowed(both: Beside, path: bytes) -> None:
    assert git_takes(both, path)
    assert is_valid_path(path)


def add_by_both(both: Beside, names: list[bytes]) -> None:
    """Let git index the files of these names, and show that our index of them is the same."""
    for name in names:
        both.write(name, name)
    both.by_mtime()
    both.git.add(*names)
    by_git = both.git.entries()
    both.index()
    both.lend()
    assert both.git.entries() == by_git
    assert sorted(names) == [e.path for e in by_git] == list(both.project.read().index)
    assert both.answers() == (CLEAN, CLEAN, 0)


@pytest.mark.parametrize(
    "name",
    [
        *(b"CON.md", b"aux", b"nul.txt", b"a:b.md", b"a\\b.md", b"a?.md", b"trailing. ", b"trailing.", b" leading.md"),
        *(b"-n.md", b"--.md", b"~.md", b"$HOME.md", b"*.md", b"[a].md", b"!.md", b"#.md"),
    ],
)
def test_f63_a_name_that_another_system_forbids_is_a_name(both: Beside, name: bytes) -> None:
    add_by_both(both, [name, b"sub/" + name])


@pytest.mark.parametrize("name", [b"line\nbreak.md", b"tab\t.md", b'"quoted".md', b"\x01\x7f.md", b"return\r.md"])
def test_f64_a_name_with_control_characters_is_a_name(both: Beside, name: bytes) -> None:
    add_by_both(both, [name])


def test_f21_names_that_look_alike_stay_different(both: Beside) -> None:
    names = [b"\xc3\xa9.md", b"e\xcc\x81.md", b"\xe9.md"]
    both.git.cacheinfo(*(b"100644 " + SOME + b" 0\t" + name for name in names))
    read = both.read(both.git.index.read_bytes())
    assert set(paths_read(read.ours)) == set(paths_read(read.git)) == set(names)
    distinct_files(both, names)


def test_f65_names_that_differ_in_case_stay_different(both: Beside) -> None:
    distinct_files(both, [b"Note.md", b"note.md", b"NOTE.md"])


def distinct_files(both: Beside, names: list[bytes]) -> None:
    for name in names:
        both.write(name, name)
    if sorted(both.project.files()) != sorted(names):
        pytest.skip("the file system takes some of the names for one")
    both.git.index.unlink(missing_ok=True)
    add_by_both(both, names)


def test_f66_a_name_may_be_as_long_as_the_system_allows(both: Beside) -> None:
    add_by_both(both, [b"n" * 252 + b".md", b"d" * 255 + b"/" + b"m" * 252 + b".md"])


def test_f67_a_path_longer_than_git_can_open_is_a_path(both: Beside) -> None:
    path = b"/".join(b"%03d" % n + b"x" * 196 for n in range(21)) + b"/leaf.md"
    assert len(path) > 4096
    write_step_by_step(both, path)
    assert both.project.changes() == {path: "added"}
    both.commit([both.entry(path)])
    assert both.project.status().is_clean
    both.lend()
    done = both.git.run("diff-files", "--name-only")
    assert b"File name too long" in done.stderr
    assert path in paths_read(both.as_git_reads())


def write_step_by_step(both: Beside, path: bytes) -> None:
    """Write a file whose path the system would not take as a whole."""
    *folders, name = path.split(b"/")
    fd = os.open(both.project.root, os.O_RDONLY)
    for folder in folders:
        os.mkdir(folder, dir_fd=fd)
        below = os.open(folder, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)


@pytest.mark.parametrize("names", [[b"a", b"a/b"], [b"a", b"a.md", b"a/b/c"]])
def test_f19_a_file_and_a_folder_of_one_name_are_never_together(both: Beside, names: list[bytes]) -> None:
    read = both.read(sealed(header(len(names)) + b"".join(map(record, names))))
    assert paths_read(read.git) == names  # git looks when it adds, and not when it reads
    assert read.ours is IndexDamagedError
    both.git.index.unlink()
    both.git.cacheinfo(*(b"100644 " + SOME + b" 0\t" + name for name in names))
    assert names[0] not in [e.path for e in both.git.entries()]
    for known, added in ((names[0], names[-1]), (names[-1], names[0])):
        with pytest.raises(ValueError, match="folder"):
            updated(decode(encode([entry(known)])), {added: encode_entry(entry(added))})
