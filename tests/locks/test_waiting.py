"""Those who come while somebody writes: they wait as long as they were told to, name whom they wait for, and leave
nothing behind; and those who do come to write do it one after the other."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import SyncRequest
from bm_gitindex.errors import LockHeldError
from bm_gitindex.indexlock import lock_index
from bm_gitindex.syncing import session
from support.git import Git
from support.vault import Vault
from support.writers import ENVIRONMENT, command, go_on, paused_sync, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bm_gitindex.indexlock import IndexLock
    from bm_gitindex.statefolder import StateFolder

LEFT_AT_REST = {".gitignore", "index", "index.own", "lock", "entities.db"}


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "vault")
    for number in range(4):
        vault.write(f"{number}.md", f"- [fact] number {number}\n")
    return vault


@pytest.fixture
def overlaps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whatever was done by a second writer in this process while there was a first."""
    found: list[str] = []
    writing = threading.Lock()
    real = vars(session)["lock_index"]

    @contextmanager
    def watched(state: StateFolder, wait_s: float, command: str) -> Iterator[IndexLock]:
        with real(state, wait_s, command) as lock:
            if not writing.acquire(blocking=False):
                found.append(command)
            try:
                yield lock
            finally:
                writing.release()

    monkeypatch.setattr(session, "lock_index", watched)
    return found


def names(vault: Vault) -> set[str]:
    return {name for name in os.listdir(vault.state_path) if not name.startswith("entities.db-")}


@contextmanager
def held(vault: Vault) -> Iterator[None]:
    vault.project.state.ensure()
    with lock_index(vault.project.state, 0, "the other one"):
        yield


# --- in one process --------------------------------------------------------------------------------------------------


async def test_more_syncs_in_one_loop_than_it_has_threads_are_done_in_turn(vault: Vault, overlaps: list[str]) -> None:
    """Whoever waits must not keep the threads from the one that works."""
    crowd = (os.cpu_count() or 1) + 5  # asyncio's pool of threads has one less
    reports = await asyncio.gather(*(vault.project.sync() for _ in range(crowd)))
    assert overlaps == []
    assert sorted(report.added for report in reports) == [0] * (crowd - 1) + [4]
    assert (await asyncio.to_thread(vault.project.verify)).ok


