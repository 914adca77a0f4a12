from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.errors import LockHeldError, StateWriteError
from bm_gitindex.watching.presence import hold_watch, watcher_fields
from bm_gitindex.watching.session import watch
from support.watching import watching

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
