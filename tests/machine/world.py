"""One project with all that happens to it, and what has to be true of it whatever that was."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex import Project, SyncRequest
from bm_gitindex.config import load_options
from bm_gitindex.entities.store import open_store
from bm_gitindex.errors import IndexDamagedError, SafetyStopError
from bm_gitindex.filesystem import trust_for
from bm_gitindex.index.stat import entry_mode
from bm_gitindex.roots import FOLDER_NAME
from bm_gitindex.statefolder import StateFolder
from machine.folder import Folder
from machine.kill import fork_killed, reap
from machine.knowledge import knowledge, sole_moves
from machine.limits import Limits
from machine.moments import Moments
from machine.state import State
from support.git import Git
from support.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bm_gitindex import Status, SyncReport
    from bm_gitindex.index.stat import Trust
    from bm_gitindex.options import Options
    from machine.clock import Clock
    from machine.folder import Doing, File
    from machine.knowledge import Known
    from machine.state import Row

_REBUILD_EVERY = 12
_ASK_GIT_EVERY = 30
_checks = count()


class World:
    """A folder, its state, a clock, and the syncs between them."""

    def __init__(self, base: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        self._base = base
        self._copies = count()
        self._moments = Moments(monkeypatch)
        self._config: dict[str, object] = {}
        self._before_edit: dict[bytes, File] = {}
        self.clock = clock
        self.folder = Folder(base / "project", clock)
        self.limits = Limits(clock)
        self.state = State(self.folder.root, clock)

    @property
    def project(self) -> Project:
        return Project(self.folder.root)

    @property
    def options(self) -> Options:
        return load_options(self.folder.root)

    @property
    def trust(self) -> Trust:
        return trust_for(self.folder.root, self.options)

    # --- what happens ------------------------------------------------------------------------------------------------

    def configure(self, name: str, value: object) -> None:
        """Write an option into the configuration file; None takes it out."""
        self._config[name] = value
        lines = [f"{name} = {json.dumps(value)}" for name, value in self._config.items() if value is not None]
        path = self.folder.root / FOLDER_NAME / "config.toml"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text("\n".join(sorted(lines)))

    def edit(self, doing: Doing, i: int, j: int) -> None:
        """Let the user do something in the folder."""
        with self.limits.watching(self.folder, self.trust) as self._before_edit:
            doing(self.folder, i, j)

    def befall(self, misfortune: int, i: int, j: int) -> None:
        """Let one of several things happen to index and database."""
        misfortunes: tuple[Callable[[], None], ...] = (
            lambda: self.restore_index(i, j),
            lambda: self.state.restore_database(i),
            self.state.delete_index,
            lambda: self.state.delete_database(with_companions=bool(j % 2)),
            lambda: self.state.damage_index(i, j),
            lambda: self.state.damage_database(i, j),
            lambda: self.git_writes(i, j),
            lambda: self.killed_sync(20 + 4 * i, [], beside_another=False),
        )
        misfortunes[misfortune % len(misfortunes)]()

    def restore_index(self, i: int, j: int) -> None:
        """Put back an index of some time ago."""
        self.limits.index_was_restored()
        self.state.restore_index(i, j)

    def restore_all(self, i: int, j: int) -> None:
        """Put back the whole state of some time ago."""
        self.limits.index_was_restored()
        self.state.restore_all(i, j)

    def undo(self, j: int) -> None:
        """Let the user take back what was done last."""
        with self.limits.watching(self.folder, self.trust):
            self.folder.put_back(self._before_edit, j)

    def move_elsewhere(self) -> None:
        """Go on with a copy of the whole project, in another place."""
        new = self._base / f"copy-{next(self._copies)}"
        subprocess.run(["cp", "-a", self.folder.root, new], check=True)
        shutil.rmtree(self.folder.root)
        self.folder.root = new
        self.state.go_to(new)
        for name in self.folder.names():
            self.clock.changed(self.folder.path(name))

    def git_writes(self, i: int, j: int) -> None:
        """Let git bring the index up to date, or leave a file out of it."""
        paths = self.state.indexed()
        path = paths[i % len(paths)] if paths else b""
        commands = (("-q", "--refresh"), ("-q", "--really-refresh"), ("--remove",), ("--force-remove",))
        self._git(path, *commands[j % len(commands)])

    def git_writes_slowly(self, i: int, j: int) -> None:
        """Let git settle a file that was just edited; it is edited once more before git comes to write its index."""
        if path := self.folder.chosen(i):
            self.edit(Folder.edit, i, j)
            self.clock.takes_half_seconds = 0
            self._sync([])
            self._git(path, "--add")
            self.edit(Folder.edit_same_size, i, j)
            self.clock.tick(4)
            self.state.stamp_index()

    # --- runs that are disturbed, or are only part of one -----------------------------------------------------------

    def killed_sync(self, at: int, paths: list[bytes], *, beside_another: bool) -> None:
        """Sync, and be killed on the way; meanwhile another sync may wait for its turn."""
        self.limits.sync_begins(self.trust)
        pid = fork_killed(lambda: self._sync(paths), at)
        try:
            if beside_another:
                self._sync([])
        finally:
            reap(pid)

    def disturbed_sync(self, at: int, disturbance: tuple[Doing, int, int], ticks: tuple[int, int]) -> None:
        """Sync while the user goes on editing, and time passes before and after the edit."""

        def interruption() -> None:
            self.clock.tick(ticks[0])
            self.edit(*disturbance)
            self.clock.tick(ticks[1])

        self._moments.interrupt(at, interruption)
        try:
            self._sync([])
        finally:
            self._moments.calm()

    def overtaken_sync(self, i: int, j: int) -> None:
        """Sync a file that was just edited; it is edited once more after it was read, in the same tick of the clock."""
        self.edit(Folder.edit, i, j)

        def interruption() -> None:
            self.edit(Folder.edit_same_size, i, j)
            self.clock.tick(4)

        self._moments.interrupt_before(("put", "resolve_links", "close_tie", "commit")[j % 4], interruption)
        try:
            self._sync([])
        finally:
            self._moments.calm()

    def denied_sync(self, i: int) -> None:
        """Sync while one file cannot be read."""
        files = self._look()
        self._moments.denied = self.folder.chosen(i)
        try:
            self._sync([])
        finally:
            self._moments.calm()
        self._check_untouched(files)

    def partial_sync(self, paths: list[bytes]) -> None:
        """Sync some paths alone; what is said of them has to be right."""
        files = self._look()
        self._sync(paths)
        self._check_untouched(files)
        now, rows = knowledge(self.folder.files(), self.options), self.state.rows()
        allowed = self._allowed(self.folder.files())
        for path in paths:
            if path in now and path not in allowed:
                assert (rows[path].kind, rows[path].blob_id) == now[path], path
            elif path not in now:
                assert path not in rows, f"{path!r} is gone, and is still known"

    def two_syncs(self) -> None:
        """Run two syncs at once."""
        before, rows, litter = self._look(), self.state.rows(), self.state.litter()
        allowing = SyncRequest(allow_mass_delete=True)
        self._begin()

        async def both() -> None:
            await asyncio.gather(*(self.project.sync((), allowing) for _ in range(2)))

        asyncio.run(both())
        self._end()
        self._check_untouched(before)
        self._check_knowledge(rows, litter)

    # --- runs that nothing disturbs ----------------------------------------------------------------------------------

    def full_sync(self, *, paranoid: bool = False) -> SyncReport:
        """Sync all, undisturbed: from now on nothing of what came before may be seen."""
        files, rows, litter = self._look(), self.state.rows(), self.state.litter()
        report = self._safe_sync(paranoid=paranoid)
        if report.failed:  # failed too often of late: left alone until it changes
            assert all("tried again after" in skipped.detail for skipped in report.failed), report.failed
            for skipped in report.failed:
                self._touch(skipped.path)
            return self.full_sync(paranoid=paranoid)
        self._check_untouched(files)
        if paranoid:
            self.limits.everything_was_doubted()
        self._check_knowledge(rows, litter)
        return report

    def settle(self) -> None:
        """Let some time pass and sync, so that the next sync has nothing to do, and shows it."""
        self.clock.tick(10)
        t0_ns = self.clock.stamp_ns()
        self.full_sync()
        files, before, second = self._look(), self.state.image(), self.state.index_second()
        report = self._safe_sync(paranoid=False)
        trust = self.trust
        times_ns = [_changed_ns(file, trust) for file in self.folder.files().values()]
        unsettled = [ns for ns in times_ns if ns // 10**9 >= second or not self.clock.may_settle(ns, t0_ns)]
        assert report.counters.files_read <= len(unsettled)
        assert report.files_parsed == report.entities_written == 0
        assert report.unchanged == len(knowledge(self.folder.files(), self.options))
        if not unsettled:
            assert _without_lock(self.state.image()) == _without_lock(before), "a sync with nothing to do has written"
        self._check_untouched(files)

    def status_and_sync(self) -> None:
        """Ask for the status, then sync: one writes nothing, and both say the same."""
        before, files, is_tied = self.state.image(), self._look(), self.state.is_tied()
        try:
            status = self.project.status()
        except IndexDamagedError:
            self.full_sync()
            return
        assert self.state.image() == before, "status has written"
        self._check_untouched(files)
        rehearsed = self._rehearse()
        self._check_status(status)
        says_all = is_tied and not self._allowed(self.folder.files())
        report = self.full_sync()
        if says_all:
            counts = {name: number for name, number in report.counts.items() if name != "unchanged"}
            assert _counts(status) == counts, (status.changes, counts)
            assert rehearsed is None or {**rehearsed.counts, "unchanged": 0} == {**counts, "unchanged": 0}

    def compare_with_rebuild(self) -> None:
        """Compare what is stored with what a first sync of the same files stores."""
        options = self.options
        allowed = self._allowed(self.folder.files())
        if allowed:
            return
        root = self._base / "rebuilt"
        subprocess.run(["cp", "-a", self.folder.root, root], check=True)
        state = StateFolder(root)
        for path in state.path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copy(_template(self._base.parent), state.database)
        rebuilt = Vault(root, options)
        rebuilt.sync()
        ours = Vault(self.folder.root, options)
        assert _meaning(ours, self.trust) == _meaning(rebuilt, self.trust)
        if _permalinks(ours) == _permalinks(rebuilt):
            assert ours.meaning()["relations"] == rebuilt.meaning()["relations"]
        shutil.rmtree(root)

    # --- how it is done ----------------------------------------------------------------------------------------------

    def _sync(self, paths: list[bytes], *, paranoid: bool = False, allow_mass_delete: bool = True) -> SyncReport:
        self._begin()
        request = SyncRequest(paranoid=paranoid, allow_mass_delete=allow_mass_delete)
        report = self.project.sync_blocking(paths, request)
        self._end()
        return report

    def _begin(self) -> None:
        self.limits.sync_begins(self.trust)
        self._was_set_back = self.clock.stamp_ns() // 10**9 < self.state.index_second()

    def _end(self) -> None:
        if self._was_set_back:
            self.limits.everything_was_doubted()
        self.clock.settle_index(self.folder.root / FOLDER_NAME / "index")

    def _safe_sync(self, *, paranoid: bool) -> SyncReport:
        """Sync; where that stops for safety's sake, nothing is left, and nothing was changed."""
        rows = self.state.rows()
        try:
            return self._sync([], paranoid=paranoid, allow_mass_delete=False)
        except SafetyStopError:
            assert not knowledge(self.folder.files(), self.options)
            assert self.state.rows() in (rows, {})
            return self._sync([], paranoid=paranoid)

    def _rehearse(self) -> SyncReport | None:
        """Return what a dry run says, or None where it stops for safety's sake, as a sync has to then."""
        before, report = self.state.image(), None
        with suppress(SafetyStopError):
            report = self.project.rehearse_sync()
        assert _without_lock(self.state.image()) == _without_lock(before), "a dry run has written"
        if report is None:
            with pytest.raises(SafetyStopError):
                self._sync([], allow_mass_delete=False)
        return report

    def _git(self, path: bytes, *command: str) -> None:
        git = Git(self._base / "git", self.folder.root / FOLDER_NAME / "index", self.folder.root)
        paths = () if "-q" in command else ("--info-only", "-z", "--stdin")
        git.run("update-index", *command, *paths, stdin=path + b"\0", core_trustctime="false")
        self.state.stamp_index()

    def _touch(self, path: bytes) -> None:
        self.clock.tick(5)
        with self.limits.watching(self.folder, self.trust):
            os.utime(self.folder.path(path))
            self.clock.wrote(self.folder.path(path))

    def _look(self) -> dict[bytes, tuple[object, ...]]:
        """Return everything about the user's files that a program could change, but the time of access."""
        looks: dict[bytes, tuple[object, ...]] = {}
        contents = self.folder.files()
        for name in [*self.folder.names(), *self.folder.folders()]:
            st = os.lstat(self.folder.path(name))
            content = contents[name].content if name in contents else None
            looks[name] = (st.st_ino, st.st_mode, st.st_nlink, st.st_size, st.st_mtime_ns, st.st_ctime_ns, content)
        return looks

    def _check_untouched(self, before: dict[bytes, tuple[object, ...]]) -> None:
        assert self._look() == before, "a user's file was written to"

    def _allowed(self, files: Mapping[bytes, File]) -> set[bytes]:
        """Return the files of which an edit may go unseen, and did."""
        entries, trust, now = self.state.entries(), self.trust, knowledge(files, self.options)
        return {
            path
            for path, known in now.items()
            if path in entries
            and entries[path].blob_id.hex() != known.blob_id
            and self.limits.allow(path, files[path], entries[path], trust)
        }

    def _check_knowledge(self, rows_before: dict[bytes, Row], litter: dict[str, bytes]) -> None:
        files = self.folder.files()
        now, entries, rows = knowledge(files, self.options), self.state.entries(), self.state.rows()
        allowed = self._allowed(files)
        verification = self.project.verify()
        mismatches = [found for found in verification.mismatches if found.path not in allowed]
        assert not mismatches, mismatches
        assert all(found.kind == "missed-edit" for found in verification.mismatches), verification.mismatches
        assert not verification.pending, verification.pending
        assert entries.keys() == rows.keys() == now.keys()
        for path, known in now.items():
            if path not in allowed:
                assert (rows[path].kind, rows[path].blob_id) == known, path
                assert entries[path].blob_id.hex() == known.blob_id, path
                if self.trust.filemode:
                    assert entries[path].stat.mode == entry_mode(files[path].stat.st_mode), path
        self._check_ids(rows_before, rows, now, files)
        assert not self.state.locks(), self.state.locks()
        assert self.state.litter().items() <= litter.items(), self.state.litter().keys()
        self.state.back_up()
        number = next(_checks)
        if number % _ASK_GIT_EVERY == 0:
            git = Git(self._base / "git", self.folder.root / FOLDER_NAME / "index", self.folder.root)
            assert {entry.path: entry for entry in git.entries()} == entries
        if number % _REBUILD_EVERY == 0:
            self.compare_with_rebuild()

    def _check_ids(
        self, before: dict[bytes, Row], rows: dict[bytes, Row], now: dict[bytes, Known], files: Mapping[bytes, File]
    ) -> None:
        for path in before.keys() & rows.keys():
            assert rows[path].entity_id == before[path].entity_id, f"{path!r} has not kept its id"
        for new, old in sole_moves({path: row.blob_id for path, row in before.items()}, now).items():
            assert rows[new].entity_id == before[old].entity_id, f"{old!r} has lost its id on the way to {new!r}"
            is_parsed_alike = before[old].kind == rows[new].kind == "note" and before[old].permalink is not None
            is_within_bounds = len(files[new].content) <= self.options.bounds.note_max_bytes
            if is_parsed_alike and is_within_bounds and not files[new].content.startswith(b"---"):
                assert rows[new].permalink == before[old].permalink, f"{old!r} has lost its permalink"

    def _check_status(self, status: Status) -> None:
        files = self.folder.files()
        now, entries = knowledge(files, self.options), self.state.entries()
        allowed, trust = self._allowed(files), self.trust
        new = {change.path for change in status.changes if change.status.value in ("added", "moved")}
        gone = {change.path for change in status.changes if change.status.value == "deleted"}
        gone |= {change.old_path for change in status.changes if change.old_path is not None}
        modified = {change.path for change in status.changes if change.status.value == "modified"}
        assert new == now.keys() - entries.keys()
        assert gone == entries.keys() - now.keys()
        differing = {p for p in now.keys() & entries.keys() if now[p].blob_id != entries[p].blob_id.hex()}
        assert differing - allowed <= modified, "an edit was missed"
        for path in modified - differing:
            is_other_mode = entries[path].stat.mode != entry_mode(files[path].stat.st_mode)
            assert (trust.filemode and is_other_mode) or now[path].kind == "stat-only", path
        for change in status.changes:
            if change.old_path is not None and now[change.path].kind not in ("stat-only", "sample"):
                assert entries[change.old_path].blob_id.hex() == now[change.path].blob_id


