"""Who may write: one process at a time, whatever is deleted, forked or missing; and it is free when its holder ends."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

import bm_gitindex
from bm_gitindex import writerlock
from bm_gitindex.errors import LockHeldError, StateWriteError
from bm_gitindex.index.encoding import encode
from bm_gitindex.indexfile import read_index
from bm_gitindex.indexlock import IndexLock, lock_index
from bm_gitindex.statefolder import StateFolder
from bm_gitindex.writerlock import WriterLock, hold_writer_lock
from support import faults
from support.values import as_encoded, entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.project import Project

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(bm_gitindex.__file__)))
HOLD = """
import errno, os, pathlib, subprocess, sys, time
from bm_gitindex.indexlock import lock_index
from bm_gitindex.statefolder import StateFolder

def no_links(*args, **kwargs):
    raise OSError(errno.EPERM, "no hard links")

manner = sys.argv[2]
if manner == "without hard links":
    os.link = no_links
with lock_index(StateFolder(pathlib.Path(sys.argv[1])), 0, "bm-gitindex sync"):
    child = 0
    if manner == "forks":
        is_up, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(tell, b"!")
            time.sleep(60)
            os._exit(0)
        os.read(is_up, 1)
    if manner == "spawns":
        child = subprocess.Popen(["sleep", "60"], close_fds=False).pid
    print(child, flush=True)
    sys.stdin.read()
"""
OLD, NEW = encode([entry(b"old")]), encode([entry(b"new")])


@contextmanager
def holder(project: Project, manner: str = "simply") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Let another process hold the lock; yield it, and the id of the child that it has."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project.root), manner],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        child = 0
        try:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            yield process, child
        finally:
            process.kill()
            if child:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def acquire(project: Project) -> None:
    with lock_index(project.state, 0, "test"):
        pass


def names(project: Project) -> set[str]:
    return set(os.listdir(project.state.path))


def delete_lock(project: Project) -> None:
    project.state.lock.unlink()


def replace_lock(project: Project) -> None:
    copy = project.state.lock.with_name("copy")
    shutil.copy(project.state.lock, copy)
    copy.replace(project.state.lock)


def delete_folder(project: Project) -> None:
    shutil.rmtree(project.state.path)
    project.state.ensure()


def move_folder(project: Project) -> None:
    project.state.path.rename(project.root.parent / "elsewhere")
    project.state.ensure()


FOLDER_LOSSES = (delete_folder, move_folder)
LOCK_LOSSES = (delete_lock, replace_lock)


# --- a lock that is taken away ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", LOCK_LOSSES)
def test_a_lock_file_that_is_deleted_admits_no_second_writer(project: Project, lose: Callable[[Project], None]) -> None:
    with holder(project):
        lose(project)
        with pytest.raises(LockHeldError):
            acquire(project)
        assert project.state.index_lock.exists()
    acquire(project)
    assert names(project) == {"lock", ".gitignore"}


@pytest.mark.parametrize("lose", LOCK_LOSSES)
def test_where_folders_have_no_locks_the_first_writer_makes_way_for_the_second(
    project: Project, monkeypatch: pytest.MonkeyPatch, lose: Callable[[Project], None]
) -> None:
    """As on some network file systems: what keeps a second one out is then the lock file alone."""
    real = fcntl.flock

    def files_only(fd: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", files_only)
    project.commit([entry(b"old")])
    with lock_index(project.state, 0, "first") as first:
        first.check()
        lose(project)
        with lock_index(project.state, 0, "second") as second:
            for act in (first.check, lambda: first.commit(as_encoded(OLD))):
                with pytest.raises(StateWriteError, match="deleted or replaced"):
                    act()
            second.commit(as_encoded(NEW))
    assert list(project.read().index) == [b"new"]
    assert project.read().baseline.is_trusted


@pytest.mark.parametrize("lose", FOLDER_LOSSES)
def test_the_holder_of_a_folder_that_was_replaced_leaves_the_new_one_alone(
    project: Project, lose: Callable[[Project], None]
) -> None:
    with lock_index(project.state, 0, "first") as first:
        lose(project)
        with lock_index(project.state, 0, "second") as second:
            with pytest.raises(StateWriteError, match="deleted or replaced"):
                first.commit(as_encoded(OLD))
            second.commit(as_encoded(NEW))
        assert project.read().baseline.is_trusted
    assert list(project.read().index) == [b"new"]


@pytest.mark.parametrize("lose", FOLDER_LOSSES)
def test_the_end_of_a_run_whose_folder_was_replaced_leaves_the_new_holders_lock(
    project: Project, lose: Callable[[Project], None]
) -> None:
    first = lock_index(project.state, 0, "first")
    first.__enter__()
    lose(project)
    with lock_index(project.state, 0, "second") as second:
        first.__exit__(None, None, None)
        second.check()
        with pytest.raises(LockHeldError, match="second"):
            acquire(project)


def test_a_run_whose_folder_is_gone_ends_with_one_line(project: Project) -> None:
    with lock_index(project.state, 0, "test") as lock:
        shutil.rmtree(project.state.path)
        with pytest.raises(StateWriteError, match="sync once more") as caught:
            lock.commit(as_encoded(NEW))
        assert "\n" not in str(caught.value)
    assert not project.state.path.exists()


@pytest.mark.parametrize("moment", ["before", "while it is written"])
def test_an_index_lock_that_git_put_in_the_place_of_ours_is_not_touched(
    project: Project, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Somebody removed ours by hand, as git advises, and started git."""
    project.commit([entry(b"old")])

    def put_gits() -> None:
        project.state.index_lock.unlink()
        project.state.index_lock.write_bytes(b"git is writing")

    real = os.fsync

    def fsync(fd: int) -> None:
        if os.fstat(fd).st_ino == project.state.index_new.stat().st_ino:
            put_gits()
        real(fd)

    with lock_index(project.state, 0, "test") as lock:
        if moment == "before":
            put_gits()
        else:
            monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(StateWriteError, match="deleted or replaced"):
            lock.commit(as_encoded(NEW))
    assert project.state.index_lock.read_bytes() == b"git is writing"
    assert list(project.read().index) == [b"old"]


