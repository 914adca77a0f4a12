"""Which row a note belongs to, where its path alone does not say.

A note is what its front matter says that it is: one that states the permalink of a row whose own file is gone, or
states another one now, takes that row over, with its id and all that points to it. A new note that states none is a
vanished one if they have more than half of their text in common. A note whose permalink was changed, and whose old one
nobody states, stays what it was.

All of that is known only once every file has been read. So a note that wants what another row has waits, if this run
has yet to decide on that row; everything else is stored as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.entities.records import FileRecord, Move, Upsert
from bm_gitindex.notes.permalink import generate_permalink
from bm_gitindex.notes.sketch import SketchIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bm_gitindex.entities.store import EntityStore
    from bm_gitindex.index.moves import Lost
    from bm_gitindex.notes.sketch import Likeness
    from bm_gitindex.syncing.intake import Taken
    from bm_gitindex.syncing.plan import Task, Tasks

MOST_LOST = 1_000
"""Beyond it, vanished notes are recognised by their permalinks alone (git-diff(1), `diff.renameLimit`)."""
HELD_FILES = 500
HELD_BYTES = 2 * 1024 * 1024
"""What notes that wait may hold; those beyond it are read once more."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A note that is not stored yet."""

    task: Task
    size_bytes: int
    mtime_ns: int
    stated: str | None
    alike: tuple[Likeness, ...]
    """Vanished notes that it may be."""
    taken: Taken | None
    """What was read; None where too many wait, and it has to be read once more."""


class Settlement(NamedTuple):
    """What becomes of the notes that waited, and of the rows whose files are gone."""

    moves: list[Move]
    """Rows that are to be found at other paths; what their new files say is still to be stored."""
    gone: list[bytes]
    """Paths of rows that nobody took over."""
    left: list[bytes]
    """Paths that this run does not look at, whose files are gone and whose rows were taken over all the same."""
    moved: frozenset[bytes]
    """New paths of notes that are vanished ones."""


