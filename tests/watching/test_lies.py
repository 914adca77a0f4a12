"""A status from a watcher is as good as a full look: what it might not have heard of, it does not deny."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from bm_gitindex.watching.ears import QUEUE_LIMIT
from support.storms import note_path, note_text, write_notes
from support.vault import Vault
from support.watchers import LiveWatcher, live_watcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="this is about inotify")

LONG_S = 3_600.0
"""An interval in which no pass comes by itself."""
_REWRITES_OF_QUEUE = 2
"""Each is several events, so that the queue is full before all are made."""


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    found = Vault(tmp_path / "vault")
    write_notes(found.root, range(100), 100)
    return found


def assert_tells_the_truth(watcher: LiveWatcher) -> None:
    """Ask once; whatever the answer is, it must not deny what a full look finds.

    It may tell of more: what the watcher has synced since.
    """
    watcher.wait_for_an_answer()
    told, found = watcher.told_status(), watcher.vault.status()
    assert told is None or set(told.changes) >= set(found.changes)


def test_queue_that_few_paths_have_filled_is_not_taken_for_the_whole_story(vault: Vault, tmp_path: Path) -> None:
    busy = vault.root / note_path(0)
    with live_watcher(vault, tmp_path, LONG_S) as watcher:
        watcher.wait_until_clean()
        watcher.send(signal.SIGSTOP)
        for _ in range(int(Path(QUEUE_LIMIT).read_bytes()) // _REWRITES_OF_QUEUE):
            fd = os.open(busy, os.O_WRONLY)
            os.write(fd, b"-")
            os.close(fd)
        (vault.root / note_path(70)).write_text(note_text(70, 100, "new"), "utf-8")
        watcher.send(signal.SIGCONT)
        assert_tells_the_truth(watcher)


def test_note_in_the_place_of_a_link_is_heard_of(vault: Vault, tmp_path: Path) -> None:
    link = vault.root / "link.md"
    with live_watcher(vault, tmp_path, LONG_S) as watcher:
        events = watcher.state()["events"]
        link.symlink_to(note_path(1))
        watcher.wait_until_heard(events)
        events = watcher.state()["events"]
        link.unlink()
        link.write_text(note_text(200, 100), "utf-8")
        watcher.wait_until_heard(events)
        assert_tells_the_truth(watcher)
