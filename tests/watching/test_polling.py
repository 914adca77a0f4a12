from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import bm_gitindex as bmg
from bm_gitindex.syncing.report import SyncReport
from bm_gitindex.watching import watcher as watchers
from support.watching import watching

if TYPE_CHECKING:
    from support.vault import Vault

POLLED = bmg.WatchOptions(is_polled=True)


def rest_s(vault: Vault, how: bmg.WatchOptions, cpu_s: float, files_seen: int = 0) -> float:
    """Return how long a watcher that polls rests after a pass that took so much."""
    watcher = vault.project.watcher(how)
    watcher.state.mode = "polling"
    report = SyncReport(vault.root)
    report.counters.files_seen = files_seen
    watcher._plan_pass(report, cpu_s)
    return watcher.state.next_pass_s - watcher.state.started_s


@pytest.mark.usefixtures("polls_often")
async def test_edits_additions_and_deletions_are_found_without_events(vault: Vault) -> None:
    async with watching(vault.project, POLLED) as live:
        assert (live.watcher.is_polling, live.watcher.ears.are_open) == (True, False)
        assert live.watcher.state.notes == ["files are polled: polling was asked for"]
        async with live.watcher.work:  # no pass comes between the parts of a change, and finds two
            vault.write("sub/three.md", "changed\n")
        await live.until(lambda: live.changed == {b"sub/three.md"})
        async with live.watcher.work:
            vault.write("new/five.md", "five\n")
        await live.until(lambda: b"new/five.md" in live.changed)
        (vault.root / "one.md").unlink()
        await live.until(lambda: b"one.md" in live.changed)
        assert live.total == (1, 1, 1, 0)
        assert live.missed == set()
        assert live.watcher.state.events == 0
    assert vault.project.verify().ok


@pytest.mark.usefixtures("polls_often")
async def test_a_move_is_found_without_events(vault: Vault) -> None:
    ids = vault.ids()
    async with watching(vault.project, POLLED) as live:
        async with live.watcher.work:  # no pass is between the two folders meanwhile
            (vault.root / "one.md").rename(vault.root / "sub/moved.md")
        await live.until(lambda: live.total == (0, 0, 0, 1))
    assert vault.ids()["sub/moved.md"] == ids["one.md"]


@pytest.mark.usefixtures("polls_often")
async def test_edits_of_the_same_size_and_mtime_are_found(vault: Vault) -> None:
    async with watching(vault.project, POLLED) as live:
        for text in ("AAA\n", "BBB\n", "CCC\n", "DDD\n"):
            async with live.watcher.work:  # no pass comes before the times are put back
                st = os.stat(vault.root / "one.md")
                (vault.root / "one.md").write_text(text)
                os.utime(vault.root / "one.md", ns=(st.st_atime_ns, st.st_mtime_ns))
                live.reports.clear()
            await live.until(lambda: live.changed == {b"one.md"})
    assert vault.project.verify().ok


def test_the_rest_between_passes_is_long_enough_for_a_share_of_the_processor(vault: Vault) -> None:
    assert rest_s(vault, POLLED, cpu_s=0.5) >= 0.5 / watchers._POLLING_SHARE - 0.5
    assert rest_s(vault, POLLED, cpu_s=2.0) >= 2.0 / watchers._POLLING_SHARE - 2.0


def test_the_rest_between_passes_is_never_shorter_than_the_least(vault: Vault) -> None:
    assert rest_s(vault, POLLED, cpu_s=0.0) >= watchers._LEAST_POLL_S


def test_the_rest_between_passes_is_long_enough_for_the_files_that_may_be_asked_for(vault: Vault) -> None:
    how = bmg.WatchOptions(is_polled=True, most_stats_per_s=10.0)
    assert rest_s(vault, how, cpu_s=0.0, files_seen=1000) >= 100.0
    assert rest_s(vault, how, cpu_s=0.0, files_seen=1) >= watchers._LEAST_POLL_S
