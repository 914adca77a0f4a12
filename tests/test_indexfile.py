"""The index on disk: who may write it, and that it is replaced whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import indexfile, indexlock
from bm_gitindex.errors import IndexDamagedError, LockHeldError, StateFolderError, StateWriteError
from bm_gitindex.index.compare import Baseline
from bm_gitindex.index.encoding import encode
from bm_gitindex.indexfile import read_index
from bm_gitindex.indexlock import lock_index, set_aside
from bm_gitindex.statefolder import StateFolder
from bm_gitindex.writerlock import WriterLock
from support import faults
from support.values import as_encoded, entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.project import Project

HOLD = """
import pathlib, sys
from bm_gitindex.indexlock import lock_index
from bm_gitindex.statefolder import StateFolder
with lock_index(StateFolder(pathlib.Path(sys.argv[1])), 0, sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""
SYNC = "bm-gitindex sync"


@contextmanager
def holder(project: Project, command: str = SYNC) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process hold the lock."""
    source = os.path.dirname(os.path.dirname(os.path.abspath(indexfile.__file__)))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project.root), command],
        env={**os.environ, "PYTHONPATH": source},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def killed_while_holding(project: Project, command: str = SYNC) -> None:
    with holder(project, command) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert project.state.index_lock.exists()


def acquire(project: Project) -> None:
    with lock_index(project.state, 0, "test"):
        pass


def names(project: Project) -> set[str]:
    return set(os.listdir(project.state.path))


def lock_text(project: Project) -> dict[str, str]:
    lines = project.state.lock.read_text("utf-8").splitlines()
    return {name: value for name, separator, value in (line.partition(": ") for line in lines) if separator}


# --- reading ---------------------------------------------------------------------------------------------------------


def test_f01_no_index_is_an_empty_one_of_no_worth(project: Project) -> None:
    snapshot = project.read()
    assert (len(snapshot.index), snapshot.exists) == (0, False)
    assert (snapshot.baseline.timestamp_s, snapshot.baseline.is_trusted) == (0, False)


def test_t_is_the_mtime_of_the_file_that_was_read(project: Project) -> None:
    project.commit([entry()], 12_345)
    assert project.read().baseline == Baseline(12_345, is_trusted=True)
    project.set_timestamp(2**32 + 7)
    assert project.read().baseline.timestamp_s in (7, 2**32 - 1)


@pytest.mark.parametrize("damage", [b"", b"short", b"DIRC\0\0\0\2" + bytes(60) + b"x"])
def test_damage_names_the_file(project: Project, damage: bytes) -> None:
    project.state.index.write_bytes(damage)
    with pytest.raises(IndexDamagedError, match=str(project.state.index)) as caught:
        project.read()
    assert "\n" not in str(caught.value)


def test_only_an_index_of_our_writing_on_this_machine_is_trusted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit([entry()])
    assert project.read().baseline.is_trusted
    owner = project.state.index_owner.read_bytes()
    undated = owner[: owner.index(b"mtime")]
    for other in (b"", b"nonsense", owner.replace(b"trailer: ", b"trailer: 0"), undated, undated + b"mtime: soon\n"):
        project.state.index_owner.write_bytes(other)
        assert not project.read().baseline.is_trusted
    project.state.index_owner.write_bytes(owner)
    monkeypatch.setattr(indexfile, "machine_id", lambda: "another")
    assert not project.read().baseline.is_trusted


@pytest.mark.parametrize(("copied_s", "timestamp_s"), [(9_000, 7_000), (7_000, 7_000), (5_000, 5_000)])
def test_an_index_is_as_old_as_it_was_when_written_whatever_date_a_copy_has(
    project: Project, copied_s: int, timestamp_s: int
) -> None:
    project.commit([entry()], timestamp_s=7_000)
    os.utime(project.state.index, (copied_s, copied_s))
    assert project.read().baseline == Baseline(timestamp_s, is_trusted=True)


def test_f05_an_unchecked_index_is_not_trusted_even_as_ours(project: Project) -> None:
    commit_bytes(project, encode([entry()])[:-20] + bytes(20))
    snapshot = project.read()
    assert len(snapshot.index) == 1
    assert not snapshot.baseline.is_trusted


def test_an_index_written_by_someone_else_is_not_trusted(project: Project) -> None:
    project.commit([entry()])
    project.state.index.write_bytes(encode([entry(), entry(b"g")]))
    assert not project.read().baseline.is_trusted


@pytest.mark.parametrize("file", ["index", "lock", "index.own"])
def test_a_state_file_that_is_a_link_is_not_followed(project: Project, tmp_path: Path, file: str) -> None:
    project.commit([entry()])
    path = project.state.path / file
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    if file == "index":
        with pytest.raises(StateFolderError, match="index"):
            project.read()
    elif file == "lock":
        with pytest.raises(StateWriteError, match="lock"):
            acquire(project)
    else:
        assert not project.read().baseline.is_trusted


@pytest.mark.parametrize("file", ["index", "index.own"])
def test_a_state_file_that_is_a_folder_is_said_clearly(project: Project, file: str) -> None:
    project.commit([entry()])
    (project.state.path / file).unlink()
    (project.state.path / file).mkdir()
    with suppress(StateFolderError):
        project.read()


def test_an_index_that_cannot_be_read_to_its_end_is_said_clearly(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit([entry()])
    monkeypatch.setattr(indexfile, "_read_index", faults.raising(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(StateFolderError, match="index"):
        project.read()


# --- the lock --------------------------------------------------------------------------------------------------------


def test_the_lock_excludes_a_second_process_and_names_the_first(project: Project) -> None:
    with holder(project) as process:
        with pytest.raises(LockHeldError) as caught:
            acquire(project)
        message = str(caught.value)
        assert str(process.pid) in message
        assert SYNC in message
        assert "\n" not in message
        assert caught.value.exit_code == 4


def test_the_lock_excludes_a_second_holder_in_this_process(project: Project) -> None:
    with lock_index(project.state, 0, "first"), pytest.raises(LockHeldError, match="first"):
        acquire(project)
    acquire(project)


def test_a_reader_is_not_kept_waiting_by_a_writer(project: Project) -> None:
    project.write("a.md")
    project.index_all()
    with holder(project):
        assert project.status().is_clean


def test_a_second_writer_waits_for_the_first(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock and the sleep are the test's own: the holder ends during the first nap."""
    with holder(project) as process:

        def nap(_: float) -> None:
            process.kill()
            process.wait()

        monkeypatch.setattr(time, "sleep", nap)
        with lock_index(project.state, 10, "second"):
            assert lock_text(project)["command"] == "second"


@pytest.mark.parametrize("what_it_wrote", [b"", b"host: x\n"])
def test_a_holder_that_has_not_said_who_it_is_holds_all_the_same(project: Project, what_it_wrote: bytes) -> None:
    with lock_index(project.state, 0, "first"):
        project.state.lock.write_bytes(what_it_wrote)
        with pytest.raises(LockHeldError, match="in use by another process"):
            acquire(project)


def test_a_file_system_that_cannot_lock_is_no_holder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", faults.raising(OSError(errno.ENOLCK, "No locks available")))
    with pytest.raises(StateWriteError, match=r"cannot lock .*lock: No locks available"):
        acquire(project)
    assert not project.state.index_lock.exists()


@pytest.mark.parametrize("command", [SYNC, "sync " + "x" * 400, 'sync "quoted"\n\tand more'])
def test_a_killed_holder_leaves_no_obstacle(project: Project, command: str) -> None:
    killed_while_holding(project, command)
    acquire(project)
    assert not project.state.index_lock.exists()


def test_a_killed_holder_with_a_long_command_in_another_script_leaves_no_obstacle(project: Project) -> None:
    killed_while_holding(project, "sync " + "筆記/" * 60)
    acquire(project)


def test_a_holder_with_a_long_command_in_another_script_is_named(project: Project) -> None:
    with holder(project, "sync " + "筆記/" * 60) as process, pytest.raises(LockHeldError, match=str(process.pid)):
        acquire(project)


def test_the_lock_file_stays_and_says_who_wrote_last(project: Project) -> None:
    with lock_index(project.state, 0, SYNC):
        during = lock_text(project)
    assert lock_text(project) == during
    assert during["pid"] == str(os.getpid())
    assert during["command"] == SYNC
    assert {"host", "started"} <= during.keys()


def test_a_failing_run_leaves_no_lock_and_the_index_as_it_was(project: Project) -> None:
    project.commit([entry()])
    before = project.state.index.read_bytes()

    def fail() -> None:
        with lock_index(project.state, 0, "test"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert project.state.index.read_bytes() == before
    assert names(project) == {"index", "index.own", "lock", ".gitignore"}
    acquire(project)


# --- git's lock ------------------------------------------------------------------------------------------------------


def test_r42_gits_lock_is_respected_and_never_removed(project: Project) -> None:
    project.commit([entry()])
    project.state.index_lock.write_bytes(b"git is writing")
    with pytest.raises(LockHeldError, match=r"index\.lock") as caught:
        acquire(project)
    assert caught.value.exit_code == 4
    assert project.state.index_lock.read_bytes() == b"git is writing"
    assert names(project) == {"index", "index.own", "index.lock", "lock", ".gitignore"}
    assert len(project.read().index) == 1


def test_gits_lock_is_waited_for(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.state.index_lock.write_bytes(b"git is writing")
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            project.state.index_lock.unlink()

    monkeypatch.setattr(time, "sleep", nap)
    with lock_index(project.state, 10, "test") as lock:
        assert len(naps) == 2
        lock.commit(as_encoded(encode([entry()])))
    assert len(project.read().index) == 1


def test_gits_lock_is_not_taken_for_the_left_over_of_a_killed_run(project: Project, tmp_path: Path) -> None:
    killed_while_holding(project)
    # Made before ours is gone, so that it cannot have the same inode.
    (tmp_path / "git").write_bytes(b"git is writing")
    (tmp_path / "git").replace(project.state.index_lock)
    with pytest.raises(LockHeldError):
        acquire(project)
    assert project.state.index_lock.read_bytes() == b"git is writing"


def test_a_left_over_keeps_its_inode_from_gits_lock(project: Project) -> None:
    killed_while_holding(project)
    left_over = project.state.index_lock.stat().st_ino
    project.state.index_lock.unlink()  # by hand, as the message advises
    project.state.index_lock.write_bytes(b"git is writing")
    assert project.state.index_lock.stat().st_ino != left_over
    with pytest.raises(LockHeldError):
        acquire(project)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EXDEV])
def test_a_file_system_without_hard_links_will_do(project: Project, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "link", faults.raising(OSError(code, "no hard links")))
    project.commit([entry()])
    assert len(project.read().index) == 1
    project.state.index_lock.write_bytes(b"git")
    with pytest.raises(LockHeldError):
        acquire(project)


def test_a_left_over_is_known_even_on_a_file_system_without_hard_links(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", faults.raising(OSError(errno.EPERM, "no hard links")))

    def killed() -> None:
        with monkeypatch.context() as patch, lock_index(project.state, 0, "test"):
            patch.setattr(indexlock, "_remove_ours", faults.raising(OSError(errno.EIO, "killed before that")))
            patch.setattr(WriterLock, "write_holder", faults.raising(OSError(errno.EIO, "killed before that")))

    killed()
    assert not project.state.index_lock.samefile(project.state.index_new)
    acquire(project)
    assert names(project) == {"lock", ".gitignore"}


# --- committing ------------------------------------------------------------------------------------------------------


def test_a_commit_is_private_and_leaves_nothing_beside_it(project: Project) -> None:
    project.commit([entry()])
    assert names(project) == {"index", "index.own", "lock", ".gitignore"}
    assert stat.S_IMODE(project.state.path.stat().st_mode) == 0o700
    for name in ("index", "index.own", "lock"):
        assert stat.S_IMODE((project.state.path / name).stat().st_mode) == 0o600, name


def test_t0_is_the_file_systems_time_of_the_lock_file(project: Project) -> None:
    with lock_index(project.state, 0, "test") as lock:
        st = project.state.index_lock.stat()
        assert lock.clock.second == st.st_mtime_ns // 10**9 & 0xFFFF_FFFF
        assert lock.clock.nanosecond == st.st_mtime_ns % 10**9
        assert lock.clock.devices == {st.st_dev & 0xFFFF_FFFF}


@pytest.mark.skipif(sys.platform != "linux", reason="names of open files are read from /proc")
def test_a_commit_is_durable_before_it_is_visible(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, str]] = []
    real_fsync, real_rename = os.fsync, type(project.state.index).rename

    def fsync(fd: int) -> None:
        events.append(("fsync", os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))))
        real_fsync(fd)

    def rename(self: Path, target: Path) -> Path:
        events.append(("rename", f"{self.name} to {target.name}"))
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(type(project.state.index), "rename", rename)
    project.commit([entry()])
    assert events[:2] == [("fsync", "index.lock"), ("fsync", "index.own.new")]
    assert events[-2:] == [("rename", "index.lock to index"), ("fsync", ".basic-memory")]