def _changed_ns(file: File, trust: Trust) -> int:
    """Return the time of the last change that stat data admit to."""
    return file.stat.st_ctime_ns if trust.compares_ctime else file.stat.st_mtime_ns


def _counts(status: Status) -> dict[str, int]:
    found = [change.status.value for change in status.changes]
    return {name: found.count(name) for name in ("added", "modified", "deleted", "moved")}


def _without_lock(image: dict[str, tuple[bytes, int, int]]) -> dict[str, tuple[bytes, int, int]]:
    """Return an image without what every run may touch: the lock, and what SQLite notes for its readers."""
    return {name: file for name, file in image.items() if name != "lock" and not name.endswith("-shm")}


def _meaning(vault: Vault, trust: Trust) -> dict[str, Any]:
    """Return what is stored, where links lead aside, and whatever of the times need not be noticed."""
    meaning: dict[str, Any] = vault.meaning()
    meaning["relations"] = [row[:-1] for row in meaning["relations"]]
    if trust.check_stat == "minimal":
        meaning["entities"] = [row[:6] + row[7:] for row in meaning["entities"]]
    return meaning


def _permalinks(vault: Vault) -> list[tuple[object, ...]]:
    return vault.rows("SELECT file_path, permalink FROM entity ORDER BY file_path")


def _template(folder: Path) -> Path:
    """Return an empty database with its schema: making one takes longer than all the rest of a rebuild."""
    path = folder / "template.db"
    if not path.exists():

        async def make() -> None:
            async with open_store(path):
                pass

        asyncio.run(make())
    return path
