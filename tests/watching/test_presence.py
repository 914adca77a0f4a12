from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.errors import BmGitIndexError, LockHeldError, StateWriteError
from bm_gitindex.watching import asking, daemon
from bm_gitindex.watching.presence import hold_watch, watcher_fields
from bm_gitindex.watching.session import watch
from support.watching import eventually, watching
from support.writers import ENVIRONMENT

if TYPE_CHECKING:
    from support.vault import Vault


async def test_a_second_watcher_is_refused_and_the_first_one_named(vault: Vault) -> None:
    async with watching(vault.project) as live:
        with pytest.raises(LockHeldError, match=f"watched already by process {os.getpid()} on .*--follow.*--stop"):
            async for _ in watch(vault.project.watcher()):
                pass
        vault.write("one.md", "changed\n")
        await live.until(lambda: live.changed == {b"one.md"})


async def test_a_project_is_watched_as_long_as_its_watcher_lives(vault: Vault) -> None:
    state = vault.project.state
    assert watcher_fields(state) is None
    for _ in range(2):
        async with watching(vault.project):
            fields = watcher_fields(state)
            assert fields is not None
            assert (fields["pid"], fields["host"]) == (str(os.getpid()), os.uname().nodename)
        assert watcher_fields(state) is None


async def test_a_sync_beside_a_watcher_works_and_is_no_report_of_the_watcher(vault: Vault) -> None:
    async with watching(vault.project) as live:
        vault.write("one.md", "changed\n")
        await vault.project.sync()
        assert vault.status().is_clean
        await live.settled()
        assert live.total in {(0, 0, 0, 0), (0, 1, 0, 0)}
        assert vault.status().is_clean
        assert live.watcher.state.failures == 0


def test_whoever_only_asks_who_watches_is_not_taken_for_a_watcher(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = vault.project.state
    state.watch_lock.touch()
    fd = os.open(state.watch_lock, os.O_RDONLY)
    flock, attempts = fcntl.flock, []

    def flock_meanwhile(lock_fd: int, operation: int) -> None:
        attempts.append(operation)
        if len(attempts) == 2:
            flock(fd, fcntl.LOCK_UN)
        flock(lock_fd, operation)

    flock(fd, fcntl.LOCK_SH)  # as `watcher_fields` does
    monkeypatch.setattr(fcntl, "flock", flock_meanwhile)
    try:
        with hold_watch(state, "a test"):
            assert len(attempts) == 2
    finally:
        os.close(fd)


def test_a_lock_that_cannot_be_used_is_told(vault: Vault) -> None:
    vault.project.state.watch_lock.mkdir()
    with pytest.raises(StateWriteError, match=r"watch\.lock"), hold_watch(vault.project.state, "a test"):
        pass
    assert watcher_fields(vault.project.state) is None


_FORKING = """
import asyncio, os, signal, sys
from contextlib import aclosing
import bm_gitindex as bmg

async def main():
    async with aclosing(bmg.watch(sys.argv[1])) as reports:
        await anext(reports)
        child = os.fork()
        if not child:
            signal.pause()
        print(child, flush=True)
        if sys.argv[2] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["closed", "killed"])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="it cannot fork")
def test_a_child_that_was_forked_does_not_go_on_holding_the_watch(vault: Vault, end: str) -> None:
    vault.write("five.md", "five\n")
    script = [sys.executable, "-W", "ignore", "-c", _FORKING, str(vault.root), end]
    with subprocess.Popen(script, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            process.wait(60)
            assert watcher_fields(vault.project.state) is None
            assert os.path.isdir(f"/proc/{child}") or sys.platform != "linux"
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="nothing else tells who has a file open")
def test_nobody_is_ended_who_does_not_hold_the_watch(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("it holds nothing"))
    lock = vault.project.state.watch_lock
    holding = (
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); input()"
    )
    with hold_watch(vault.project.state, "test"):
        pass  # so that the file names this process
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", holding, lock], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(BmGitIndexError, match=rf"watch\.lock is not held by process {os.getpid()} on"):
            daemon.stop(vault.project.state)
        process.communicate(b"\n")


async def test_a_watcher_whose_state_folder_was_replaced_ends_and_leaves_the_next_one_alone(vault: Vault) -> None:
    first = asyncio.ensure_future(_reports_of(vault))
    await eventually(lambda: os.path.lexists(vault.project.state.watch_socket))
    shutil.move(vault.state_path, vault.root.parent / "aside")
    async with watching(vault.project) as second:
        with pytest.raises(StateWriteError, match=r"\.basic-memory was removed or replaced; start the watcher anew"):
            await first
        assert second.watcher.state.notes == []
        told = await asyncio.to_thread(asking.ask, str(vault.state_path), "state", 30.0)
        assert told is not None
        assert told.startswith(b"state ")
    assert vault.project.verify().ok


async def test_a_state_folder_that_is_not_there_for_a_while_is_waited_for(vault: Vault) -> None:
    with hold_watch(vault.project.state, "test") as held:
        vault.state_path.rename(vault.root / "aside")
        assert not held.is_lost()
        (vault.root / "aside").rename(vault.state_path)
        assert not held.is_lost()
        vault.project.state.watch_lock.unlink()
        assert held.is_lost()


async def _reports_of(vault: Vault) -> None:
    async for _ in vault.project.watch():
        pass
