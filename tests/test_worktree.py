"""Finding and reading files, while others swap, grow and take away what is being read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.ignore import IgnoreRules
from bm_gitindex.index.entry import blob_id, sample_id, stat_only_id
from bm_gitindex.options import Options
from bm_gitindex.rules import Classifier, Kind, SkipReason
from bm_gitindex.worktree import placeholders
from bm_gitindex.worktree.reading import CHUNK_BYTES, ReadError, Reading, hash_file, read_gitignore, read_note
from bm_gitindex.worktree.tree import Tree
from bm_gitindex.worktree.walk import Scope, walk
from support import faults
from support.project import NS, OLD_S
from support.values import HELLO_ID, FakeStat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.project import Project


def walked(
    project: Project, *paths: bytes, options: Options | None = None
) -> tuple[list[bytes], dict[bytes, SkipReason]]:
    """Return the files that a walk finds, and what it passes over."""
    files: list[bytes] = []
    skipped: dict[bytes, SkipReason] = {}
    with Tree(project.root) as tree:
        for listing in walk(tree, Classifier(options or Options()), IgnoreRules(), Scope(paths)):
            files += [listing.prefix + name for name, _ in listing.files]
            skipped |= {skip.path: skip.reason for skip in listing.skipped}
    return files, skipped


def read(project: Project, path: bytes, kind: Kind = Kind.NOTE) -> Reading:
    with Tree(project.root) as tree:
        return hash_file(tree, path, kind)


def reason_not_read(project: Project, path: bytes, kind: Kind = Kind.NOTE) -> SkipReason:
    with pytest.raises(ReadError) as caught:
        read(project, path, kind)
    assert caught.value.skipped.path == path
    return caught.value.skipped.reason


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


# --- what is found ---------------------------------------------------------------------------------------------------


def test_folders_come_before_what_is_below_them_and_each_is_listed_once(project: Project) -> None:
    for name in ("b.md", "a/c.md", "a/b/d.md", "z/e.md"):
        project.write(name)
    with Tree(project.root) as tree:
        prefixes = [listing.prefix for listing in walk(tree, Classifier(Options()), IgnoreRules(), Scope())]
    assert prefixes == [b"", b"a/", b"a/b/", b"z/"]
    assert sorted(walked(project)[0]) == [b"a/b/d.md", b"a/c.md", b"b.md", b"z/e.md"]


def test_symlinks_are_never_followed(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    project.write("real/a.md")
    links = {
        "to-file.md": "real/a.md",
        "to-folder": "real",
        "dangling.md": "nowhere",
        "loop": "loop",
        "real/up": "..",
        "out": str(outside),
        "out.md": str(outside / "secret.md"),
    }
    for name, target in links.items():
        os.symlink(target, project.path(name))
    files, skipped = walked(project)
    assert files == [b"real/a.md"]
    assert skipped == dict.fromkeys(map(os.fsencode, links), SkipReason.SYMLINK)


def test_an_ignore_file_that_has_grown_beyond_its_bound_is_not_read(project: Project) -> None:
    project.write(".gitignore", b"*.txt\n")
    with Tree(project.root) as tree:
        assert read_gitignore(tree, b".gitignore", 6) == b"*.txt\n"
        with pytest.raises(ReadError) as caught:
            read_gitignore(tree, b".gitignore", 5)
    assert caught.value.skipped.reason is SkipReason.UNSTABLE


@pytest.mark.parametrize("path", [b"out/secret.md", b"out.md", b"out"])
def test_nothing_outside_the_root_is_read_through_a_symlink(project: Project, tmp_path: Path, path: bytes) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    os.symlink(outside, project.path("out"))
    os.symlink(outside / "secret.md", project.path("out.md"))
    assert reason_not_read(project, path) is SkipReason.UNSTABLE
    assert reason_not_read(project, path, Kind.STAT_ONLY) is SkipReason.UNSTABLE


def test_a_root_that_is_a_symlink_is_followed(project: Project, tmp_path: Path) -> None:
    project.write("a.md")
    os.symlink(project.root, tmp_path / "link")
    with Tree(tmp_path / "link") as tree:
        assert hash_file(tree, b"a.md", Kind.NOTE).blob_id == HELLO_ID


def make_fifo(path: bytes) -> None:
    os.mkfifo(path)


def make_socket(path: bytes) -> None:
    # From inside its folder, since the address of a socket has room for few bytes.
    with contextlib.chdir(os.path.dirname(path)), socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.basename(path))


def make_device(path: bytes) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only a superuser may make a device")


def make_symlink(path: bytes) -> None:
    os.symlink(b"/etc/hostname", path)


def make_folder(path: bytes) -> None:
    os.mkdir(path)


SPECIAL: dict[str, tuple[Callable[[bytes], None], SkipReason]] = {
    "fifo": (make_fifo, SkipReason.FIFO),
    "socket": (make_socket, SkipReason.SOCKET),
    "device": (make_device, SkipReason.DEVICE),
    "symlink": (make_symlink, SkipReason.SYMLINK),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_no_regular_file_is_skipped_with_its_kind(project: Project, name: str) -> None:
    make, reason = SPECIAL[name]
    make(project.path("thing.md"))
    assert walked(project) == ([], {b"thing.md": reason})


@pytest.mark.parametrize("make", [make_fifo, make_socket, make_device, make_symlink, make_folder])
@pytest.mark.parametrize("kind", Kind)
def test_what_took_the_place_of_a_file_is_not_read_and_does_not_hang(
    project: Project, make: Callable[[bytes], None], kind: Kind
) -> None:
    make(project.path("a.md"))
    before = open_descriptors()
    assert reason_not_read(project, b"a.md", kind) in (SkipReason.UNSTABLE, SkipReason.UNREADABLE)
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "name", [b"new\nline.md", b"tab\t.md", b"raw\xe9\xff.md", b"back\\slash.md", b"caf\xc3\xa9.md"]
)
def test_names_are_bytes(project: Project, name: bytes) -> None:
    project.write(name)
    project.write(b"folder-" + name + b"/" + name)
    assert sorted(walked(project)[0]) == sorted([name, b"folder-" + name + b"/" + name])
    assert read(project, name).blob_id == HELLO_ID


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system takes both for one")
def test_f21_nfc_and_nfd_are_two_files(project: Project) -> None:
    names = [b"\xc3\xa9.md", b"e\xcc\x81.md"]
    for name in names:
        project.write(name, name)
    assert sorted(walked(project)[0]) == sorted(names)
    project.index_all()
    assert project.status().is_clean


def test_a_tree_deeper_than_a_path_may_be_long(project: Project) -> None:
    parts = [b"%03d" % n + b"x" * 96 for n in range(60)]
    fd = os.open(project.root, os.O_RDONLY)
    for part in parts:
        os.mkdir(part, dir_fd=fd)
        below = os.open(part, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    leaf = os.open(b"leaf.md", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
    os.write(leaf, b"hello\n")
    os.close(leaf)
    os.close(fd)
    path = b"/".join([*parts, b"leaf.md"])
    assert len(path) > 4096
    before = open_descriptors()
    assert walked(project) == ([path], {})
    assert read(project, path).blob_id == HELLO_ID
    assert open_descriptors() == before
    assert {c.path for c in project.status().changes} == {path}
    project.commit([project.entry(path)])
    assert project.status().is_clean


def test_only_few_folders_are_held_open(project: Project) -> None:
    for number in range(100):
        project.write(f"{number}/a/b.md")
    before = open_descriptors()
    with Tree(project.root) as tree:
        for number in range(100):
            hash_file(tree, b"%d/a/b.md" % number, Kind.NOTE)
        assert open_descriptors() - before <= 40
    assert open_descriptors() == before


def test_hidden_temporary_and_state_names_are_left_out(project: Project) -> None:
    for name in (".hidden.md", ".obsidian/x.md", "a.md~", "sub/.DS_Store", "a.md"):
        project.write(name)
    assert walked(project) == ([b"a.md"], {})
    files, _ = walked(project, options=Options(include_hidden=True, include_temporary=True))
    assert sorted(files) == [b".hidden.md", b".obsidian/x.md", b"a.md", b"a.md~", b"sub/.DS_Store"]


@pytest.mark.parametrize("name", [b".git", b".GIT", b".Git"])
@pytest.mark.parametrize("is_folder", [True, False])
def test_f18_what_git_calls_its_own_is_never_taken_in(project: Project, name: bytes, is_folder: bool) -> None:
    project.write(name + b"/config" if is_folder else name)
    project.write(b"sub/" + name + b"/config")
    assert walked(project) == ([], {})
    files, skipped = walked(project, options=Options(include_hidden=True))
    assert files == []
    assert skipped == {name: SkipReason.NAME, b"sub/" + name: SkipReason.NAME}


# --- the scope -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "is_inside", "is_led_to"),
    [
        (b"a/b", True, True),
        (b"a/b/c", True, True),
        (b"a", False, True),
        (b"", False, True),
        (b"a/bc", False, False),
        (b"x", True, True),
        (b"xy", False, False),
    ],
)
def test_a_scope_is_some_paths_and_what_is_below(path: bytes, is_inside: bool, is_led_to: bool) -> None:
    scope = Scope((b"a/b", b"x"))
    assert (path in scope) is is_inside
    assert scope.leads_to(path) is is_led_to
    assert path in Scope()


# --- swapped while the walk is under way -----------------------------------------------------------------------------


def test_a_folder_that_a_symlink_replaces_before_it_is_opened_is_not_entered(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    project.write("a.md")
    project.write("sub/b.md")
    project.index_all()
    with Tree(project.root) as tree:
        listings = walk(tree, Classifier(Options()), IgnoreRules(), Scope())
        next(listings)
        os.rename(project.path("sub"), tmp_path / "taken")
        os.symlink(outside, project.path("sub"))
        (rest,) = listings
    assert rest.files == []
    assert [(s.path, s.reason) for s in rest.skipped] == [(b"sub", SkipReason.UNSTABLE)]
    assert rest.skipped[0].reason.keeps_known


def test_a_folder_that_is_gone_before_it_is_opened_keeps_what_is_known(project: Project) -> None:
    project.write("sub/b.md")
    with Tree(project.root) as tree:
        listings = walk(tree, Classifier(Options()), IgnoreRules(), Scope())
        next(listings)
        os.unlink(project.path("sub/b.md"))
        os.rmdir(project.path("sub"))
        (rest,) = listings
    assert [s.reason for s in rest.skipped] == [SkipReason.VANISHED]


def test_an_entry_of_unknown_type_that_cannot_be_looked_at_is_skipped(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("a.md")
    faults.override_entry(monkeypatch, "a.md", is_dir=faults.raising(OSError(5, "Input/output error")))
    assert walked(project) == ([], {b"a.md": SkipReason.UNREADABLE})


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), PermissionError(13, "denied")])
def test_a_folder_whose_stat_fails_where_placeholders_exist_is_skipped(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    project.write("sub/a.md")
    monkeypatch.setattr(placeholders, "HAS_PLACEHOLDERS", True)
    faults.override_entry(monkeypatch, "sub", stat=faults.raising(error))
    assert walked(project)[0] == []


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_a_reading_belongs_together(project: Project, size: int) -> None:
    data = bytes(range(256)) * 800
    project.write("a.md", data[:size])
    expected = blob_id(data[:size])
    hashed = read(project, b"a.md", Kind.FILE)
    assert (hashed.blob_id, hashed.data, hashed.bytes_read, hashed.stat.st_size) == (expected, None, size, size)
    with Tree(project.root) as tree:
        whole = read_note(tree, b"a.md", max_bytes=10**6)
    assert (whole.blob_id, whole.data, whole.bytes_read) == (expected, data[:size], size)


def test_a_note_beyond_the_bound_is_hashed_and_not_kept(project: Project) -> None:
    project.write("a.md", b"x" * 11)
    with Tree(project.root) as tree:
        assert read_note(tree, b"a.md", max_bytes=10).data is None
        assert read_note(tree, b"a.md", max_bytes=11).data == b"x" * 11


def test_a_large_file_is_read_in_chunks(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.sparse("a.bin", 1_000_000)
    asked: list[int] = []
    real = os.read

    def counted(fd: int, size: int) -> bytes:
        asked.append(size)
        return real(fd, size)

    monkeypatch.setattr(os, "read", counted)
    reading = read(project, b"a.bin", Kind.FILE)
    assert reading.blob_id == hashlib.sha1(b"blob 1000000\0" + bytes(1_000_000), usedforsecurity=False).digest()
    assert max(asked) <= CHUNK_BYTES


def test_a_stat_only_file_is_looked_at_and_not_opened(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.sparse("film.mkv", 5 * 1024**3)
    monkeypatch.setattr(Tree, "open_file", lambda *_: pytest.fail("opened"))
    reading = read(project, b"film.mkv", Kind.STAT_ONLY)
    assert reading.blob_id == stat_only_id(5 * 1024**3, OLD_S * NS)
    assert (reading.bytes_read, reading.data) == (0, None)


@pytest.mark.parametrize("size", [10, 65_536, 100_000, 131_072, 500_000])
def test_a_sample_is_size_and_both_ends(project: Project, size: int) -> None:
    data = os.urandom(size)
    project.write("a.bin", data)
    reading = read(project, b"a.bin", Kind.SAMPLE)
    assert reading.blob_id == sample_id(size, data[:65_536] + data[-65_536:])
    assert reading.bytes_read == 2 * min(size, 65_536)


def change_while_reading(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Let something happen to the file after the first bytes of it were read."""
    has_happened = False

    def wrapped(real: Callable[..., bytes]) -> Callable[..., bytes]:
        def call(*args: int) -> bytes:
            nonlocal has_happened
            data = real(*args)
            if not has_happened:
                has_happened = True
                change()
            return data

        return call

    for name in ("read", "pread"):
        monkeypatch.setattr(os, name, wrapped(getattr(os, name)))


