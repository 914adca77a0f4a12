"""State files are replaced in one step and durably, by one writer at a time; what a killed one has left is removed."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.errors import StateFolderError
from bm_gitindex.statefolder import StateFolder, read_through, remove_leftover, sync_folder, write_file
from support.faults import raising

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def temporary(file: Path) -> Path:
    return file.with_name("config.toml.new")


def test_what_a_killed_writer_has_left_is_removed(file: Path) -> None:
    temporary(file).write_bytes(b"half")
    remove_leftover(file)
    assert not temporary(file).exists()
    remove_leftover(file)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("elsewhere"), os.mkfifo])
def test_what_is_no_file_in_its_place_is_removed_too(file: Path, make: Callable[[Path], None]) -> None:
    make(temporary(file))
    remove_leftover(file)
    assert not os.path.lexists(temporary(file))


def test_a_left_over_that_may_not_be_opened_is_removed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary(file).touch(mode=0)
    monkeypatch.setattr(os, "open", raising(PermissionError(errno.EACCES, "Permission denied")))
    remove_leftover(file)
    assert not temporary(file).exists()


def test_what_a_killed_writer_has_left_is_not_mixed_with_what_is_written(file: Path) -> None:
    temporary(file).write_bytes(b"longer than what comes")
    write_file(file, b"short")
    assert file.read_bytes() == b"short"
    assert not temporary(file).exists()


def test_a_writer_at_work_is_not_disturbed(file: Path) -> None:
    with temporary(file).open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        remove_leftover(file)
        assert temporary(file).exists()


@pytest.mark.parametrize("finish", [lambda path: path.rename(path.with_suffix("")), lambda path: path.unlink()])
def test_of_two_writers_the_second_waits_and_takes_a_file_of_its_own(
    file: Path, finish: Callable[[Path], None]
) -> None:
    with temporary(file).open("wb") as other:
        other.write(b"first")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        second = threading.Thread(target=write_file, args=(file, b"second"))
        second.start()
        while not _is_waited_for(other.fileno()):
            assert second.is_alive()
        keeps_its_inode = temporary(file).open("rb")
        finish(temporary(file))
    second.join()
    with keeps_its_inode as first:
        assert file.read_bytes() == b"second"
        assert file.stat().st_ino != os.fstat(first.fileno()).st_ino


def test_a_left_over_that_another_took_away_meanwhile_is_no_concern(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary(file).write_bytes(b"half")
    real = fcntl.flock

    def renamed_before(fd: int, operation: int) -> None:
        temporary(file).rename(file)
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", renamed_before)
    remove_leftover(file)
    assert file.read_bytes() == b"half"


def test_a_temporary_file_that_cannot_be_looked_at_is_an_error_and_stays_closed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/dev/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", raising(OSError(errno.EIO, os.strerror(errno.EIO))))
        with pytest.raises(OSError, match="Input/output"):
            write_file(file, b"new")
    assert len(os.listdir("/dev/fd")) == before
    assert not file.exists()


def test_a_state_file_that_cannot_be_read_through_is_named(file: Path) -> None:
    write_file(file, b"content")
    read_through(file)
    with pytest.raises(StateFolderError, match=f"cannot read {file.parent}.*check the disk"):
        read_through(file.parent)


def _is_waited_for(fd: int) -> bool:
    """Return whether somebody waits for the lock of a file: proc(5), /proc/locks."""
    inode = os.fstat(fd).st_ino
    try:
        with open("/proc/locks", encoding="ascii") as table:
            return any(" -> " in line and f":{inode} " in line for line in table)
    except FileNotFoundError:
        pytest.skip("this system does not tell who waits for a lock")


def test_a_failed_write_leaves_the_old_file_and_no_other(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(file, b"old")

    def refuse(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        write_file(file, b"new")
    assert file.read_bytes() == b"old"
    assert not temporary(file).exists()


@pytest.mark.parametrize(("code", "is_error"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_sync_folders_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_error: bool
) -> None:
    def refuse(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    if is_error:
        with pytest.raises(OSError, match="Input/output"):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)


def test_a_state_folder_and_the_folders_above_it_are_made_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    real = os.fsync

    def note(fd: int) -> None:
        synced.append(os.stat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", note)
    root = tmp_path / "root"
    root.mkdir()
    StateFolder(root, str(tmp_path / "state" / "of" / "vault")).ensure()
    above = [tmp_path, tmp_path / "state", tmp_path / "state" / "of"]
    assert {path.stat().st_ino for path in above} <= set(synced)
