"""What a sync is asked for, what it says on the way, and what it reports at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bm_gitindex.progress import no_progress
from bm_gitindex.survey import Counters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bm_gitindex.progress import Progress
    from bm_gitindex.rules import Skipped


MOST_NAMED = 2_000


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What a sync is to do."""

    paths: tuple[bytes, ...] = ()
    """Only these paths and what is below them; none: the whole project."""
    paranoid: bool = False
    """Compare every hashed file by content, as rsync --checksum does. Without `paths`, believe nothing that is stored:
    look for damage in all of the database, and store every file anew."""
    allow_mass_delete: bool = False
    """Go on where a safety stop would end the run."""
    wait_s: float = 10.0
    """How long to wait for another process that holds the lock."""
    command: str = "bm-gitindex sync"
    """Told to others that wait for the lock."""
    on_progress: Callable[[Progress], None] = no_progress


class Named:
    """Paths, up to a bound: what is done to many files is counted, and a few of them are named."""

    __slots__ = ("is_complete", "paths")

    def __init__(self) -> None:
        self.paths: list[bytes] = []
        self.is_complete = True

    def add(self, path: bytes) -> None:
        """Name one more, or take note that not all are named."""
        if len(self.paths) < MOST_NAMED:
            self.paths.append(path)
        else:
            self.is_complete = False

    def clear(self) -> None:
        """Forget all."""
        self.paths.clear()
        self.is_complete = True


@dataclass(slots=True)
class SyncReport:
    """What a sync did. Counts are of files, against index and database together."""

    root: Path
    added: int = 0
    modified: int = 0
    deleted: int = 0
    moved: int = 0
    unchanged: int = 0
    failed: list[Skipped] = field(default_factory=list)
    """Files and folders that could not be read; what was known of them stays."""
    warnings: list[tuple[bytes, str]] = field(default_factory=list)
    """Files that were taken in, and have a problem in their content."""
    skipped: list[Skipped] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """What was out of the ordinary with index or database, and what was done about it."""
    counters: Counters = field(default_factory=Counters)
    files_parsed: int = 0
    entities_written: int = 0
    changed: Named = field(default_factory=Named)
    """What was added, modified, deleted, or moved to this path."""
    young: Named = field(default_factory=Named)
    """Files so young that the next sync looks at them once more."""
    folders: Sequence[bytes] = ()
    """Those that were looked at."""
    index_stamp: tuple[int, ...] | None = None
    """What told the index file from any other at the end of the run; None without one."""
    seconds: float = 0.0
    peak_rss_bytes: int = 0

    def reset(self) -> None:
        """Forget what was counted, before the work is begun anew."""
        self.added = self.modified = self.deleted = self.moved = self.unchanged = 0
        self.files_parsed = self.entities_written = 0
        self.warnings.clear()
        self.changed.clear()
        self.young.clear()

    def take_in(self, more: SyncReport) -> None:
        """Count what was found a moment later as found by the same run."""
        self.added += more.added
        self.modified += more.modified
        self.deleted += more.deleted
        self.moved += more.moved
        for path in more.changed.paths:
            self.changed.add(path)
        self.failed += more.failed
        self.warnings += more.warnings
        self.skipped += more.skipped

    @property
    def counts(self) -> dict[str, int]:
        """The five counts by name."""
        return {
            "added": self.added,
            "modified": self.modified,
            "deleted": self.deleted,
            "moved": self.moved,
            "unchanged": self.unchanged,
        }