READERS: dict[str, Callable[[Tree], Reading]] = {
    "read_note": lambda tree: read_note(tree, b"a.md", 10**9),
    "hash_file": lambda tree: hash_file(tree, b"a.md", Kind.FILE),
    "sample": lambda tree: hash_file(tree, b"a.md", Kind.SAMPLE),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite", "chmod"])
def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_run(
    project: Project, monkeypatch: pytest.MonkeyPatch, reader: str, change: str
) -> None:
    project.write("a.md", b"x" * 300_000)
    path = project.path("a.md")
    changes: dict[str, Callable[[], None]] = {
        "grow": lambda: os.truncate(path, 300_001),
        "shrink": lambda: os.truncate(path, 5),
        "rewrite": lambda: project.write("a.md", b"y" * 300_000, OLD_S + 1),
        "chmod": lambda: os.chmod(path, 0o700),
    }
    change_while_reading(monkeypatch, changes[change])
    before = open_descriptors()
    with Tree(project.root) as tree, pytest.raises(ReadError) as caught:
        READERS[reader](tree)
    assert caught.value.skipped.reason is SkipReason.UNSTABLE
    assert caught.value.skipped.reason.keeps_known
    assert open_descriptors() == before


@pytest.mark.parametrize("reader", READERS)
def test_an_error_while_reading_names_the_file(project: Project, monkeypatch: pytest.MonkeyPatch, reader: str) -> None:
    project.write("a.md")
    for name in ("read", "pread"):
        monkeypatch.setattr(os, name, faults.raising(OSError(5, "Input/output error")))
    with Tree(project.root) as tree, pytest.raises(ReadError) as caught:
        READERS[reader](tree)
    skipped = caught.value.skipped
    assert (skipped.path, skipped.reason, skipped.detail) == (b"a.md", SkipReason.UNREADABLE, "Input/output error")


def test_hashing_a_file_that_never_stops_growing_ends(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("a.md", b"x" * 10)
    calls = 0

    def endless(fd: int, size: int) -> bytes:
        nonlocal calls
        calls += 1
        return b"x" * size if calls < 1000 else b""

    monkeypatch.setattr(os, "read", endless)
    assert reason_not_read(project, b"a.md", Kind.FILE) is SkipReason.UNSTABLE
    assert calls < 10


@pytest.mark.parametrize("reader", ["read_note", "hash_file"])
def test_a_file_that_ends_before_its_size_is_not_taken_for_whole(
    project: Project, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    project.write("a.md", b"hello\n")
    monkeypatch.setattr(os, "read", lambda fd, size: b"")
    with Tree(project.root) as tree, pytest.raises(ReadError) as caught:
        READERS[reader](tree)
    assert caught.value.skipped.reason is SkipReason.UNSTABLE


def test_short_reads_are_continued(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("a.md", b"hello\n")
    real = os.read
    monkeypatch.setattr(os, "read", lambda fd, size: real(fd, min(size, 2)))
    with Tree(project.root) as tree:
        assert read_note(tree, b"a.md", 100).data == b"hello\n"
        assert hash_file(tree, b"a.md", Kind.FILE).blob_id == HELLO_ID


def test_an_unreadable_file_is_skipped_and_what_is_known_stays(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("a.md")
    project.write("b.md", b"other")
    project.index_all(OLD_S)
    faults.deny_file(monkeypatch, b"a.md")
    report = project.status()
    assert report.is_clean
    assert [(s.path, s.reason, s.detail) for s in report.skipped] == [
        (b"a.md", SkipReason.UNREADABLE, "Permission denied")
    ]
    assert report.skipped[0].reason.is_failure


def test_a_file_whose_open_descriptor_cannot_be_looked_at_is_let_go_of(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("a.md")
    before = open_descriptors()
    with Tree(project.root) as tree, monkeypatch.context() as patch:
        patch.setattr(os, "fstat", faults.raising(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(ReadError) as caught:
            read_note(tree, b"a.md", 100)
    assert open_descriptors() == before
    assert caught.value.skipped == (b"a.md", SkipReason.UNREADABLE, "Input/output error")


@pytest.mark.parametrize("make", [make_fifo, make_symlink, make_folder])
def test_a_file_swapped_between_lstat_and_open_is_skipped_as_unstable(
    project: Project, monkeypatch: pytest.MonkeyPatch, make: Callable[[bytes], None]
) -> None:
    project.write("a.md")
    project.index_all(OLD_S)
    real = Tree.open_file

    def swap(self: Tree, path: bytes) -> int:
        os.unlink(project.path(path))
        make(project.path(path))
        return real(self, path)

    monkeypatch.setattr(Tree, "open_file", swap)
    report = project.status()
    assert report.is_clean
    assert [(s.path, s.reason) for s in report.skipped] == [(b"a.md", SkipReason.UNSTABLE)]


def test_reading_changes_nothing_but_perhaps_the_atime(project: Project) -> None:
    project.write("a.md")
    before = os.lstat(project.path("a.md"))
    read(project, b"a.md")
    after = os.lstat(project.path("a.md"))
    fields = ("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_nlink")
    assert [getattr(before, f) for f in fields] == [getattr(after, f) for f in fields]


@pytest.mark.parametrize("call", ["lstat", "open_file"])
def test_a_gitignore_that_cannot_be_read_is_told_and_leaves_nothing_out(
    project: Project, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    project.write(".gitignore", b"*.log\n")
    project.write("a.log")
    monkeypatch.setattr(Tree, call, faults.raising(faults.DENIED))
    files, skipped = walked(project)
    assert (files, skipped[b".gitignore"]) == ([b"a.log"], SkipReason.UNREADABLE)


# --- placeholders ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("st", "answer"),
    [
        (FakeStat(), False),
        (object(), False),
        (FakeStat(st_flags=0x4000_0000), True),
        (FakeStat(st_flags=0x0000_0020), False),
        (FakeStat(st_file_attributes=0x0040_0000), True),
        (FakeStat(st_file_attributes=0x0004_0000), True),
        (FakeStat(st_file_attributes=0x0000_0020), False),
    ],
)
def test_a_placeholder_is_known_by_its_flags(st: object, answer: bool) -> None:
    assert placeholders.is_placeholder(st) is answer


def test_a_gitignore_that_is_a_placeholder_is_not_fetched(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(".gitignore", b"*.log\n")
    faults.mark_placeholders(monkeypatch, project.path(".gitignore"))
    monkeypatch.setattr(Tree, "open_file", lambda *_: pytest.fail("opened"))
    walked(project)