def fail_on_call(monkeypatch: pytest.MonkeyPatch, module: object, name: str, number: int, error: OSError) -> None:
    """Let the n-th call of a function fail, and the others do their work."""
    real = getattr(os, name)
    calls = 0

    def failing(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, failing)


@pytest.mark.parametrize(("name", "count"), [("write", 2), ("fsync", 3), ("open", 5), ("link", 1), ("pwrite", 1)])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_commit_leaves_the_old_index_and_no_lock(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, count: int, code: int
) -> None:
    project.write("a.md")
    project.write("b.md")
    project.commit([project.entry("a.md")])
    before = project.state.index.read_bytes()
    after = encode([project.entry("a.md"), project.entry("b.md")])
    for number in range(1, count + 1):
        with monkeypatch.context() as patch:
            fail_on_call(patch, os, name, number, OSError(code, os.strerror(code)))
            with pytest.raises(StateWriteError, match=r"unchanged|cannot create") as caught:
                commit_bytes(project, after)
        assert caught.value.exit_code == 6
        assert project.state.index.read_bytes() == before
        assert not project.state.index_lock.exists()
        assert list(project.read().index) == [b"a.md"]
    commit_bytes(project, after)
    assert project.state.index.read_bytes() == after


def commit_bytes(project: Project, data: bytes) -> None:
    with lock_index(project.state, 0, "test") as lock:
        lock.commit(as_encoded(data))