def test_syncs_in_threads_are_done_in_turn(vault: Vault, overlaps: list[str]) -> None:
    added: list[int] = []
    threads = [threading.Thread(target=lambda: added.append(vault.sync(wait_s=60).added)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert overlaps == []
    assert sorted(added) == [0, 0, 0, 4]
    assert vault.project.verify().ok


async def test_a_sync_that_waits_is_cancelled_at_once(vault: Vault) -> None:
    with held(vault):
        started_s = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(vault.project.sync((), SyncRequest(wait_s=600)), 0.2)
        assert time.monotonic() - started_s < 60  # and not the 600 seconds that it would have waited
    assert names(vault) == {".gitignore", "lock"}


async def test_a_sync_in_a_loop_names_the_holder_at_the_end_of_its_patience(vault: Vault) -> None:
    with held(vault):
        started_s = time.monotonic()
        with pytest.raises(LockHeldError, match=f"process {os.getpid()} .*the other one"):
            await vault.project.sync((), SyncRequest(wait_s=0.3))
        assert time.monotonic() - started_s >= 0.3


# --- on the command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait_s", [0, 0.2, 1])
def test_the_command_waits_as_long_as_it_is_told_and_names_the_holder(vault: Vault, wait_s: float) -> None:
    with held(vault):
        started_s = time.monotonic()
        done = run(vault.root, "sync", "--wait", str(wait_s))
        assert time.monotonic() - started_s >= wait_s
    assert done.returncode == 4
    assert re.search(rb"in use by process %d on \S+ \(the other one, since \d{4}-\d\d-\d\dT" % os.getpid(), done.stderr)
    assert done.stderr.count(b"\n") == 1


def test_the_command_goes_on_as_soon_as_the_lock_is_free(vault: Vault) -> None:
    with held(vault):
        waiting = subprocess.Popen(
            command(vault.root, "sync", "--wait", "100"),
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.communicate(timeout=0.5)
    output, errors = waiting.communicate(timeout=60)
    assert (waiting.returncode, errors) == (0, b"")
    assert b"4 added" in output


@pytest.mark.parametrize("held_by", ["sync", "git"])
def test_a_command_that_is_interrupted_while_it_waits_is_130_and_leaves_nothing(vault: Vault, held_by: str) -> None:
    vault.sync()
    vault.write("new.md")
    before = vault.state_bytes()
    with paused_sync(vault.root, "reading") if held_by == "sync" else gits_lock(vault):
        during = names(vault)
        waiting = subprocess.Popen(
            command(vault.root, "sync", "--wait", "100"),
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        opened = f"/proc/{waiting.pid}/fd"
        until(lambda: is_open(opened, vault.project.state.lock))
        waiting.send_signal(signal.SIGINT)
        _, errors = waiting.communicate(timeout=60)
        assert (waiting.returncode, errors.count(b"\n")) == (130, 1), errors
        assert b"interrupted" in errors
        assert names(vault) == during
    if held_by == "git":
        assert vault.state_bytes() == before
    assert run(vault.root, "sync", "--wait", "0").returncode == 0
    assert names(vault) == LEFT_AT_REST


def is_open(folder: str, path: Path) -> bool:
    try:
        return any(os.readlink(os.path.join(folder, fd)) == str(path) for fd in os.listdir(folder))
    except OSError:
        return False


def until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def gits_lock(vault: Vault) -> Iterator[None]:
    vault.project.state.index_lock.write_bytes(b"")
    yield
    vault.project.state.index_lock.unlink()


# --- git -------------------------------------------------------------------------------------------------------------


def test_a_git_that_is_writing_is_respected_and_its_lock_never_removed(vault: Vault, tmp_path: Path) -> None:
    """Real git, which holds its lock for as long as it reads its standard input."""
    vault.sync()
    vault.write("5.md", "- [fact] number 5\n")
    git = Git(tmp_path / "git", vault.index_path, vault.root)
    with git.popen("update-index", "--add", "--info-only", "-z", "--stdin") as writing:
        assert writing.stdin is not None
        until(vault.project.state.index_lock.exists)
        inode = vault.project.state.index_lock.stat().st_ino
        done = run(vault.root, "sync", "--wait", "0.2")
        assert done.returncode == 4
        message = done.stderr.decode()
        assert str(vault.project.state.index_lock) in message
        assert "git" in message
        assert "remove the file if none is" in message
        assert vault.project.state.index_lock.stat().st_ino == inode
        assert run(vault.root, "status", "--exit-code").returncode == 1
        writing.communicate(b"5.md\0", timeout=60)
        assert writing.returncode == 0
    assert b"5.md" in vault.index
    assert vault.sync(wait_s=0).files_parsed == 1  # the index alone knew of it
    assert vault.project.verify().ok


def test_git_keeps_away_from_an_index_that_a_sync_is_writing(vault: Vault, tmp_path: Path) -> None:
    vault.sync()
    vault.write("5.md", "- [fact] number 5\n")
    git = Git(tmp_path / "git", vault.index_path, vault.root)
    with paused_sync(vault.root, "resolving links") as writing:
        done = git.run("update-index", "--add", "--info-only", "5.md")
        assert (done.returncode, b"index.lock" in done.stderr) == (128, True)
        assert go_on(writing) == (0, b"")
    assert git("ls-files").split() == [b"0.md", b"1.md", b"2.md", b"3.md", b"5.md"]
    git.add("5.md")


@pytest.mark.parametrize("text", ["nonsense", "-1", "inf", "nan"])
def test_a_wait_that_is_none_is_named(vault: Vault, text: str) -> None:
    ended = run(vault.root, "sync", f"--wait={text}")
    assert ended.returncode == 2
    assert f"argument --wait: {text!r} is no number of seconds".encode() in ended.stderr
