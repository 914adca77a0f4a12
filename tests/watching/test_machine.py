"""Random lives of a project that is watched: whatever users do and whatever befalls the watcher, it comes to know it.

The doings are those of the state machine in `tests/machine`; here they happen to real files by the kernel's clock,
beside a watcher in a process of its own, which is suspended, killed and started anew, and beside syncs of others.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from bm_gitindex import SyncRequest
from bm_gitindex.errors import IndexDamagedError
from bm_gitindex.indexlock import lock_index
from machine.clock import KernelClock
from machine.folder import EDITS
from machine.kill import fork_killed, reap
from machine.knowledge import knowledge
from machine.rules import FEW, Befalling, Configuring, Editing, Life
from machine.state import State
from machine.tally import counted_rule
from support.profile import NIGHTLY
from support.vault import Vault
from support.watchers import LiveWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bm_gitindex import Status

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what the kernel tells differs elsewhere")

LIVES, STEPS = (150, 60) if NIGHTLY else (6, 25)
_MANY = st.lists(st.tuples(st.integers(0, len(EDITS) - 1), st.integers(0, 11), st.integers(0, 11)), max_size=8)
_LONGEST_S = 120.0
"""No measure of anything: what takes so long does not come."""
_INTERVAL_S = 0.5


class TrueClock(KernelClock):
    """The system's own time, by which files are young as they are."""

    def __init__(self) -> None:
        """Change nothing."""