class Identities:
    """Holds back the notes whose rows are not certain yet, and settles them in the end."""

    def __init__(
        self,
        store: EntityStore,
        tasks: Tasks,
        gone: Sequence[Lost],
        is_gone_elsewhere: Callable[[bytes], bool] | None,
    ) -> None:
        """`tasks` are all that are going to be read, `gone` what the database knows and nobody has found.

        `is_gone_elsewhere` tells whether a path is none that this run looks at, and its file is gone; None for a run
        that looks at all.
        """
        self._store = store
        self._gone = {file.path: file.blob_id for file in gone}
        self._is_gone_elsewhere = is_gone_elsewhere
        self._elsewhere: dict[bytes, bytes] = {}
        self._undecided = {task.path for task in tasks if task.known is not None}.union(self._gone)
        self._has_new = any(task.known is None for task in tasks)
        self._sketches: SketchIndex | None = None
        self._waiting: dict[bytes, Waiting] = {}
        self._held_bytes = self._held_files = 0

    async def prepare(self, notices: list[str]) -> None:
        """Learn what the vanished notes said. Where there are too many of them, a notice says so."""
        if not self._has_new or not self._gone:
            return
        if len(self._gone) <= MOST_LOST:
            self._sketches = SketchIndex(await self._store.sketches(list(self._gone)))
        else:
            notices.append(
                f"{len(self._gone)} files are gone, more than {MOST_LOST}: notes that were both moved and edited are "
                "recognised by a permalink in their front matter, and not by their text"
            )

    async def release(self, batch: Sequence[Taken]) -> list[Taken]:
        """Return what of a batch can be stored now; the rest waits."""
        if not self._undecided and self._is_gone_elsewhere is None:
            return list(batch)
        wanted = {taken.task.path: wants for taken in batch if (wants := _wanted_permalink(taken)) is not None}
        holders = await self._store.holders(wanted.values())
        await self._look_elsewhere(holders.values())
        released = []
        for taken in batch:
            path = taken.task.path
            alike = self._alike(taken)
            if alike or (path in wanted and self._must_wait(taken, holders.get(wanted[path]))):
                self._hold(taken, alike)
            else:
                released.append(taken)
        self._undecided.difference_update(taken.task.path for taken in released)
        return released

    async def settle(self) -> Settlement:
        """Decide on all that waits."""
        stated = [waiting.stated for waiting in self._waiting.values() if waiting.stated is not None]
        claims = self._claimed(await self._store.holders(stated))
        claims |= self._resembling(claims.values())
        moves = [self._move(path, old_path) for path, old_path in claims.items()]
        moved = frozenset(path for path in claims if self._is_vanished_one(path, claims))
        taken = set(claims.values())
        return Settlement(
            moves=moves,
            gone=[path for path in self._gone if path not in taken],
            left=[path for path in self._elsewhere if path in taken],
            moved=moved,
        )

    def held(self) -> list[Taken]:
        """Return what waited, as it was read."""
        return [waiting.taken for waiting in self._waiting.values() if waiting.taken is not None]

    def unheld(self) -> list[Task]:
        """Return what waited and has to be read again."""
        return [waiting.task for waiting in self._waiting.values() if waiting.taken is None]

    async def _look_elsewhere(self, holders: Iterable[bytes]) -> None:
        """Take into account the holders of permalinks that this run does not look at, and whose files are gone."""
        if self._is_gone_elsewhere is None:
            return
        gone = [path for path in holders if path not in self._undecided and self._is_gone_elsewhere(path)]
        if gone:
            rows = await self._store.known(gone)
            self._elsewhere |= {path: row.blob_id for path, row in rows.items()}
            self._undecided.update(rows)

    def _must_wait(self, taken: Taken, holder: bytes | None) -> bool:
        """Return whether it is uncertain who gets the permalink that a note wants, or the one that it gives up."""
        if holder is None:
            return taken.task.known is not None
        return holder != taken.task.path and holder in self._undecided

    def _alike(self, taken: Taken) -> tuple[Likeness, ...]:
        """Return the vanished notes that a file may be: none, if it is known, or says itself which note it is."""
        change = taken.change
        if self._sketches is None or taken.task.known is not None or not isinstance(change, Upsert):
            return ()
        if change.note is None or change.note.permalink is not None or change.sketch is None:
            return ()
        return tuple(self._sketches.alike(change.sketch))

    def _hold(self, taken: Taken, alike: tuple[Likeness, ...]) -> None:
        assert isinstance(taken.change, Upsert)
        note, st = taken.change.note, taken.stat
        self._held_bytes += st.st_size
        self._held_files += 1
        is_room = self._held_bytes <= HELD_BYTES and self._held_files <= HELD_FILES
        self._waiting[taken.task.path] = Waiting(
            task=taken.task,
            size_bytes=st.st_size,
            mtime_ns=st.st_mtime_ns,
            stated=note.permalink if note else None,
            alike=alike,
            taken=taken if is_room else None,
        )

    def _claimed(self, holders: Mapping[str, bytes]) -> dict[bytes, bytes]:
        """Return which note takes over the row of which path, by the permalinks that the notes state.

        A row goes to the first that asks for it, and only if its own note is gone, or gets what it states elsewhere.
        """
        claims: dict[bytes, bytes] = {}
        claimants: dict[bytes, bytes] = {}
        leaving = self._gone.keys() | self._elsewhere.keys()
        for path, waiting in self._waiting.items():
            holder = None if waiting.stated is None else holders.get(waiting.stated)
            if holder is None:
                if waiting.stated is not None:
                    leaving.add(path)
            elif holder != path and holder not in claimants:
                claims[path] = holder
                claimants[holder] = path
        refused = [path for path, old_path in claims.items() if old_path not in leaving and old_path not in claims]
        while refused:
            path = refused.pop()
            del claims[path]
            if path in claimants and claimants[path] in claims:
                refused.append(claimants[path])  # the row that it was to have stays where it is
        return claims

    def _resembling(self, taken: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return which new note is which vanished one, the likest pairs first; a shared name decides among equals."""
        used = set(taken)
        pairs = [(likeness, path) for path, waiting in self._waiting.items() for likeness in waiting.alike]
        found: dict[bytes, bytes] = {}
        for likeness, path in sorted(pairs, key=_by_likeness):
            if path not in found and likeness.path not in used:
                found[path] = likeness.path
                used.add(likeness.path)
        return found

    def _is_vanished_one(self, path: bytes, claims: Mapping[bytes, bytes]) -> bool:
        """Return whether a path is new, and one that is gone is made up for by it: directly, or through a chain."""
        if self._waiting[path].task.known is not None:
            return False
        while path in claims:
            path = claims[path]
        return path in self._gone or path in self._elsewhere

    def _move(self, path: bytes, old_path: bytes) -> Move:
        """Return the move of a row. It keeps its content's id, so that nobody takes it for what the file says now."""
        waiting = self._waiting[path]
        blob_id = self._gone.get(old_path) or self._elsewhere.get(old_path)
        if blob_id is None:
            known = self._waiting[old_path].task.known
            assert known is not None
            blob_id = known.blob_id
        record = FileRecord(path, waiting.task.kind, blob_id, waiting.size_bytes, waiting.mtime_ns, None)
        return Move(old_path, record)


def _wanted_permalink(taken: Taken) -> str | None:
    """Return the permalink that a note would be given if it were free; None for one that keeps what it has."""
    change = taken.change
    if not isinstance(change, Upsert) or change.note is None:
        return None
    if change.note.permalink is not None or taken.task.known is not None:
        return change.note.permalink
    return generate_permalink(taken.task.path.decode("utf-8", "replace"))


def _by_likeness(pair: tuple[Likeness, bytes]) -> tuple[float, bool, bytes, bytes]:
    likeness, path = pair
    is_renamed = likeness.path.rpartition(b"/")[2] != path.rpartition(b"/")[2]
    return -likeness.share, is_renamed, path, likeness.path
