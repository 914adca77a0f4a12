"""Random lives of a project that is watched: whatever users do and whatever befalls the watcher, it comes to know it.

The doings are those of the state machine in `tests/machine`; here they happen to real files by the kernel's clock,
beside a watcher in a process of its own, which is suspended, killed and started anew, and beside syncs of others.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from bm_gitindex import SyncRequest
from machine.clock import KernelClock
from machine.folder import EDITS, Folder
from machine.rules import Configuring, Editing
from machine.tally import counted_rule
from machine.world import World
from support.profile import NIGHTLY
from support.vault import Vault
from support.watchers import LiveWatcher

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what the kernel tells differs elsewhere")

LIVES, STEPS = (150, 60) if NIGHTLY else (6, 25)
_MANY = st.lists(st.tuples(st.integers(0, len(EDITS) - 1), st.integers(0, 11), st.integers(0, 11)), max_size=8)
_LONGEST_S = 120.0
"""No measure of anything: what takes so long does not come."""


class TrueClock(KernelClock):
    """The system's own time, by which files are young as they are."""

    def __init__(self) -> None:
        """Change nothing."""


class Watched(Editing, Configuring):
    """A project with a watcher, which may be gone for a while."""

    base: ClassVar[Path]
    _numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.monkeypatch = pytest.MonkeyPatch()
        self.place = self.base / f"{next(self._numbers)}"
        self.place.mkdir()
        self.is_up = self.is_suspended = False

    @initialize()
    def begin(self) -> None:
        self.world: Any = World(self.place, TrueClock(), self.monkeypatch)
        for number in range(6):
            self.world.edit(Folder.write_new, number, number)
        self.watcher = LiveWatcher(Vault(self.world.folder.root), self.place / "watch.log")
        self.start()

    @counted_rule()
    def start(self) -> None:
        if not self.is_up:
            self.watcher.start()
            self.is_up = True

    @counted_rule()
    def kill(self) -> None:
        if self.is_up:
            self.resume()
            self.watcher.kill()
            self.is_up = False

    @counted_rule()
    def stop(self) -> None:
        if self.is_up:
            self.resume()
            self.watcher.wait_until_up()
            assert self.watcher.stop() == 0
            self.is_up = False

    @counted_rule()
    def suspend(self) -> None:
        if self.is_up and not self.is_suspended:
            self.watcher.send(signal.SIGSTOP)
            self.is_suspended = True

    @counted_rule()
    def resume(self) -> None:
        if self.is_suspended:
            self.watcher.send(signal.SIGCONT)
            self.is_suspended = False

    @counted_rule(edits=_MANY)
    def many_edits(self, edits: list[tuple[int, int, int]]) -> None:
        """Do several things at once, as programs do."""
        for doing, i, j in edits:
            self.world.edit(EDITS[doing], i, j)

    @counted_rule()
    def sync_beside(self) -> None:
        self.resume()
        self.world.project.sync_blocking((), SyncRequest(wait_s=_LONGEST_S, allow_mass_delete=True))

    @counted_rule()
    def delete_index(self) -> None:
        self.world.state.delete_index()

    @counted_rule()
    def wait_a_moment(self) -> None:
        """Let what is young become old, and what is held be let go of."""
        time.sleep(0.3)

    @counted_rule()
    def ask(self) -> None:
        """Whatever the watcher says, a look at every file says the same, or the watcher has synced in between."""
        if not self.is_up or self.is_suspended:
            return
        before, found, after = (
            self.watcher.told_status(),
            self.world.project.status(),
            self.watcher.told_status(),
        )
        if before is not None and after is not None:
            assert found.changes in (before.changes, after.changes)

    @counted_rule()
    def come_to_rest(self) -> None:
        self.start()
        self.resume()
        if not self.world.folder.names():  # an emptied root stops every sync, as it should
            self.world.edit(Folder.write_new, 0, 0)
        deadline_s = time.monotonic() + _LONGEST_S
        while not self._is_at_rest():
            assert time.monotonic() < deadline_s, self.watcher.state()
            time.sleep(0.02)
        self.world.compare_with_rebuild()
        assert self.world.project.verify().ok

    def _is_at_rest(self) -> bool:
        told = self.watcher.told_status()
        if told is None or told.changes or self.watcher.state().get("queue"):
            return False
        found = self.world.project.status()
        again = self.watcher.told_status()
        return again is not None and not again.changes and not found.changes

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.come_to_rest()
        finally:
            if hasattr(self, "watcher"):
                self.watcher.leave_nothing()
            self.monkeypatch.undo()
            shutil.rmtree(self.place)


@pytest.mark.no_cover
def test_watcher_comes_to_know_whatever_happens(tmp_path: Path) -> None:
    Watched.base = tmp_path
    lives = settings(
        max_examples=LIVES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    number = int(os.environ.get("BM_GITINDEX_MACHINE_SEED", "0"))
    run_state_machine_as_test(seed(number)(Watched), settings=lives)
