"""Whatever happens between two statuses, what is remembered of the first changes nothing in the second."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex import Project as PublicProject
from bm_gitindex import changes as changing
from bm_gitindex import indexfile
from bm_gitindex import memory as remembering
from bm_gitindex.changes import Status, status
from bm_gitindex.errors import IndexDamagedError
from bm_gitindex.index.codec import decode
from bm_gitindex.index.compare import YOUNG_MARGIN_S, Evidence
from bm_gitindex.index.stat import Trust
from bm_gitindex.memory import Memory
from bm_gitindex.native import native
from bm_gitindex.rules import Classifier
from bm_gitindex.worktree import proof as proving
from bm_gitindex.worktree.tree import Tree
from support.git import Git
from support.profile import NIGHTLY
from support.project import BY_CTIME, BY_MTIME, LATE_S, NS, OLD_S, Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bm_gitindex.index.entry import Index

needs_native = pytest.mark.skipif(native is None, reason="bm_gitindex._native was not compiled")

FOLDERS = [b"", b"a", b"a/b", b"c"]
NAMES = [b"one.md", b"two.md", b".gitignore", b"odd~", b"d"]
PATHS = [os.path.join(folder, name) for folder in FOLDERS for name in NAMES] + FOLDERS[1:]
DATA = [b"hello\n", b"jello\n", b"longer, by far\n", b"", b"*.md\n", b"a/\n!one.md\n", b"d\n/c\n"]


class Clock:
    """The time as a test has it; by default so late that nothing is too young to be remembered."""

    def __init__(self, second: int = LATE_S + 100) -> None:
        self.second = second

    def __call__(self) -> int:
        return self.second * NS


def at(second: int) -> Memory:
    return Memory(Clock(second), still)


def late() -> Memory:
    return Memory(Clock(), still)


def still() -> int:
    return 0


def said(found: Status) -> tuple[object, ...]:
    """Return everything that a status says, but for how long it took."""
    counters = found.counters
    counted = counters.files_seen, counters.dirs_seen, counters.files_read, counters.bytes_read
    return found.changes, found.skipped, counted


def asked(project: Project, memory: Memory | None) -> tuple[object, ...]:
    return said(status(project.root, project.state, project.options, memory=memory))


def let_the_clock_tick(folder: Path) -> None:
    """Return as soon as a change has a later time than those before, as it has for whoever waits for the margin."""
    probe = folder / "probe"
    probe.touch()
    first = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == first:
        os.utime(probe)


class Vault(NamedTuple):
    project: Project
    beside: Path

    def settle(self) -> None:
        """Take what is there for known."""
        self.project.index_all()
        let_the_clock_tick(self.beside)

    def times(self) -> dict[bytes, tuple[int, int]]:
        """Return the times of the folders."""
        stats = {folder: os.lstat(self.project.path(folder)) for folder in FOLDERS if self.is_folder(folder)}
        return {folder: (found.st_atime_ns, found.st_mtime_ns) for folder, found in stats.items()}

    def put_back(self, times: dict[bytes, tuple[int, int]]) -> None:
        for folder, ns in times.items():
            if self.is_folder(folder):
                os.utime(self.project.path(folder), ns=ns)

    def is_folder(self, path: bytes) -> bool:
        full = self.project.path(path)
        return os.path.isdir(full) and not os.path.islink(full)


def vault(folder: Path) -> Vault:
    root, beside = folder / "root", folder / "beside"
    root.mkdir()
    beside.mkdir()
    made = Vault(Project(root), beside)
    for path in (b"one.md", b"two.md", b"a/one.md", b"a/two.md", b"a/b/one.md", b"c/one.md"):
        made.project.write(path)
    made.settle()
    return made


@pytest.fixture
def settled(tmp_path: Path) -> Vault:
    return vault(tmp_path)


@pytest.fixture
def git(settled: Vault, tmp_path: Path) -> Git:
    return Git(tmp_path / "git", settled.project.state.index, settled.project.root)


# --- what may happen between two statuses ----------------------------------------------------------------------------


def _write(here: Vault, path: bytes, data: bytes) -> None:
    with open(here.project.path(path), "wb") as file:
        file.write(data)


def _edit_in_place(here: Vault, path: bytes, data: bytes) -> None:
    full = here.project.path(path)
    before = os.lstat(full)
    with open(full, "r+b") as file:
        file.write(data[: before.st_size])
    os.utime(full, ns=(before.st_atime_ns, before.st_mtime_ns))


def _remove(here: Vault, path: bytes, _: bytes) -> None:
    if path:
        full = here.project.path(path)
        shutil.rmtree(full) if here.is_folder(path) else os.unlink(full)


def _rename(here: Vault, path: bytes, to: bytes) -> None:
    if path and to in PATHS:
        os.rename(here.project.path(path), here.project.path(to))


def _swap(here: Vault, path: bytes, with_path: bytes) -> None:
    if path and with_path in PATHS and os.path.lexists(here.project.path(with_path)):
        aside = here.project.path(b"aside")
        os.rename(here.project.path(path), aside)
        with suppress(OSError):
            os.rename(here.project.path(with_path), here.project.path(path))
        os.rename(aside, here.project.path(with_path if not os.path.lexists(here.project.path(with_path)) else path))


def _make_folder(here: Vault, path: bytes, _: bytes) -> None:
    os.mkdir(here.project.path(path))


def _replace_by_folder(here: Vault, path: bytes, data: bytes) -> None:
    _remove(here, path, data)
    os.mkdir(here.project.path(path))
    _write(here, path + b"/one.md", data)


def _replace_by_file(here: Vault, path: bytes, data: bytes) -> None:
    _remove(here, path, data)
    _write(here, path, data)


def _replace_by_link(here: Vault, path: bytes, to: bytes) -> None:
    _remove(here, path, to)
    os.symlink(here.project.path(to if to in PATHS else b"c"), here.project.path(path))


def _copy_over(here: Vault, path: bytes, to: bytes) -> None:
    """Put a copy of a folder, times and all, in the place of another."""
    if here.is_folder(path) and to in PATHS and not to.startswith(path):
        _remove(here, to, b"")
        source, target = os.fsdecode(here.project.path(path)), os.fsdecode(here.project.path(to))
        shutil.copytree(source, target, symlinks=True)


def _rename_over(here: Vault, path: bytes, data: bytes) -> None:
    _write(here, b"c/draft", data)
    os.rename(here.project.path(b"c/draft"), here.project.path(path))


def _settle(here: Vault, *_: bytes) -> None:
    here.settle()


WITH_DATA = [_write, _edit_in_place, _remove, _make_folder, _replace_by_folder, _replace_by_file, _rename_over, _settle]
WITH_PATH = [_rename, _swap, _replace_by_link, _copy_over]
deeds = st.one_of(
    st.tuples(st.sampled_from(WITH_DATA), st.sampled_from(PATHS), st.sampled_from(DATA), st.booleans()),
    st.tuples(st.sampled_from(WITH_PATH), st.sampled_from(PATHS), st.sampled_from(PATHS), st.booleans()),
)


def do(here: Vault, deed: Callable[[Vault, bytes, bytes], object], path: bytes, other: bytes, puts_back: bool) -> None:
    """Do something, if it can be done, and perhaps put back all that can be put back of when it was done."""
    times = here.times()
    with suppress(OSError):
        deed(here, path, other)
    if puts_back:
        here.put_back(times)


@pytest.mark.parametrize("prover", ["python", pytest.param("compiled", marks=needs_native)])
@settings(max_examples=1500 if NIGHTLY else 150)
@given(rounds=st.lists(st.lists(deeds, max_size=3), min_size=1, max_size=6))
def test_a_project_that_remembers_says_what_a_fresh_one_says(
    tmp_path_factory: pytest.TempPathFactory, prover: str, rounds: list[list[tuple[object, ...]]]
) -> None:
    here = vault(tmp_path_factory.mktemp("vault"))
    memory = late()
    with pytest.MonkeyPatch.context() as monkeypatch:
        if prover == "python":
            monkeypatch.setattr(proving, "native", None)
        asked(here.project, memory)
        for round_ in rounds:
            for deed in round_:
                do(here, *deed)  # type: ignore[arg-type]
            assert asked(here.project, memory) == asked(here.project, None)
            let_the_clock_tick(here.beside)


BETWEEN: list[tuple[Callable[[Vault, bytes, bytes], object], bytes, bytes]] = [
    (_write, b"a/new.md", b"new\n"),
    (_write, b"a/.gitignore", b"one.md\n"),
    (_write, b".gitignore", b"a/\n"),
    (_edit_in_place, b"a/one.md", b"jello\n"),
    (_remove, b"a/one.md", b""),
    (_remove, b"a/b", b""),
    (_rename, b"a/one.md", b"a/odd~"),
    (_rename, b"a/one.md", b"c/two.md"),
    (_rename, b"a/b", b"c/d"),
    (_rename, b"a", b"d"),
    (_swap, b"a", b"c"),
    (_swap, b"a/one.md", b"c/one.md"),
    (_swap, b"a/b", b"c/one.md"),
    (_replace_by_folder, b"a/one.md", b"hello\n"),
    (_replace_by_file, b"a/b", b"hello\n"),
    (_replace_by_link, b"a", b"c"),
    (_replace_by_link, b"a/b", b"c"),
    (_replace_by_link, b"a/one.md", b"a/two.md"),
    (_copy_over, b"a/b", b"c"),
    (_rename_over, b"a/one.md", b"jello\n"),
]


@needs_native
@pytest.mark.parametrize("puts_back", [False, True], ids=["", "times put back"])
@pytest.mark.parametrize(
    ("deed", "path", "other"), BETWEEN, ids=[f"{deed.__name__} {path!r} {other!r}" for deed, path, other in BETWEEN]
)
def test_what_happens_between_two_statuses_is_seen(
    settled: Vault, deed: Callable[[Vault, bytes, bytes], object], path: bytes, other: bytes, puts_back: bool
) -> None:
    memory = late()
    before = asked(settled.project, memory)
    do(settled, deed, path, other, puts_back)
    found = asked(settled.project, memory)
    assert found == asked(settled.project, None)
    assert found != before
    let_the_clock_tick(settled.beside)
    _write(settled, b"c/newer.md", b"newer\n") if settled.is_folder(b"c") else None
    assert asked(settled.project, memory) == asked(settled.project, None)


def test_an_ignore_file_is_read_again_though_its_folder_did_not_change(settled: Vault) -> None:
    _write(settled, b"a/.gitignore", b"*.txt\n")
    memory = late()
    assert asked(settled.project, memory) == asked(settled.project, None)
    _edit_in_place(settled, b"a/.gitignore", b"on*.md\n"[:6])
    found = asked(settled.project, memory)
    assert found == asked(settled.project, None)
    assert b"a/one.md" in {change.path for change in found[0]}  # type: ignore[attr-defined]


@needs_native
@pytest.mark.parametrize(
    "options",
    [{"include_hidden": True}, {"include_temporary": True}, {"ignore": ("a/",)}, {"large_file_bytes": 3}],
    ids=str,
)
def test_other_options_are_asked_anew(settled: Vault, options: dict[str, object]) -> None:
    for name in (b"a/.hidden.md", b"a/odd~"):
        _write(settled, name, b"hello\n")
    memory = late()
    asked(settled.project, memory)
    settled.project.options = BY_CTIME._replace(**options)  # type: ignore[arg-type]
    assert asked(settled.project, memory) == asked(settled.project, None)


# --- what is remembered, and when ------------------------------------------------------------------------------------


@pytest.fixture
def marked(settled: Vault) -> Vault:
    """A vault with a file in each folder that the index does not know."""
    for folder in FOLDERS:
        _write(settled, os.path.join(folder, b"new-.md"), b"new\n")
    let_the_clock_tick(settled.beside)
    return settled


def listed(project: Project, memory: Memory) -> list[bytes]:
    """Return the folders that are listed anew: what is remembered has another name for the file that marks each."""
    kept = memory._listings
    if kept is not None:
        memory._listings = kept._replace(records=kept.records.replace(b"new-", b"now-"))
    found = status(project.root, project.state, project.options, memory=memory)
    return sorted(os.path.dirname(change.path) for change in found.changes if b"new-" in change.path)


def find_unproven(project: Project, memory: Memory) -> set[bytes]:
    snapshot = project.read()
    evidence = Evidence(snapshot.index, snapshot.baseline, Trust())
    with Tree(project.root) as tree:
        return proving.prove(tree, evidence, Classifier(project.options), lambda _: None, memory).missing()


def changed_s(project: Project) -> tuple[int, int]:
    """Return the seconds in which the first and the last of the folders changed."""
    times = [os.lstat(project.path(folder)).st_ctime_ns // NS for folder in FOLDERS]
    return min(times), max(times)


@needs_native
def test_a_folder_that_did_not_change_is_not_listed_again(marked: Vault) -> None:
    memory = late()
    assert listed(marked.project, memory) == FOLDERS
    assert listed(marked.project, memory) == []
    _write(marked, b"a/another.md", b"")
    os.unlink(marked.project.path(b"a/another.md"))
    assert listed(marked.project, memory) == [b"a"]
    assert listed(marked.project, memory) == []


@needs_native
@pytest.mark.parametrize("mtime_ns", [None, 0], ids=["", "mtime put back"])
def test_a_folder_that_changed_within_the_margin_of_a_listing_is_listed_again(
    marked: Vault, mtime_ns: int | None
) -> None:
    if mtime_ns is not None:
        marked.put_back(dict.fromkeys(FOLDERS, (mtime_ns, mtime_ns)))
    first_s, last_s = changed_s(marked.project)
    memory = at(first_s + YOUNG_MARGIN_S)
    assert listed(marked.project, memory) == listed(marked.project, memory) == FOLDERS
    memory = at(last_s + YOUNG_MARGIN_S + 1)
    assert listed(marked.project, memory) == FOLDERS
    assert listed(marked.project, memory) == []


@needs_native
@pytest.mark.parametrize(("ahead_s", "is_listed"), [(-YOUNG_MARGIN_S - 1, False), (-YOUNG_MARGIN_S, True), (100, True)])
def test_a_folder_of_the_future_is_not_remembered(marked: Vault, ahead_s: int, is_listed: bool) -> None:
    memory = late()
    time_ns = (LATE_S + 100 + ahead_s) * NS
    os.utime(marked.project.path(b"a"), ns=(time_ns, time_ns))
    assert listed(marked.project, memory) == FOLDERS
    assert listed(marked.project, memory) == ([b"a"] if is_listed else [])


@needs_native
def test_a_clock_that_was_set_back_forgets(marked: Vault) -> None:
    clock, steady = Clock(), Clock(5)
    memory = Memory(clock, steady)
    assert listed(marked.project, memory) == FOLDERS
    clock.second += 10
    steady.second += 10
    assert listed(marked.project, memory) == []
    clock.second += 9  # it was set back by a second, ten seconds ago
    steady.second += 10
    assert listed(marked.project, memory) == FOLDERS
    assert listed(marked.project, memory) == []


@needs_native
def test_a_folder_of_very_many_names_is_not_remembered(marked: Vault) -> None:
    for number in range(300):
        _write(marked, b"c/" + b"%0250d~" % number, b"")
    let_the_clock_tick(marked.beside)
    memory = late()
    assert listed(marked.project, memory) == FOLDERS
    assert listed(marked.project, memory) == [b"c"]


@needs_native
def test_another_index_forgets(marked: Vault) -> None:
    memory = late()
    assert listed(marked.project, memory) == FOLDERS
    marked.project.commit([marked.project.entry("a/one.md"), marked.project.entry("a/two.md")])
    assert asked(marked.project, memory) == asked(marked.project, None)


def _by_mtime(project: Project, _: pytest.MonkeyPatch) -> None:
    project.options = BY_MTIME


def _minimal(project: Project, _: pytest.MonkeyPatch) -> None:
    project.options = BY_CTIME._replace(check_stat="minimal")


def _elsewhere(_: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "is_local", lambda _: False)


@pytest.mark.parametrize("distrust", [_by_mtime, _minimal, _elsewhere])
def test_where_ctime_is_not_the_kernels_nothing_is_remembered(
    settled: Vault, monkeypatch: pytest.MonkeyPatch, distrust: Callable[[Project, pytest.MonkeyPatch], None]
) -> None:
    distrust(settled.project, monkeypatch)
    memory = late()
    asked(settled.project, memory)
    assert (memory._index, memory._listings) == (None, None)


@pytest.fixture
def mount_on() -> Iterator[Callable[[bytes], None]]:
    mounted: list[bytes] = []

    def mount(path: bytes) -> None:
        done = subprocess.run(["mount", "-t", "tmpfs", "none", path], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing may be mounted: {done.stderr.decode().strip()}")
        mounted.append(path)

    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only a superuser may mount")
    yield mount
    for path in mounted:
        subprocess.run(["umount", path], check=False, capture_output=True)


@needs_native
def test_what_is_mounted_is_not_remembered_nor_taken_for_what_it_hides(
    marked: Vault, mount_on: Callable[[bytes], None]
) -> None:
    memory = late()
    asked(marked.project, memory)
    mount_on(marked.project.path(b"c"))
    _write(marked, b"c/new-.md", b"new\n")
    let_the_clock_tick(marked.beside)
    assert asked(marked.project, memory) == asked(marked.project, None)
    other = late()
    assert (listed(marked.project, other), listed(marked.project, other)) == (FOLDERS, [b"c"])
    subprocess.run(["umount", marked.project.path(b"c")], check=True)
    assert asked(marked.project, memory) == asked(marked.project, None)


@needs_native
def test_a_byte_a_file_is_remembered_of_listings(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for number in range(2000):
        project.write(f"{number % 20}/{number}.md")
    project.index_all()
    memory = late()
    asked(project, memory)
    assert memory._listings is not None
    assert 2000 < len(memory._listings.records) < 2000 + 21 * 100
    assert find_unproven(project, memory) == set()


@needs_native
def test_what_is_remembered_proves_what_a_listing_proves(marked: Vault) -> None:
    memory = late()
    os.utime(marked.project.path(b"a/one.md"), ns=(0, 0))
    first = find_unproven(marked.project, memory)
    assert first == find_unproven(marked.project, memory) == {b"a/one.md"}


@pytest.mark.parametrize("prover", ["python", pytest.param("compiled", marks=needs_native)])
def test_of_an_index_its_bytes_are_remembered_and_no_paths(
    settled: Vault, monkeypatch: pytest.MonkeyPatch, prover: str
) -> None:
    if prover == "python":
        monkeypatch.setattr(proving, "native", None)
    _write(settled, b"a/new.md", b"new\n")
    memory = late()
    for _ in range(3):
        asked(settled.project, memory)
        assert memory._index is not None
        assert (memory._index.read._names, memory._index.read._places) == (None, None)


@needs_native
def test_a_path_too_long_for_a_server_is_passed_over_though_its_folder_is_remembered(settled: Vault) -> None:
    path = b"\xff" * 250 + b"/" + b"\xff" * 250 + b".md"
    settled.project.write(path)
    settled.settle()
    memory = late()
    assert not asked(settled.project, memory)[1]
    settled.project.options = BY_CTIME._replace(database_url="postgresql+asyncpg://host/database")
    found = asked(settled.project, memory)
    assert found == asked(settled.project, None)
    assert found[1]


FOUR_FOLDERS = 4


def records(*folders: tuple[int, bytes, bytes, bytes]) -> bytes:
    """Return what a prover would have made of folders: whether remembered, files found, and names of both sorts."""
    return b"".join(
        bytes(48) + struct.pack("=4Q", is_there, len(found), len(names), len(others)) + found + names + others
        for is_there, found, names, others in folders
    )


@needs_native
@pytest.mark.parametrize(
    "wrong",
    [
        b"x",
        records((1, b"1", b"", b"")),
        records((1, b"111", b"", b"")),
        records((1, b"11", b"a", b"")),
        records((1, b"11", b"", b"a")),
        records(*[(0, b"", b"", b"")] * (FOUR_FOLDERS + 1)),
        records((0, b"", b"", b""))[:-1],
        records((1, b"11", b"", b""))[:-1],
        records((1, b"11", b"a\0", b""))[:-1],
        records((1, b"11", b"a\0", b"b\0"))[:-1],
        bytes(48) + struct.pack("=4Q", 1, 2, 2**64 - 1, 2) + b"11",
        bytes(48) + struct.pack("=4Q", 1, 2, 2**64 - 2, 2) + b"11",
        bytes(48) + struct.pack("=4Q", 1, 2, 0, 2**64 - 2) + b"11",
    ],
    ids=lambda wrong: wrong[48:].hex(),
)
def test_what_is_not_remembered_of_this_index_is_refused(settled: Vault, wrong: bytes) -> None:
    memory = late()
    asked(settled.project, memory)
    assert memory._listings is not None
    memory._listings = memory._listings._replace(records=wrong)
    with pytest.raises(ValueError, match="of another index"):
        asked(settled.project, memory)
    memory._listings = memory._listings._replace(records=records(*[(0, b"", b"", b"")] * FOUR_FOLDERS))
    assert asked(settled.project, memory) == asked(settled.project, None)


# --- the index -------------------------------------------------------------------------------------------------------


@pytest.fixture
def read_times(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often an index was read from its bytes, as the length of a list."""
    times: list[int] = []

    def counted(data: bytes) -> Index:
        times.append(len(data))
        return decode(data)

    monkeypatch.setattr(indexfile, "decode", counted)
    return times