def test_an_index_lock_that_is_gone_is_not_made_anew(project: Project) -> None:
    with lock_index(project.state, 0, "test") as lock:
        project.state.index_lock.unlink()
        with pytest.raises(StateWriteError, match="deleted or replaced"):
            lock.commit(as_encoded(NEW))
    assert names(project) == {"lock", ".gitignore"}


def test_a_git_lock_replaced_in_the_last_moment_is_not_written_to(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IndexLock, "check", lambda _: None)
    with lock_index(project.state, 0, "test") as lock:
        project.state.index_lock.unlink()
        project.state.index_lock.write_bytes(b"git's")
        with pytest.raises(StateWriteError, match="deleted or replaced"):
            lock.commit(as_encoded(NEW))
        assert project.state.index_lock.read_bytes() == b"git's"


@pytest.mark.parametrize("lose", [*LOCK_LOSSES, *FOLDER_LOSSES])
def test_who_waited_for_a_lock_that_is_gone_takes_the_one_in_its_place(
    project: Project, monkeypatch: pytest.MonkeyPatch, lose: Callable[[Project], None]
) -> None:
    with holder(project) as (process, _):

        def nap(_: float) -> None:
            if process.poll() is None:
                lose(project)
                process.kill()
                process.wait()

        monkeypatch.setattr(time, "sleep", nap)
        with lock_index(project.state, 10, "second"):
            assert "command: second" in project.state.lock.read_text("utf-8")
            with pytest.raises(LockHeldError, match="second"):
                acquire(project)