class LockedState(State):
    """A state folder that things befall between two syncs, whoever syncs: the doings of one who holds the lock."""

    def __init__(self, root: Path, clock: KernelClock, on_befall: Callable[[], object]) -> None:
        super().__init__(root, clock)
        self._on_befall = on_befall
        self._is_held = False

    def restore_index(self, i: int, j: int) -> None:
        with self._held():
            super().restore_index(i, j)

    def restore_all(self, i: int, j: int) -> None:
        with self._held():
            super().restore_all(i, j)

    def restore_database(self, i: int) -> None:
        with self._held():
            super().restore_database(i)

    def delete_index(self) -> None:
        with self._held():
            super().delete_index()

    def delete_database(self, *, with_companions: bool) -> None:
        with self._held():
            super().delete_database(with_companions=with_companions)

    def damage_index(self, i: int, j: int) -> None:
        with self._held():
            super().damage_index(i, j)

    def damage_database(self, i: int, j: int) -> None:
        with self._held():
            super().damage_database(i, j)

    @contextmanager
    def _held(self) -> Iterator[None]:
        if self._is_held:
            yield
            return
        self._on_befall()
        with self.at_rest():
            self._is_held = True
            try:
                yield
            finally:
                self._is_held = False

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Hold the lock, so that nobody syncs."""
        self._folder.ensure()
        with lock_index(self._folder, _LONGEST_S, "a test"):
            yield


class Watched(Life, Editing, Configuring, Befalling):
    """A project with a watcher, which may be gone for a while, and what else "Never wrong" has happen."""

    def __init__(self) -> None:
        super().__init__()
        self.is_up = self.is_suspended = self.is_befallen = False

    @initialize()
    def begin_with(self) -> None:
        self.begin(TrueClock(), {})
        self.world.state = self.state = LockedState(self.world.folder.root, TrueClock(), self.about_to_befall)
        self.watch()

    def watch(self) -> None:
        """Have the project watched, wherever it is."""
        self.watcher = LiveWatcher(Vault(self.world.folder.root), self.place / "watch.log", _INTERVAL_S)
        self.start()

    # --- what befalls the watcher ------------------------------------------------------------------------------------

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
            self._wait_for(self.watcher.state)  # it knows what to do when it is asked to end
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

    # --- what others do beside it ------------------------------------------------------------------------------------

    @counted_rule(edits=_MANY)
    def many_edits(self, edits: list[tuple[int, int, int]]) -> None:
        """Do several things at once, as programs do."""
        for doing, i, j in edits:
            self.world.edit(EDITS[doing], i, j)

    @counted_rule(chosen=st.lists(FEW, max_size=2), is_paranoid=st.booleans())
    def sync_beside(self, chosen: list[int], is_paranoid: bool) -> None:
        self.resume()
        self._sync(self._paths(chosen), is_paranoid=is_paranoid)

    @counted_rule(at=st.integers(0, 70), chosen=st.lists(FEW, max_size=2))
    def killed_sync_beside(self, at: int, chosen: list[int]) -> None:
        self.resume()
        reap(fork_killed(lambda: self._sync(self._paths(chosen)), at))

    def about_to_befall(self) -> None:
        """Be ready for what needs the lock, and of which nobody is told."""
        self.resume()
        self.is_befallen = True

    @counted_rule(i=FEW, j=FEW)
    def git_writes_slowly(self, i: int, j: int) -> None:
        self.resume()  # it needs a sync
        self.world.git_writes_slowly(i, j)

    @counted_rule()
    def move_elsewhere(self) -> None:
        """Go on in another place, with another watcher."""
        self.stop()
        self.world.move_elsewhere()
        self.watch()

    @counted_rule()
    def wait_a_moment(self) -> None:
        """Let what is young become old, and what is held be let go of."""
        time.sleep(0.3)

    # --- what must hold ----------------------------------------------------------------------------------------------

    @counted_rule()
    def ask(self) -> None:
        """Whatever the watcher says, a look at every file says the same."""
        if self.is_up and not self.is_suspended:
            self._wait_for(self._says_what_is_found)

    @counted_rule()
    def come_to_rest(self) -> None:
        self.start()
        self.resume()
        if not knowledge(self.world.folder.files(), self.world.options):
            self._sync([])  # a root without files stops the watcher, as it should: it is meant
        if self.is_befallen:  # nobody tells of what befalls a database: a pass finds out, which must begin after it
            self._wait_for(lambda: self._passes() >= 1)
            passes = self._passes()
            self._wait_for(lambda: self._passes() >= passes + 2)
            self.is_befallen = False
        self._wait_for(self._is_at_rest)
        with self.state.at_rest():
            self.world.compare_with_rebuild()
            assert self.world.project.verify().ok
            self.state.back_up()

    def end(self) -> None:
        self.come_to_rest()

    def leave(self) -> None:
        if hasattr(self, "watcher"):
            self.watcher.leave_nothing()
        super().leave()

    # --- how it is done ----------------------------------------------------------------------------------------------

    def _sync(self, paths: list[bytes], *, is_paranoid: bool = False) -> None:
        request = SyncRequest(paranoid=is_paranoid, wait_s=_LONGEST_S, allow_mass_delete=True)
        self.world.project.sync_blocking(paths, request)

    def _paths(self, chosen: list[int]) -> list[bytes]:
        known = sorted({*self.world.folder.names(), *self.world.folder.folders()})
        return [known[number % len(known)] for number in chosen if known]

    def _status(self) -> Status | None:
        """Return what a look at every file says; None while the index is damaged."""
        try:
            return self.world.project.status()
        except IndexDamagedError:
            return None

    def _says_what_is_found(self) -> bool:
        """Look between two answers; return False where the watcher has synced in between, and has to be asked again.

        It may have synced twice, so that what was found is like neither.
        """
        before, found, after = self.watcher.told_status(), self._status(), self.watcher.told_status()
        if before is None or found is None or after is None:
            return True  # it leaves that to a look
        if before.changes != after.changes:
            return False
        assert found.changes == after.changes
        return True

    def _passes(self) -> int:
        return int(self.watcher.state().get("passes", 0))

    def _is_at_rest(self) -> bool:
        if self.watcher.state().get("mode") == "polling":  # it answers no status
            found = self._status()
            return found is not None and not found.changes
        told = self.watcher.told_status()
        if told is None or told.changes or self.watcher.state().get("queue"):
            return False
        found = self._status()
        again = self.watcher.told_status()
        return again is not None and not again.changes and found is not None and not found.changes

    def _wait_for(self, condition: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + _LONGEST_S
        while not condition():
            assert time.monotonic() < deadline_s, self.watcher.state()
            time.sleep(0.02)


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
        phases=[Phase.generate],  # what happens at the same time does not happen again for a shorter life
        report_multiple_bugs=False,
    )
    number = int(os.environ.get("BM_GITINDEX_MACHINE_SEED", "0"))
    run_state_machine_as_test(seed(number)(Watched), settings=lives)
