"""The next index while a run makes it: what was read, what was not, and what may be said of either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.index.compare import Evidence, entry_for
from bm_gitindex.index.encoding import encode_entry, smudged_record, update
from bm_gitindex.index.entry import Entry, Tracking
from bm_gitindex.index.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bm_gitindex.index.compare import Baseline, LockClock
    from bm_gitindex.index.encoding import Encoded
    from bm_gitindex.index.entry import Index
    from bm_gitindex.index.stat import StatData, Trust


class Draft:
    """Changes to an index, held encoded so that a first run over many files stays small."""

    def __init__(self, index: Index, baseline: Baseline, clock: LockClock, trust: Trust) -> None:
        """`baseline` is what `index` is worth as evidence; `clock` is t0 of the run."""
        self._index = index
        self._evidence = Evidence(index, baseline, trust)
        self._clock = clock
        self._trust = trust
        self._changes = Records()
        self._confirmed: set[bytes] = set()

    def put(self, path: bytes, stat: StatData, blob_id: bytes, tracking: Tracking) -> bool:
        """Store a file as it was read in this run, and return whether it is settled: while young, it is smudged."""
        entry = Entry.of(path, stat, blob_id, tracking)
        stored = entry_for(entry, self._clock, self._trust)
        self._set(stored)
        return stored.stat == entry.stat

    def put_unread(self, path: bytes, entry: Entry | None) -> None:
        """Store what stays known of a file that was not read, smudged; None leaves it out.

        A file that was recognised in this run, and then could not be read, stays known as what it was recognised as.
        """
        record = self._changes.get(path)
        if record is not None:
            self._changes[path] = smudged_record(record)
        elif entry is None:
            self.drop(path)
        else:
            self._set(entry.with_size_zero())

    def drop(self, path: bytes) -> None:
        """Leave out a path that is gone."""
        self._confirmed.discard(path)
        if path in self._index:
            self._changes[path] = None
        else:
            self._changes.discard(path)

    def encode(self) -> Encoded | None:
        """Return the new index, or None where it would prove nothing that the old one does not.

        An entry that was racy, and was not looked at in this run, is smudged: written anew as it is, it would look as
        if someone had.
        """
        if not self._changes and not self._confirmed and self._evidence.baseline.is_trusted:
            return None
        unexamined = [path for path in self._racy() if path not in self._changes and path not in self._confirmed]
        for path in unexamined:
            self._changes[path] = encode_entry(self._index[path].with_size_zero())
        return update(self._index, self._changes)

    @property
    def entry_count(self) -> int:
        """How many entries the new index has."""
        changes = self._changes.items()
        return len(self._index) + sum((record is not None) - (path in self._index) for path, record in changes)

    def _set(self, entry: Entry) -> None:
        record = encode_entry(entry)
        if entry.path in self._index and encode_entry(self._index[entry.path]) == record:
            self._confirmed.add(entry.path)
            self._changes.discard(entry.path)
        else:
            self._confirmed.discard(entry.path)
            self._changes[entry.path] = record

    def _racy(self) -> Iterable[bytes]:
        """Return the paths of the racy entries of the old index."""
        if not self._evidence.baseline.is_trusted:
            return self._index
        return self._index.changed_since(self._evidence.baseline.timestamp_s, self._evidence.changed_at)