def test_a_lock_that_never_stays_is_not_waited_for_without_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def flock(fd: int, operation: int) -> None:
        real(fd, operation)
        project.state.lock.unlink(missing_ok=True)

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(LockHeldError, match="deleted or replaced"):
        acquire(project)


# --- the end of its holder -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["forks", "spawns"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_a_child_does_not_keep_its_parents_lock(project: Project, manner: str, end: signal.Signals | None) -> None:
    with holder(project, manner) as (process, child):
        with pytest.raises(LockHeldError, match=f"process {process.pid} "):
            acquire(project)
        if end is None:
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(end)
        process.wait(timeout=60)
        os.kill(child, 0)  # it is still there
        acquire(project)


def test_a_child_that_unwinds_its_parents_run_leaves_the_parents_lock(project: Project) -> None:
    with lock_index(project.state, 0, "parent") as lock:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                lock.commit(as_encoded(NEW))
            except StateWriteError:
                code = 0
            # What an exception that runs through a forked worker would do.
            finally:
                lock._writer.release()
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(LockHeldError, match="parent"):
            acquire(project)
        lock.commit(as_encoded(NEW))


def test_what_a_forked_child_does_at_once_frees_the_lock_that_it_alone_has(project: Project) -> None:
    """The same in this process: its descriptors are the last copies."""
    with hold_writer_lock(project.state, 0) as lock:
        writerlock._let_parent_have_them()
        acquire(project)
        lock.close()
        lock.release()


# --- file systems that lack something --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks_is_told_and_what_to_do(
    project: Project, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", faults.raising(OSError(code, os.strerror(code))))
    with pytest.raises(StateWriteError, match="state_dir") as caught:
        acquire(project)
    assert caught.value.exit_code == 6
    assert os.strerror(code) in str(caught.value)
    assert names(project) <= {"lock", ".gitignore"}


def test_without_hard_links_a_killed_holder_leaves_no_obstacle(project: Project) -> None:
    with holder(project, "without hard links") as (process, _):
        process.kill()
        process.wait()
    assert project.state.index_lock.stat().st_nlink == 1
    acquire(project)
    assert names(project) == {"lock", ".gitignore"}


def test_without_hard_links_a_failing_disk_leaves_no_lock(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", faults.raising(OSError(errno.EOPNOTSUPP, "no hard links")))
    real = WriterLock.write_holder

    def failing(lock: WriterLock, command: str, **more: str) -> None:
        if more:
            raise OSError(errno.EIO, "Input/output error")
        real(lock, command)

    with monkeypatch.context() as patch:
        patch.setattr(WriterLock, "write_holder", failing)
        with pytest.raises(StateWriteError, match="Input/output"):
            acquire(project)
    assert "index.lock" not in names(project)
    acquire(project)


def test_a_lock_that_cannot_be_made_private_leaves_no_descriptor(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/dev/fd"))
    monkeypatch.setattr(writerlock, "restrict", faults.raising(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(StateWriteError):
        acquire(project)
    assert len(os.listdir("/dev/fd")) == before


def test_a_holder_that_cannot_be_read_is_another_process(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with holder(project):
        monkeypatch.setattr(WriterLock, "fields", faults.raising(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(LockHeldError, match="another process"):
            acquire(project)


def test_without_hard_links_gits_lock_is_told_from_ours(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "link", faults.raising(OSError(errno.EOPNOTSUPP, "no hard links")))
    with lock_index(project.state, 0, "test") as lock:
        (tmp_path / "git").write_bytes(b"git is writing")
        (tmp_path / "git").replace(project.state.index_lock)
        with pytest.raises(StateWriteError, match="deleted or replaced"):
            lock.commit(as_encoded(NEW))
    assert project.state.index_lock.read_bytes() == b"git is writing"
    project.state.index_lock.unlink()
    with lock_index(project.state, 0, "test") as lock:
        lock.commit(as_encoded(NEW))
    assert list(read_index(StateFolder(project.root)).index) == [b"new"]