def test_a_folder_that_cannot_be_synced_is_told_although_the_index_is_in_place(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_on_call(monkeypatch, os, "fsync", 4, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(StateWriteError) as caught:
        commit_bytes(project, encode([entry()]))
    assert len(project.read().index) == 1
    assert "durable" in str(caught.value)


def test_short_writes_are_continued(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:7])))
    project.commit([entry()])
    assert project.read().baseline.is_trusted


def test_a_reader_sees_the_old_index_or_the_new_at_every_step(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit([entry(b"old")])
    seen: list[list[bytes]] = []

    def watched(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            result = real(*args, **kwargs)
            if not is_looking[0]:
                is_looking[0] = True
                seen.append(list(read_index(project.state).index))
                is_looking[0] = False
            return result

        monkeypatch.setattr(os, name, call)

    is_looking = [False]
    for name in ("write", "fsync", "rename", "replace", "close"):
        watched(name)
    commit_bytes(project, encode([entry(b"new")]))
    assert seen[0] == [b"old"]
    assert seen[-1] == [b"new"]
    assert all(paths in ([b"old"], [b"new"]) for paths in seen)


def test_an_entry_between_owner_and_index_is_not_trusted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after index.own was stored and before the rename: the old index is racy, not falsely clean."""
    project.commit([entry(b"old")])
    with monkeypatch.context() as patch:
        patch.setattr(type(project.state.index), "rename", faults.raising(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(StateWriteError):
            commit_bytes(project, encode([entry(b"new")]))
    snapshot = project.read()
    assert list(snapshot.index) == [b"old"]
    assert not snapshot.baseline.is_trusted


def test_a_full_disk_leaves_the_old_index(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], check=False, capture_output=True
    ).returncode:
        pytest.skip("no file system of our own can be mounted")
    try:
        state = StateFolder(mount)
        state.ensure()
        with lock_index(state, 0, "test") as lock:
            lock.commit(as_encoded(encode([entry(b"a")])))
        with lock_index(state, 0, "test") as lock, pytest.raises(StateWriteError, match="No space left"):
            lock.commit(as_encoded(encode([entry(b"%06d" % n) for n in range(3000)])))
        assert list(read_index(state).index) == [b"a"]
        assert not state.index_lock.exists()
        with lock_index(state, 0, "test") as lock:
            lock.commit(as_encoded(encode([entry(b"b")])))
        assert list(read_index(state).index) == [b"b"]
    finally:
        subprocess.run(["umount", str(mount)], check=True)


# --- setting aside ---------------------------------------------------------------------------------------------------


def test_a_damaged_file_is_set_aside_under_the_first_free_name(project: Project) -> None:
    for number in (1, 2, 3):
        project.state.index.write_bytes(b"damage %d" % number)
        assert set_aside(project.state.index) == project.state.path / f"index.corrupt-{number}"
    assert (project.state.path / "index.corrupt-2").read_bytes() == b"damage 2"
    assert not project.state.index.exists()


def test_a_file_that_cannot_be_set_aside_is_an_error_of_the_state(project: Project) -> None:
    with pytest.raises(StateWriteError):
        set_aside(project.state.index)
