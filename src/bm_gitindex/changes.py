"""What differs from the index. Nothing is written, ever."""

import time
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.filesystem import is_local, trust_for
from bm_gitindex.index.compare import Evidence
from bm_gitindex.indexfile import IndexSnapshot, read_index
from bm_gitindex.native import native
from bm_gitindex.progress import Progress, no_progress
from bm_gitindex.rules import Classifier, Kind, Skipped
from bm_gitindex.survey import Counters, Survey, Surveyor
from bm_gitindex.worktree.reading import ReadError, Reading, hash_file
from bm_gitindex.worktree.tree import Tree
from bm_gitindex.worktree.walk import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from bm_gitindex.index.stat import Trust
    from bm_gitindex.memory import Memory
    from bm_gitindex.options import Options
    from bm_gitindex.renames import Rename
    from bm_gitindex.statefolder import StateFolder
    from bm_gitindex.worktree.helping import Helping


class ChangeStatus(Enum):
    """How a path differs from the index. The values are those of the JSON output."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    MOVED = "moved"


class Change(NamedTuple):
    """One difference."""

    status: ChangeStatus
    path: bytes
    old_path: bytes | None
    """Where a moved file was; None for every other change."""
    kind: Kind
    size_bytes: int | None
    """None for a path that is gone."""


class Status(NamedTuple):
    """How a project differs from its index, and what it cost to find out."""

    root: Path
    changes: tuple[Change, ...]
    """In order of path."""
    skipped: tuple[Skipped, ...]
    counters: Counters
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs."""
        return not self.changes


def status(
    root: Path,
    state: "StateFolder",
    options: "Options",
    paths: "Iterable[bytes]" = (),
    on_progress: "Callable[[Progress], None]" = no_progress,
    memory: "Memory | None" = None,
) -> Status:
    """Return what differs from the index, in all of the project or in `paths` and below them.

    `memory` spares a later call with the same one what did not change meanwhile, and changes no answer.

    Raises IndexDamagedError, IndexUnsupportedError and StateFolderError.
    """
    return examine(root, state, options, paths, on_progress, memory).status


class Examination(NamedTuple):
    """A status, and what it was found out from."""

    status: Status
    snapshot: IndexSnapshot
    survey: Survey


def examine(
    root: Path,
    state: "StateFolder",
    options: "Options",
    paths: "Iterable[bytes]" = (),
    on_progress: "Callable[[Progress], None]" = no_progress,
    memory: "Memory | None" = None,
) -> Examination:
    """Do as `status` does, for those who judge what it rests on as well."""
    started_s = time.perf_counter()
    trust = trust_for(root, options)
    if not (trust.compares_ctime and is_local(root)):
        memory = None
    scope = Scope(tuple(paths))
    with Tree(root) as tree, _help(tree, trust, options, scope) as helping:
        snapshot = read_index(state, memory, helping)
        evidence = Evidence(snapshot.index, snapshot.baseline, trust)
        surveyor = Surveyor(tree, options, evidence, memory, helping)
        survey = surveyor.survey(scope, lambda files: on_progress(Progress("looking", files, 0)))
        reader = _Reader(tree, surveyor.classifier, evidence, survey, on_progress)
        changes = reader.changes() if not survey.is_clean else []
    changes.sort(key=lambda change: change.path)
    skipped = sorted(survey.skipped, key=lambda skipped: skipped.path)
    found = Status(root, tuple(changes), tuple(skipped), survey.counters, time.perf_counter() - started_s)
    return Examination(found, snapshot, survey)


def _help(
    tree: Tree, trust: "Trust", options: "Options", scope: Scope
) -> "AbstractContextManager[Helping] | AbstractContextManager[None]":
    """Return the help that a survey may have."""
    if native is not None or not scope.is_whole:
        return nullcontext()
    # Imported here, since the compiled prover does without.
    from bm_gitindex.worktree.helping import Helping

    return Helping(tree, trust, Classifier(options))


class _Reader:
    """Reads the few files that stat could not settle."""

    def __init__(
        self,
        tree: Tree,
        classifier: "Classifier",
        evidence: Evidence,
        survey: Survey,
        on_progress: "Callable[[Progress], None]",
    ) -> None:
        self._tree = tree
        self._classifier = classifier
        self._evidence = evidence
        self._survey = survey
        self._on_progress = on_progress

    def changes(self) -> list[Change]:
        # Imported here, since an unchanged tree has none.
        from bm_gitindex.index.moves import Lost
        from bm_gitindex.renames import RenameFinder

        survey, index = self._survey, self._evidence.index
        modified = dict(survey.modified)
        for path, size_bytes in sorted(survey.unsure.items()):
            reading = self._read(path, size_bytes)
            if reading is not None and reading.blob_id != index[path].blob_id:
                modified[path] = reading.stat.st_size
        lost = [Lost.from_entry(index[path]) for path in survey.vanished]
        renames = RenameFinder(self._tree, self._evidence, self._classifier).find(lost, survey.new, self._read)
        moved_away = {rename.old_path for rename in renames.values()}
        gone = [path for path in survey.vanished if path not in moved_away]
        return [
            *(self._modified(path, size) for path, size in modified.items()),
            *(self._new(path, size, renames.get(path)) for path, size in survey.new.items()),
            *(Change(ChangeStatus.DELETED, path, None, self._kind_of_gone(path), None) for path in gone),
        ]

    def _new(self, path: bytes, size_bytes: int, rename: "Rename | None") -> Change:
        kind = self._classifier.kind(path, size_bytes)
        if rename is None:
            return Change(ChangeStatus.ADDED, path, None, kind, size_bytes)
        return Change(ChangeStatus.MOVED, path, rename.old_path, kind, size_bytes)

    def _modified(self, path: bytes, size_bytes: int) -> Change:
        kind = self._classifier.kind(path, size_bytes)
        return Change(ChangeStatus.MODIFIED, path, None, kind, size_bytes)

    def _kind_of_gone(self, path: bytes) -> Kind:
        entry = self._evidence.index[path]
        for kind in (Kind.STAT_ONLY, Kind.SAMPLE):
            if kind.tracking is entry.tracking:
                return kind
        return self._classifier.kind(path, 0)

    def _read(self, path: bytes, size_bytes: int) -> Reading | None:
        kind = self._classifier.kind(path, size_bytes)
        try:
            reading = hash_file(self._tree, path, kind)
        except ReadError as error:
            self._survey.skipped.append(error.skipped)
            return None
        counters = self._survey.counters
        counters.files_read += kind is not Kind.STAT_ONLY
        counters.bytes_read += reading.bytes_read
        self._on_progress(Progress("reading", counters.files_read, counters.bytes_read))
        return reading
