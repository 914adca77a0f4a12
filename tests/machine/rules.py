"""The machine's rules: what users do, what befalls the state, how time passes, and syncs of every kind."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from machine.clock import HALF_SECOND_NS, KernelClock, OwnClock
from machine.folder import EDITS, Folder
from machine.tally import counted_rule
from machine.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from machine.folder import Doing

NUMBERS = st.integers(0, 5000)
FEW = st.integers(0, 11)
TICKS = st.sampled_from([0, 0, 1, 2, 5, 10])
DISTURBANCES = st.tuples(st.integers(0, len(EDITS) - 1), FEW, FEW)
FLAGS: list[object] = [None, True, False]
CONFIGURATIONS: dict[str, list[object]] = {
    "note_suffixes": [None, [".md"], [".md", ".txt"], [".md", ".bin", ".markdown"]],
    "ignore": [None, ["*.bin"], ["sub/", "!a.md"], ["!c.bin", "/other"]],
    "include_hidden": FLAGS,
    "include_temporary": FLAGS,
    "large_file_bytes": [None, 0, 1000, 1000, 2000],
    "large_file_policy": [None, "stat", "sample", "full"],
    "trust_filemode": FLAGS,
    "bounds.note_max_bytes": [None, 20, 80],
    "bounds.front_matter_max_bytes": [None, 10],
    "bounds.max_items": [None, 1],
}
TRUSTS: dict[str, list[object]] = {"trust_ctime": FLAGS, "check_stat": [None, "default", "minimal"]}


class Life(RuleBasedStateMachine):
    """A world that begins with a few files; at the end all must be well, whatever has happened."""

    base: ClassVar[Path]
    """Where projects are made."""
    _numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.monkeypatch = pytest.MonkeyPatch()
        self.place = self.base / f"{next(self._numbers)}"
        self.place.mkdir()

    def begin(self, clock: KernelClock | OwnClock, configuration: dict[str, object]) -> None:
        self.world = World(self.place, clock, self.monkeypatch)
        for name, value in configuration.items():
            self.world.configure(name, value)
        for number in range(4):
            self.world.edit(Folder.write_new, number, number)

    def end(self) -> None:
        """See that all is well."""
        raise NotImplementedError

    def leave(self) -> None:
        """Leave nothing behind."""
        self.monkeypatch.undo()
        shutil.rmtree(self.place)

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.end()
        finally:
            self.leave()


class Project(Life):
    """A life in which nobody syncs but when a rule says so."""

    def end(self) -> None:
        self.world.full_sync(paranoid=True)
        self.world.compare_with_rebuild()


class Editing(RuleBasedStateMachine):
    """What users, editors and other programs do to the files."""

    world: World

    @counted_rule(j=FEW)
    def undo(self, j: int) -> None:
        self.world.undo(j)


def _edit(doing: Doing) -> Any:
    def edit(machine: Editing, i: int, j: int) -> None:
        machine.world.edit(doing, i, j)

    edit.__name__ = edit.__qualname__ = doing.__name__
    return counted_rule(i=FEW, j=FEW)(edit)


for _doing in EDITS:
    setattr(Editing, _doing.__name__, _edit(_doing))


class Configuring(RuleBasedStateMachine):
    """Options that are changed."""

    world: World

    @counted_rule(name=st.sampled_from(sorted(CONFIGURATIONS)), number=FEW)
    def configure(self, name: str, number: int) -> None:
        self.world.configure(name, CONFIGURATIONS[name][number % len(CONFIGURATIONS[name])])


class Befalling(RuleBasedStateMachine):
    """What befalls the state folder."""

    world: World

    @counted_rule(i=FEW, j=FEW)
    def restore_index(self, i: int, j: int) -> None:
        self.world.restore_index(i, j)

    @counted_rule(i=FEW)
    def restore_database(self, i: int) -> None:
        self.world.state.restore_database(i)

    @counted_rule(i=FEW, j=FEW)
    def restore_all(self, i: int, j: int) -> None:
        self.world.restore_all(i, j)

    @counted_rule()
    def delete_index(self) -> None:
        self.world.state.delete_index()

    @counted_rule(with_companions=st.booleans())
    def delete_database(self, with_companions: bool) -> None:
        self.world.state.delete_database(with_companions=with_companions)

    @counted_rule(i=NUMBERS, j=FEW)
    def damage_index(self, i: int, j: int) -> None:
        self.world.state.damage_index(i, j)

    @counted_rule(i=NUMBERS, j=FEW)
    def damage_database(self, i: int, j: int) -> None:
        self.world.state.damage_database(i, j)

    @counted_rule(i=FEW, j=FEW)
    def git_writes(self, i: int, j: int) -> None:
        self.world.git_writes(i, j)

    @counted_rule(i=FEW, j=FEW)
    def git_writes_slowly(self, i: int, j: int) -> None:
        self.world.git_writes_slowly(i, j)

    @counted_rule()
    def move_elsewhere(self) -> None:
        self.world.move_elsewhere()


class Syncing(RuleBasedStateMachine):
    """Syncs, and what comes in between."""

    world: World

    @counted_rule(half_seconds=TICKS)
    def sync(self, half_seconds: int) -> None:
        self.world.clock.tick(half_seconds)
        self.world.full_sync()

    @counted_rule()
    def paranoid_sync(self) -> None:
        self.world.full_sync(paranoid=True)

    @counted_rule()
    def settle(self) -> None:
        self.world.settle()

    @counted_rule(half_seconds=TICKS)
    def status_and_sync(self, half_seconds: int) -> None:
        self.world.clock.tick(half_seconds)
        self.world.status_and_sync()

    @counted_rule(half_seconds=TICKS, chosen=st.lists(FEW, min_size=1, max_size=2))
    def partial_sync(self, half_seconds: int, chosen: list[int]) -> None:
        self.world.clock.tick(half_seconds)
        if paths := self._paths(chosen):
            self.world.partial_sync(paths)

    @counted_rule(
        edit=DISTURBANCES, misfortune=FEW, numbers=st.tuples(FEW, FEW), chosen=st.lists(FEW, min_size=1, max_size=1)
    )
    def partial_sync_after_a_misfortune(
        self, edit: tuple[int, int, int], misfortune: int, numbers: tuple[int, int], chosen: list[int]
    ) -> None:
        doing, *of_edit = edit
        self.world.edit(EDITS[doing], *of_edit)
        self.world.befall(misfortune, *numbers)
        if paths := self._paths(chosen):
            self.world.partial_sync(paths)

    @counted_rule(edit=DISTURBANCES, misfortune=FEW, numbers=st.tuples(FEW, FEW), i=FEW)
    def denied_sync_after_a_misfortune(
        self, edit: tuple[int, int, int], misfortune: int, numbers: tuple[int, int], i: int
    ) -> None:
        doing, *of_edit = edit
        self.world.edit(EDITS[doing], *of_edit)
        self.world.befall(misfortune, *numbers)
        self.world.denied_sync(i)

    @counted_rule()
    def two_syncs(self) -> None:
        self.world.two_syncs()

    @counted_rule(at=st.integers(0, 70), chosen=st.lists(FEW, max_size=2), beside_another=st.sampled_from([0, 0, 0, 1]))
    def killed_sync(self, at: int, chosen: list[int], beside_another: int) -> None:
        self.world.killed_sync(at, self._paths(chosen), beside_another=bool(beside_another))

    @counted_rule(at=st.integers(20, 60), edit=DISTURBANCES, j=FEW)
    def edit_that_is_undone_after_a_kill(self, at: int, edit: tuple[int, int, int], j: int) -> None:
        doing, *numbers = edit
        self.world.edit(EDITS[doing], *numbers)
        self.world.killed_sync(at, [], beside_another=False)
        self.world.undo(j)

    def _paths(self, chosen: list[int]) -> list[bytes]:
        known = sorted({*self.world.folder.names(), *self.world.folder.folders(), *self.world.state.indexed()})
        return [known[number % len(known)] for number in chosen if known]


class OwnTime(Project, Editing, Configuring, Befalling, Syncing):
    """A machine with a clock of its own, which ticks and is set back, and with syncs that take their time."""

    world: World
    clock: OwnClock

    @initialize(
        is_settled=st.booleans(),
        half_seconds=st.sampled_from([1, 2, 4]),
        trust_ctime=st.sampled_from(FLAGS),
        large_file_bytes=st.sampled_from([None, 1000]),
    )
    def begin_with(
        self, half_seconds: int, trust_ctime: bool | None, large_file_bytes: int | None, is_settled: bool
    ) -> None:
        self.clock = OwnClock(self.monkeypatch, half_seconds * HALF_SECOND_NS)
        configuration: dict[str, object] = {"trust_ctime": trust_ctime, "large_file_bytes": large_file_bytes}
        self.begin(self.clock, configuration)
        if is_settled:
            self.world.settle()

    @counted_rule(half_seconds=st.sampled_from([1, 1, 2, 3, 4, 5, 10]))
    def tick(self, half_seconds: int) -> None:
        self.clock.tick(half_seconds)

    @counted_rule(takes=TICKS)
    def syncs_take(self, takes: int) -> None:
        self.clock.takes_half_seconds = takes

    @counted_rule(half_seconds=st.sampled_from([1, 2, 4, 10]))
    def set_clock_back(self, half_seconds: int) -> None:
        self.clock.turn_back_to(self.clock.stamp_ns() - half_seconds * HALF_SECOND_NS)

    @counted_rule(i=FEW, j=FEW)
    def edit_when_it_is_that_time_again(self, i: int, j: int) -> None:
        self.edit_with_the_clock_set_back(i, j)

    def edit_with_the_clock_set_back(self, i: int, j: int) -> None:
        """Edit a file when it is once more the time that it has."""
        if name := self.world.folder.chosen(i):
            self.clock.turn_back_to(self.world.folder.files()[name].stat.st_mtime_ns)
            self.world.edit(Folder.edit_same_size, i, j)

    @counted_rule(i=FEW, j=FEW, half_seconds=st.integers(1, 4), chosen=FEW)
    def partial_sync_of_another_with_the_clock_set_back(self, i: int, j: int, half_seconds: int, chosen: int) -> None:
        self.edit_with_the_clock_set_back(i, j)
        self.clock.tick(half_seconds)
        if paths := [path for path in self._paths([chosen]) if path != self.world.folder.chosen(i)]:
            self.world.partial_sync(paths)

    @counted_rule(i=FEW, j=FEW)
    def overtaken_sync(self, i: int, j: int) -> None:
        self.world.overtaken_sync(i, j)

    @counted_rule(name=st.sampled_from(sorted(TRUSTS)), number=FEW)
    def trust(self, name: str, number: int) -> None:
        self.world.configure(name, TRUSTS[name][number % len(TRUSTS[name])])

    @counted_rule(at=st.integers(0, 40), edit=DISTURBANCES, ticks=st.tuples(TICKS, TICKS))
    def disturbed_sync(self, at: int, edit: tuple[int, int, int], ticks: tuple[int, int]) -> None:
        doing, i, j = edit
        self.world.disturbed_sync(at, (EDITS[doing], i, j), ticks)


class KernelTime(Project, Editing, Configuring, Befalling, Syncing):
    """A machine that goes by the kernel's clock, and its true ctimes."""

    @initialize(large_file_bytes=st.sampled_from([None, 1000]), is_settled=st.booleans())
    def begin_with(self, large_file_bytes: int | None, is_settled: bool) -> None:
        configuration: dict[str, object] = {"trust_ctime": True, "large_file_bytes": large_file_bytes}
        self.begin(KernelClock(self.monkeypatch), configuration)
        if is_settled:
            self.world.settle()
