"""What a power failure, or a copy put back, may leave: index, `index.own` and database of different moments.

A kill before each durable call of a sync leaves the files of that moment. They are combined: each index there ever was
beside each `index.own` and each state of the database, with what was in its log, with all that was lost from the end of
the log, and without. In each case one sync must find every edit; nothing may be lost.
"""

from __future__ import annotations

import time
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import pytest

from support.profile import NIGHTLY, record_figures, sample, spread
from support.stage import EDITS, FIRST_SYNC, SCENARIOS, Saved, Scenario, Stage, State
from support.trace import DURABLE, SYNCING
from support.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from support.strace import Tracer

SAMPLED = 10
TRIED = 1000 if NIGHTLY else SAMPLED
"""How many combinations: all of them would take hours, and most differ by a page of a log alone."""
CHANGING = DURABLE - SYNCING
CHOSEN = [EDITS, FIRST_SYNC, *(one for one in SCENARIOS if one.name in {"other options", "part of the vault"})]
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_PAGE_BYTES = 4096
_FRAME_BYTES = _FRAME_HEADER_BYTES + _PAGE_BYTES


class Database(NamedTuple):
    """The content of the files of a database; None for one that is not there."""

    main: bytes | None
    wal: bytes | None


def moments(tracer: Tracer, stage: Stage) -> list[State]:
    """Return the state before the command, before each durable call of it, and after it."""
    found = [stage.saved]
    for point in sample(stage.points(tracer, CHANGING), SAMPLED):
        stage.reset()
        if tracer.inject(stage.argv, point.injection("signal=KILL"), point.gate).was_killed:
            found.append(stage.snapshot())
    stage.reset()
    assert tracer.run(stage.argv).status == 0
    return [*found, stage.snapshot()]


def databases(states: Iterable[State]) -> list[Database]:
    """Return every state of the database that a power failure may leave.

    What was written to the log and not synced may be lost from any place on; a torn end is one of those. Before the
    first page is written to the database itself, the log is synced, and from then on all of it is there.
    """
    found = []
    main_before: bytes | None = None
    for state in states:
        if "entities.db-journal" in state:
            continue  # its header is yet to be written: the database is empty, and so it stays
        database = Database(
            *(state[name].data if name in state else None for name in ("entities.db", "entities.db-wal"))
        )
        found.append(database)
        if database.wal:
            main_before = database.main if main_before is None else main_before
            if database.main == main_before:
                found += [Database(main_before, database.wal[:end]) for end in _ends(database.wal)]
    return list(dict.fromkeys(found))


def _ends(wal: bytes) -> list[int]:
    """Return where the log may end: behind each commit, and behind half a frame."""
    frames = range(_WAL_HEADER_BYTES, len(wal) - _FRAME_BYTES + 1, _FRAME_BYTES)
    commits = [start + _FRAME_BYTES for start in frames if any(wal[start + 4 : start + 8])]
    return [0, _WAL_HEADER_BYTES, *commits, *(end - _PAGE_BYTES // 2 for end in commits)]


def distinct(states: Iterable[State], name: str) -> list[Saved | None]:
    """Return every content that a file had, and its absence; only the first time of each content."""
    found: dict[bytes | None, Saved | None] = {}
    for state in states:
        saved = state.get(name)
        found.setdefault(saved and saved.data, saved)
    return list(found.values())


def put(stage: Stage, index: Saved | None, owner: Saved | None, database: Database, *, has_shm: bool) -> None:
    state = {name: saved for name, saved in stage.saved.items() if name in {"lock", ".gitignore", "config.toml"}}
    now_ns = time.time_ns()
    for name, data in zip(("entities.db", "entities.db-wal"), database, strict=True):
        if data is not None:
            state[name] = Saved(data, now_ns)
    if has_shm:
        state["entities.db-shm"] = Saved(b"\0" * 32768, now_ns)
    state |= {name: saved for name, saved in (("index", index), ("index.own", owner)) if saved is not None}
    # Inodes tell of two names at one moment; these files are of several, in which the same number is another file.
    stage.put({name: saved._replace(inode=0) for name, saved in state.items()})


@pytest.mark.parametrize("scenario", sample(CHOSEN, 1), ids=lambda scenario: scenario.name)
def test_stores_of_different_moments_are_brought_together_and_no_edit_is_missed(
    tracer: Tracer, scenario: Scenario, tmp_path: Path
) -> None:
    stage = Stage(scenario, tmp_path)
    states = moments(tracer, stage)
    indexes, owners = distinct(states, "index"), distinct(states, "index.own")
    cases = list(product(indexes, owners, databases(states)))
    assert len(indexes) == 2
    assert len(cases) > 40
    record_figures(f"loss of power: {scenario.name}", combinations=len(cases), tried=min(TRIED, len(cases)))
    cases = list(spread(cases, TRIED))
    wrongs = {}
    for number, (index, owner, database) in enumerate(cases):
        # Of the shared memory's file nobody knows what is left; without it, readers need a writer first.
        has_shm = database.wal is not None and number % 2 == 0
        put(stage, index, owner, database, has_shm=has_shm)
        found = stage.wrongs_after_crash() if has_shm or not database.wal else []
        found += stage.wrongs_after_sync()
        if found:
            wrongs[number] = found
    assert wrongs == {}


def test_a_move_that_the_database_has_lost_again_keeps_the_id(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.write("sub/two.md", "- [fact] two\n")
    vault.write("one.md", "links to [[two]]\n")
    vault.settled_sync()
    ids, database = vault.ids(), vault.database_path.read_bytes()
    (vault.root / "sub/two.md").rename(vault.root / "two.md")
    assert vault.sync().moved == 1
    vault.age_index()
    vault.database_path.write_bytes(database)
    report = vault.sync()
    assert (report.moved, report.added, report.deleted, report.files_parsed) == (1, 0, 0, 0)
    assert vault.ids() == {"one.md": ids["one.md"], "two.md": ids["sub/two.md"]}
    assert vault.project.verify().ok
