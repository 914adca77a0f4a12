"""Whatever storm goes over a watched folder: when it is over, and at most one interval later, all of it is known.

A watcher is a process of its own here, at work while the storm lasts. Afterwards index and database are what a first
sync of a copy makes, `verify` finds nothing, a status says that nothing differs, and no user file was touched.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.watching.ears import QUEUE_LIMIT
from support.profile import NIGHTLY
from support.storms import (
    Renamer,
    Repository,
    Writer,
    delete_notes,
    edit_across_renames,
    replace_as_sync_tools_do,
    unzip,
    write_notes,
    zip_notes,
)
from support.vault import Vault
from support.watchers import LiveWatcher, assert_holds_after, live_watcher

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the storms are about inotify")

MADE, CHANGED = (20_000, 5_000) if NIGHTLY else (2_000, 500)
KEPT = 2 * CHANGED + 200
"""Notes there are before: more than twice as many as are deleted, which else would look like an accident."""
BRANCHES_DIFFER_BY, CHECKOUTS = (1_000, 20) if NIGHTLY else (300, 4)
UNPACKED = 5_000 if NIGHTLY else 500
REPLACED, REPLACEMENTS = (800, 20) if NIGHTLY else (300, 3)
KILLS = 200 if NIGHTLY else 10
LONGEST_LIFE_S = 2.0
"""Of a watcher that is killed: it needs less for its start and its first pass."""
EDITS_ACROSS_RENAMES = 300 if NIGHTLY else 25
SMALL_QUEUE = b"64"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "vault")


@pytest.fixture
def small_queue() -> Iterator[None]:
    """A kernel that keeps few events for whoever begins to listen now."""
    limit = Path(QUEUE_LIMIT)
    before = limit.read_bytes()
    try:
        limit.write_bytes(SMALL_QUEUE)
    except OSError as error:
        pytest.skip(f"{limit} cannot be written: {error.strerror}")
    try:
        yield
    finally:
        limit.write_bytes(before)


def storm_while_suspended(watcher: LiveWatcher) -> None:
    """Many notes come, change and go while the watcher is not run at all."""
    root = watcher.vault.root
    watcher.send(signal.SIGSTOP)
    try:
        write_notes(root, range(KEPT, KEPT + MADE), KEPT + MADE)
        write_notes(root, range(CHANGED), KEPT, "new")
        delete_notes(root, range(CHANGED, 2 * CHANGED))
    finally:
        watcher.send(signal.SIGCONT)


def test_what_happens_while_the_watcher_is_suspended_is_known_afterwards(vault: Vault, tmp_path: Path) -> None:
    write_notes(vault.root, range(KEPT), KEPT)
    with live_watcher(vault, tmp_path) as watcher:
        storm_while_suspended(watcher)
        assert_holds_after("suspended", watcher, tmp_path)


def test_what_the_kernel_has_no_room_to_tell_is_known_an_interval_later(
    vault: Vault, tmp_path: Path, small_queue: None
) -> None:
    write_notes(vault.root, range(KEPT), KEPT)
    with live_watcher(vault, tmp_path) as watcher:
        storm_while_suspended(watcher)
        assert_holds_after("suspended, small queue", watcher, tmp_path)


def test_what_a_small_queue_loses_while_the_watcher_runs_is_known_an_interval_later(
    vault: Vault, tmp_path: Path, small_queue: None
) -> None:
    write_notes(vault.root, range(KEPT), KEPT)
    with live_watcher(vault, tmp_path) as watcher:
        write_notes(vault.root, range(KEPT, KEPT + MADE), KEPT + MADE)
        write_notes(vault.root, range(CHANGED), KEPT, "new")
        delete_notes(vault.root, range(CHANGED, 2 * CHANGED))
        assert_holds_after("small queue", watcher, tmp_path)


def test_checkouts_of_another_branch_and_back_are_followed(vault: Vault, tmp_path: Path) -> None:
    count = 3 * BRANCHES_DIFFER_BY
    write_notes(vault.root, range(count), count)
    repository = Repository(vault.root)
    repository.make_branches(BRANCHES_DIFFER_BY, count)
    chance = random.Random(3)
    with live_watcher(vault, tmp_path) as watcher:
        for number in range(CHECKOUTS):
            repository.checkout("two" if number % 2 else "one")
            if number == CHECKOUTS // 2:
                assert_holds_after("checkout, half of them", watcher, tmp_path)
            time.sleep(chance.uniform(0, 1))
        assert_holds_after("checkout", watcher, tmp_path)


def test_unpacked_archive_is_known(vault: Vault, tmp_path: Path) -> None:
    write_notes(vault.root, range(50), 50)
    zip_notes(tmp_path / "notes.zip", range(50, 50 + UNPACKED), 50 + UNPACKED)
    with live_watcher(vault, tmp_path) as watcher:
        unzip(tmp_path / "notes.zip", vault.root)
        assert_holds_after("archive", watcher, tmp_path)


def test_notes_that_a_sync_tool_replaces_are_known_though_size_and_time_stay(vault: Vault, tmp_path: Path) -> None:
    write_notes(vault.root, range(REPLACED), REPLACED)
    with live_watcher(vault, tmp_path) as watcher:
        for number in range(REPLACEMENTS):
            replace_as_sync_tools_do(vault.root, range(REPLACED), REPLACED, ("red", "tan", "sky")[number % 3])
        assert_holds_after("sync tool", watcher, tmp_path)
        # Once more, when the index is as settled as it gets: each has the size and the mtime that it has there.
        replace_as_sync_tools_do(vault.root, range(REPLACED), REPLACED, "jet")
        assert_holds_after("sync tool, settled", watcher, tmp_path)


def test_nothing_is_lost_where_the_watcher_is_killed_at_any_moment(vault: Vault, tmp_path: Path) -> None:
    writer, watcher, chance = (
        Writer(vault.root, 600, seed=1),
        LiveWatcher(vault, tmp_path / "watch.log"),
        random.Random(2),
    )
    try:
        with writer:
            for _ in range(KILLS):
                watcher.start()
                time.sleep(chance.uniform(0, LONGEST_LIFE_S))
                watcher.kill()
        watcher.start()
        assert_holds_after("kills", watcher, tmp_path)
        assert writer.what_differs() == []
        assert watcher.stop() == 0
    finally:
        watcher.leave_nothing()


def test_edits_under_way_while_folders_are_renamed_are_known(vault: Vault, tmp_path: Path) -> None:
    write_notes(vault.root, (number for number in range(400) if number % 50 < 10), 400)
    # So many others that folders which are renamed twice, before they are looked at, do not look like an accident.
    write_notes(vault.root, range(1_000, 2_000), 2_000, top="others")
    renamer = Renamer(vault.root, 8, seed=4)
    with live_watcher(vault, tmp_path) as watcher:
        with renamer:
            edit_across_renames(vault.root, renamer, EDITS_ACROSS_RENAMES, seed=5)
        assert_holds_after("renamed folders", watcher, tmp_path)