def test_an_index_that_did_not_change_is_not_read_again(settled: Vault, read_times: list[int]) -> None:
    memory = late()
    found = [asked(settled.project, memory) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert len(read_times) == 1
    settled.settle()
    assert asked(settled.project, memory) == found[0]
    assert len(read_times) == 2


def test_an_index_that_was_changed_in_place_is_read_again(settled: Vault) -> None:
    memory = late()
    asked(settled.project, memory)
    index = settled.project.state.index
    before = index.stat()
    with index.open("r+b") as file:
        file.seek(40)
        file.write(b"damage")
    os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(IndexDamagedError, match="checksum"):
        asked(settled.project, memory)


def test_an_index_of_version_4_is_read_again(settled: Vault, git: Git, read_times: list[int]) -> None:
    memory = late()
    expected = asked(settled.project, memory)[0]
    git.run("update-index", "--index-version", "4")
    for _ in range(2):
        assert asked(settled.project, memory)[0] == expected
    assert len(read_times) == 3


def test_whose_an_index_is_is_asked_again(settled: Vault) -> None:
    memory = late()
    assert asked(settled.project, memory)[2] == (6, 4, 0, 0)
    settled.project.state.index_owner.unlink()
    assert asked(settled.project, memory)[2] == (6, 4, 6, 36)


@pytest.mark.parametrize("mtime_s", [LATE_S, OLD_S], ids=["by mtime", "by ctime"])
@pytest.mark.parametrize(("margin_s", "times"), [(YOUNG_MARGIN_S, 2), (YOUNG_MARGIN_S + 1, 1)])
def test_an_index_that_changed_within_the_margin_of_its_reading_is_read_again(
    settled: Vault, read_times: list[int], mtime_s: int, margin_s: int, times: int
) -> None:
    settled.project.set_timestamp(mtime_s)
    st = settled.project.state.index.stat()
    memory = at(max(st.st_mtime_ns, st.st_ctime_ns) // NS + margin_s)
    asked(settled.project, memory)
    asked(settled.project, memory)
    assert len(read_times) == times


def test_an_index_is_read_again_by_a_clock_that_was_set_back(settled: Vault, read_times: list[int]) -> None:
    clock = Clock()
    memory = Memory(clock, still)
    asked(settled.project, memory)
    clock.second -= 1
    asked(settled.project, memory)
    assert len(read_times) == 2


def test_an_index_elsewhere_than_on_a_local_file_system_is_read_again(
    settled: Vault, read_times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "is_local", lambda _: False)
    memory = late()
    asked(settled.project, memory)
    asked(settled.project, memory)
    assert len(read_times) == 2


# --- a project of the library ----------------------------------------------------------------------------------------


def test_a_project_remembers_from_one_status_to_the_next(settled: Vault, read_times: list[int]) -> None:
    project = PublicProject(settled.project.root, BY_CTIME)
    first = project.status()
    memory = project._memory
    assert memory is not None
    assert said(project.status()) == said(first)
    assert project._memory is memory
    project._memory = late()
    project.status()
    del read_times[:]
    assert said(project.status()) == said(first)
    assert read_times == []


def test_threads_may_share_a_project(settled: Vault) -> None:
    project = PublicProject(settled.project.root, BY_CTIME)
    project._memory = late()
    expected = said(project.status())
    found: list[tuple[object, ...]] = []

    def ask() -> None:
        found.extend(said(project.status()) for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80
