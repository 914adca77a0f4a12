"""What may happen in the world, one thing at a time. A step that cannot be taken yields nothing."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from bm_gitindex.index.entry import ID_LENGTH
from bm_gitindex.indexfile import owner_text
from bm_gitindex.rules import Kind
from racy import gits
from racy.ours import Outcome, Rules
from racy.world import Database, Disk, F, File, G, GitRun, Known, Row, Setting, Sync, World, content_id, second, stat_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Step = Callable[[World], Iterator[World]]

LONG = 6
"""Three seconds: longer than a file is young."""
ELSEWHERE_MARK = b"(another machine)"
_START = 206
_NO_INDEX = Disk(None, 0, b"", Known())
_NO_DATABASE = Database((), tie_closed=False, trailer=None)


# --- the editor and the clock ----------------------------------------------------------------------------------------


def _edited(world: World, size: int, variant: int) -> World:
    now = world.now
    return world._replace(f=File(size, variant, now, now, world.f.mtime, is_forged=False, era=world.era))


def edit_same_size(world: World) -> Iterator[World]:
    """Write as many other bytes."""
    if world.f.size:
        yield _edited(world, world.f.size, 1 - world.f.variant)


def edit_other_size(world: World) -> Iterator[World]:
    """Write more bytes, or less."""
    yield _edited(world, 1 if world.f.size != 1 else 2, world.f.variant)


def truncate(world: World) -> Iterator[World]:
    """Leave an empty file."""
    if world.f.size:
        yield _edited(world, 0, 0)


def put_mtime_back(world: World) -> Iterator[World]:
    """Let the file look as old as before its last edit (utimensat)."""
    f = world.f
    if f.mtime != f.last_mtime:
        yield world._replace(f=f._replace(mtime=f.last_mtime, ctime=world.now, is_forged=True, era=world.era))


def tick(world: World) -> Iterator[World]:
    """Let half a second pass."""
    yield world._replace(now=world.now + 1)


def long_tick(world: World) -> Iterator[World]:
    """Let three seconds pass."""
    yield world._replace(now=world.now + LONG)


def set_clock_back(world: World) -> Iterator[World]:
    """Set the clock back by three seconds."""
    yield world._replace(now=world.now - LONG, era=world.era + 1)


def _known(world: World) -> Known:
    return Known(world.era, world.f.size)


# --- a sync of ours, in pieces ---------------------------------------------------------------------------------------


class Piece(IntEnum):
    """How far a sync has come with F."""

    BEGUN = 0
    OPENED = 1
    READ = 2
    CLOSED = 3


def _sync_so_far(world: World, piece: Piece) -> Sync:
    """Return the sync under way, with every piece up to this one done, at the latest now."""
    f = world.f
    assert not isinstance(world.run, GitRun)
    run = world.run or Sync(world.now, world.era, f)
    if piece >= Piece.OPENED and run.opened is None:
        run = run._replace(opened=f)
    if piece >= Piece.READ and run.content is None:
        run = run._replace(content=(f.size, f.variant), reading=Known(run.start_era, f.size))
    if piece >= Piece.CLOSED and run.closed is None:
        run = run._replace(closed=f)
    return run


def _moved_on(world: World, piece: Piece) -> Iterator[World]:
    if not isinstance(world.run, GitRun):
        run = _sync_so_far(world, piece)
        if run != world.run:
            yield world._replace(run=run)


# --- backups, and git ------------------------------------------------------------------------------------------------


def back_up(world: World) -> Iterator[World]:
    """Keep a copy of the state folder."""
    if world.run is None:
        yield world._replace(copy=(world.disk, world.database))


class Ours:
    """The steps of our own program, and of what others do to its files."""

    def __init__(self, setting: Setting) -> None:
        self.rules = Rules(setting)
        self._setting = setting

    def steps(self) -> dict[str, Step]:
        """Return every step by its name."""
        simple = (edit_same_size, edit_other_size, truncate, put_mtime_back, tick, long_tick, set_clock_back, back_up)
        own = (
            self.begin,
            self.open,
            self.read,
            self.close,
            self.write,
            self.crash,
            self.sync_partly,
            self.git_hashes,
            self.git_checks,
            self.git_writes,
            self.restore_index,
            self.restore_database,
            self.restore_both,
            self.lose_last_commit,
            self.sync_elsewhere,
        )
        return {step.__name__: step for step in (*simple, *own)}

    def start(self) -> list[World]:
        """Return where an enumeration begins: nothing known yet, and everything known and settled."""
        old = File(1, 0, _START - LONG, _START - LONG, _START - LONG, is_forged=False, era=0)
        new = World(_START, 0, old, old, _NO_INDEX, _NO_DATABASE, None, None)
        return [new, *self.write(new)]

    # A sync of the whole project, in pieces. Each piece first does those before it, if they are not done yet.

    def begin(self, world: World) -> Iterator[World]:
        """Take the lock, and list the tree."""
        yield from _moved_on(world, Piece.BEGUN)

    def open(self, world: World) -> Iterator[World]:
        """Open F, and look at its stat."""
        yield from _moved_on(world, Piece.OPENED)

    def read(self, world: World) -> Iterator[World]:
        """Read F."""
        yield from _moved_on(world, Piece.READ)

    def close(self, world: World) -> Iterator[World]:
        """Look at the stat of F for the second time."""
        yield from _moved_on(world, Piece.CLOSED)

    def write(self, world: World) -> Iterator[World]:
        """Store everything, and put the index into place."""
        if not isinstance(world.run, GitRun):
            run = _sync_so_far(world, Piece.CLOSED)
            yield self._after(world, self._outcome(world, run), run)

    def crash(self, world: World) -> Iterator[World]:
        """End a sync without a trace, or at one of the places where it leaves one."""
        if isinstance(world.run, GitRun):
            return
        run = _sync_so_far(world, Piece.CLOSED)
        outcome = self._outcome(world, run)
        ended = world._replace(run=None)
        yield ended
        if outcome is not None:
            tie_open = world.database._replace(tie_closed=False)
            yield ended._replace(database=tie_open)
            yield ended._replace(database=tie_open._replace(rows=outcome.database.rows))
            tie_closed = ended._replace(database=outcome.database)
            yield tie_closed
            own = self._after(world, outcome, run).disk.own
            yield tie_closed._replace(disk=world.disk._replace(own=own))

    def sync_partly(self, world: World) -> Iterator[World]:
        """Edit G, and sync G alone."""
        if world.run is None:
            g = world.g
            now = world.now
            edited = world._replace(g=File(1, 1 - g.variant, now, now, g.mtime, is_forged=False, era=world.era))
            run = self.undisturbed(edited)
            outcome = self.rules.outcome(edited.disk, edited.database, run, edited.g, is_partial=True)
            yield self._after(edited, outcome, run)

    def undisturbed(self, world: World) -> Sync:
        """Return a sync during which nothing else happens."""
        return _sync_so_far(world._replace(run=None), Piece.CLOSED)

    def _outcome(self, world: World, run: Sync) -> Outcome | None:
        return self.rules.outcome(world.disk, world.database, run, world.g, is_partial=False)

    def _after(self, world: World, outcome: Outcome | None, run: Sync) -> World:
        if outcome is None:
            return world._replace(run=None)
        disk = world.disk
        if outcome.data is not None:
            timestamp = self._state_time(world)
            own = owner_text(outcome.data[-ID_LENGTH:], second(timestamp))
            disk = disk._replace(data=outcome.data, timestamp=timestamp, own=own)
        if outcome.reads_f:
            disk = disk._replace(reading=run.reading._replace(stored=disk.timestamp))
        return world._replace(disk=disk, database=outcome.database, run=None)

    def _state_time(self, world: World) -> int:
        return world.now + self._setting.state_clock_ahead

    # Others.

    def git_hashes(self, world: World) -> Iterator[World]:
        """Let git lock the index, and refresh what it knows, or add both files."""
        if world.run is None:
            disk, files = world.disk, {F: world.f, G: world.g}
            if disk.data is not None:
                refreshed = gits.refresh(disk, files, trusts_ctime=self._setting.trusts_ctime)
                yield world._replace(run=GitRun(refreshed, disk.timestamp, _known(world)))
            yield world._replace(run=GitRun(gits.add(files), disk.timestamp if disk.data else 0, _known(world)))

    def git_checks(self, world: World) -> Iterator[World]:
        """Let git compare the racy entries, and smudge those that differ, before it writes."""
        run = world.run
        if isinstance(run, GitRun) and not run.is_checked:
            smudged = gits.smudged(run.entries, {F: world.f, G: world.g}, second(run.timestamp))
            yield world._replace(run=run._replace(entries=smudged, is_checked=True))

    def git_writes(self, world: World) -> Iterator[World]:
        """Let git put its index into place."""
        for checked in [*self.git_checks(world), world][:1]:
            if isinstance(checked.run, GitRun):
                index = gits.written(checked.run.entries)
                disk = Disk(index, self._state_time(world), world.disk.own, checked.run.reading)
                yield world._replace(disk=disk, run=None)

    def restore_index(self, world: World) -> Iterator[World]:
        """Bring the index back from the backup, without `index.own`, its mtime kept or not; or lose it."""
        if world.run is None:
            yield world._replace(disk=_NO_INDEX)
            if world.copy is not None:
                disk = world.copy[0]._replace(own=world.disk.own)
                yield world._replace(disk=disk)
                yield world._replace(disk=disk._replace(timestamp=self._state_time(world)))

    def restore_database(self, world: World) -> Iterator[World]:
        """Bring the database back from the backup, or lose it."""
        if world.run is None:
            yield world._replace(database=_NO_DATABASE)
            if world.copy is not None:
                yield world._replace(database=world.copy[1])

    def restore_both(self, world: World) -> Iterator[World]:
        """Bring the whole state folder back from the backup, times kept or not."""
        if world.run is None and world.copy is not None:
            disk, database = world.copy
            yield world._replace(disk=disk, database=database)
            yield world._replace(disk=disk._replace(timestamp=self._state_time(world)), database=database)

    def lose_last_commit(self, world: World) -> Iterator[World]:
        """Lose what SQLite committed last, as at a loss of power: the tie was still open."""
        if world.run is None:
            yield world._replace(database=world.database._replace(tie_closed=False))

    def sync_elsewhere(self, world: World) -> Iterator[World]:
        """Let a synchronised folder bring the state of another machine, whose clock is ahead."""
        if world.run is None:
            index = gits.written(gits.add({F: world.f, G: world.g}))
            trailer = index[-ID_LENGTH:]
            own = owner_text(trailer, second(world.now + 100)) + ELSEWHERE_MARK
            rows = tuple(
                Row(path, Kind.NOTE, content_id(file.size, file.variant), file.size, stat_of(path, file).st_mtime_ns)
                for path, file in ((F, world.f), (G, world.g))
            )
            disk = Disk(index, world.now + 100, own, _known(world))
            yield world._replace(disk=disk, database=Database(rows, True, trailer))
