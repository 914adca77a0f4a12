"""Folders that are copied, moved, carried between machines, hidden, lost and put back, in any order.

However they came to be where they are: once each was synced, each is a project of its own, complete and settled; and
a folder that stayed where it was, with its id, is the project that it was.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bm_gitindex.entities import identity
from support.profile import NIGHTLY, record_figures
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from support.postgresql import Database

PLACES = ("one", "two", "three")
MACHINES = ("this", "that")
EXAMPLES = 400 if NIGHTLY else 20
MOST_STEPS = 14

places = st.sampled_from(PLACES)
steps = st.lists(
    st.tuples(st.sampled_from(["sync", "edit", "delete", "hide", "show", "lose", "keep", "put back", "turn"]), places)
    | st.tuples(st.sampled_from(["copy", "move", "carry", "sync"]), places, places),
    min_size=3,
    max_size=MOST_STEPS,
)


@dataclass
class World:
    """The folders of two machines, whose paths are the same; one machine is at work, the other is switched off."""

    base: Path
    database: Database
    machine: str = MACHINES[0]
    steady: dict[tuple[str, str], str] = field(default_factory=dict)
    """The id of each folder that was synced, and not touched but by edits since."""
    synced: set[tuple[str, str]] = field(default_factory=set)
    """Where a folder was ever synced."""

    def __post_init__(self) -> None:
        for name in ("disk", "off", "hidden/this", "hidden/that", "kept/this", "kept/that"):
            (self.base / name).mkdir(parents=True)
        self.vault("one").write("a.md", "# A\n[[b]]\n")
        self.vault("one").write("b.md", "# B\n")

    def root(self, place: str) -> Path:
        return self.base / "disk" / place

    def vault(self, place: str) -> Vault:
        return Vault(self.root(place), database=self.database)

    def id_of(self, place: str) -> str:
        stored = identity.read_id(self.vault(place).project.state)
        assert stored is not None
        return stored.id

    def present(self) -> list[str]:
        return [place for place in PLACES if self.root(place).exists()]

    def touched(self, *folders: str) -> None:
        for place in folders:
            self.steady.pop((self.machine, place), None)

    def take(self, step: tuple[str, ...]) -> None:
        """Do one thing, as far as it can be done."""
        what, place, *rest = step
        if what == "turn":
            self.turn()
        elif what == "show":
            hidden = self.base / "hidden" / self.machine / place
            if hidden.exists() and not self.root(place).exists():
                hidden.rename(self.root(place))
        elif self.root(place).exists():
            getattr(self, what.replace(" ", "_"))(place, *rest)

    def turn(self) -> None:
        """Switch this machine off and the other one on."""
        aside = self.base / "aside"
        (self.base / "disk").rename(aside)
        (self.base / "off").rename(self.base / "disk")
        aside.rename(self.base / "off")
        self.machine = MACHINES[1 - MACHINES.index(self.machine)]

    def sync(self, place: str, *_: str) -> None:
        self.vault(place).settled_sync()
        found = self.id_of(place)
        assert self.steady.get((self.machine, place), found) == found, "a folder that stayed lost its id"
        self.steady[self.machine, place] = found
        self.synced.add((self.machine, place))

    def edit(self, place: str) -> None:
        self.vault(place).write("a.md", f"# A\n{self.machine} {place} {len(self.synced)}\n")

    def delete(self, place: str) -> None:
        shutil.rmtree(self.root(place))
        self.touched(place)

    def hide(self, place: str) -> None:
        hidden = self.base / "hidden" / self.machine / place
        shutil.rmtree(hidden, ignore_errors=True)
        self.root(place).rename(hidden)
        self.touched(place)

    def lose(self, place: str) -> None:
        self.vault(place).project.state.project_id.unlink(missing_ok=True)
        self.touched(place)

    def keep(self, place: str) -> None:
        kept = self.base / "kept" / self.machine / place
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.root(place), kept)

    def put_back(self, place: str) -> None:
        kept = self.base / "kept" / self.machine / place
        if kept.exists():
            self.delete(place)
            shutil.copytree(kept, self.root(place))

    def copy(self, place: str, other: str) -> None:
        if place != other:
            shutil.rmtree(self.root(other), ignore_errors=True)
            shutil.copytree(self.root(place), self.root(other))
            self.touched(other)

    def move(self, place: str, other: str) -> None:
        if place != other:
            shutil.rmtree(self.root(other), ignore_errors=True)
            self.root(place).rename(self.root(other))
            self.touched(place, other)

    def carry(self, place: str, other: str) -> None:
        """Copy a folder to the machine that is off."""
        there = self.base / "off" / other
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(self.root(place), there)
        self.steady.pop((MACHINES[1 - MACHINES.index(self.machine)], other), None)

    def check(self) -> None:
        """Sync everything that there is, on both machines, and see that each is a project of its own."""
        ids: list[str] = []
        for _ in MACHINES:
            for place in self.present():
                self.sync(place)
            for place in self.present():
                vault = self.vault(place)
                before = self.id_of(place)
                report = vault.sync()
                assert (report.added, report.modified, report.deleted, report.notices) == (0, 0, 0, [])
                assert vault.project.verify().ok
                assert self.id_of(place) == before
                ids.append(before)
            self.turn()
        assert len(ids) == len(set(ids))
        rows = self.database.rows("SELECT name, root, machine FROM project WHERE root IS NOT NULL")
        assert set(ids) <= {row[0] for row in rows}
        assert len({row[1:] for row in rows}) == len(rows)
        total = self.database.rows("SELECT count(*) FROM project")[0][0]
        assert total <= len(self.synced) + MOST_STEPS, "projects are made without end"


@settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(life=steps)
def test_every_folder_is_a_project_of_its_own(
    tmp_path_factory: pytest.TempPathFactory,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    life: list[tuple[str, ...]],
) -> None:
    never_young(monkeypatch)
    database.empty()
    world = World(tmp_path_factory.mktemp("life"), database)
    monkeypatch.setattr(identity, "machine_id", lambda: world.machine)
    try:
        for step in (("sync", "one"), *life):
            world.take(step)
        world.check()
    finally:
        shutil.rmtree(world.base)
    record_figures("identity", steps=len(life), projects=len(world.synced))
