"""The one comparison that status and sync share: the tree against the index, by stat alone. Nothing is opened."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

from bm_gitindex.ignore import IgnoreRules
from bm_gitindex.index.compare import Evidence, Verdict, examine, examine_pointer, is_racy
from bm_gitindex.index.entry import Entry, Tracking, stat_only_id
from bm_gitindex.index.stat import low32, stat_data
from bm_gitindex.rules import Classifier, Skipped, SkipReason
from bm_gitindex.worktree.proof import prove
from bm_gitindex.worktree.walk import Listing, Scope, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bm_gitindex.memory import Memory
    from bm_gitindex.options import Options
    from bm_gitindex.worktree.helping import Helping
    from bm_gitindex.worktree.tree import Tree


class Counters:
    """What a run cost. Ignore files and our own state are not counted."""

    __slots__ = ("bytes_read", "dirs_seen", "files_read", "files_seen")

    def __init__(self) -> None:
        self.files_seen = 0
        self.dirs_seen = 0
        self.files_read = 0
        """Notes and attachments that were opened."""
        self.bytes_read = 0


class Survey:
    """How the tree differs from the index. Paths map to sizes in bytes."""

    def __init__(self) -> None:
        self.is_whole = True
        """All of the tree was looked at, and not only some paths."""
        self.new: dict[bytes, int] = {}
        self.modified: dict[bytes, int] = {}
        """Certain by stat alone: another size, type, executable bit, or another id of a file that is never opened."""
        self.unsure: dict[bytes, int] = {}
        """Known, but stat data cannot tell whether the content is the same."""
        self.vanished: list[bytes] = []
        """Known, and proven to be gone."""
        self.unseen: frozenset[bytes] = frozenset()
        """Known, and neither found nor proven to be gone."""
        self.unlooked: frozenset[bytes] = frozenset()
        """Files and folders that could not be looked at."""
        self.root_is_empty = False
        """Nothing is in the root but what is left out wherever it stands."""
        self.unchanged = 0
        self.skipped: list[Skipped] = []
        self.folders: list[bytes] = []
        """Those that were listed, or on the way to what was asked for."""
        self.counters = Counters()

    @property
    def is_clean(self) -> bool:
        """Whether stat data alone prove that nothing differs."""
        return not (self.new or self.modified or self.unsure or self.vanished)

    def is_unproven(self, path: bytes) -> bool:
        """Return whether a path that was not found may be there all the same, since nobody could look."""
        while self.unlooked and path:
            if path in self.unlooked:
                return True
            path = path.rpartition(b"/")[0]
        return b"" in self.unlooked


class Surveyor:
    """Compares a tree with an index, folder by folder."""

    def __init__(
        self,
        tree: Tree,
        options: Options,
        evidence: Evidence,
        memory: Memory | None = None,
        helping: Helping | None = None,
    ) -> None:
        self.classifier = Classifier(options)
        self._helping = helping
        self._memory = memory
        self._tree = tree
        self._rules = IgnoreRules(options.ignore, options.ignore_max_bytes)
        self._evidence = evidence
        self._empty_folders: set[bytes] = set()

    def survey(self, scope: Scope, on_progress: Callable[[int], None] = lambda _: None) -> Survey:
        """Return how the part of the tree in `scope` differs; `on_progress` is told how many files were seen so far.

        What seems to be gone is looked for twice: a file may have moved under way, from a folder that was not listed
        yet into one that was.
        """
        survey = self._survey(scope, on_progress)
        return self._survey(scope, on_progress) if survey.vanished else survey

    def _survey(self, scope: Scope, on_progress: Callable[[int], None]) -> Survey:
        self._empty_folders.clear()
        survey = Survey()
        survey.is_whole = scope.is_whole
        proof = None
        if scope.is_whole:
            # A helper saw what there was, and not what there may be when all is looked at once more.
            helping, self._helping = self._helping, None
            proof = prove(self._tree, self._evidence, self.classifier, on_progress, self._memory, helping)
        missing = proof.missing() if proof else scope.known(self._evidence.index)
        ruled: dict[bytes, IgnoreRules] = {}
        root_dev = None
        for listing in walk(self._tree, self.classifier, self._rules, scope, proof.folders if proof else None):
            if not listing.prefix:
                survey.root_is_empty = listing.is_empty
            root_dev = listing.dev if root_dev is None else root_dev
            if listing.is_empty and listing.dev == root_dev:
                self._empty_folders.add(listing.prefix)
            if listing.proven and listing.rules:
                ruled[listing.prefix] = listing.rules
            if listing.files:
                self._compare(listing, survey, missing)
            survey.folders.append(listing.prefix[:-1])
            survey.skipped.extend(listing.skipped)
            survey.unchanged += listing.proven
            survey.counters.dirs_seen += 1
            survey.counters.files_seen += len(listing.files) + listing.proven
            if listing.files:  # whoever proved the others has told of them
                on_progress(survey.counters.files_seen)
        if proof:
            missing |= proof.withdraw(proof.folders)
            ignored = proof.withdraw_ignored(ruled)
            survey.unchanged -= len(ignored)
            survey.counters.files_seen -= len(ignored)
            missing |= ignored
        missing |= self._below_new_files(survey, scope)
        survey.unlooked = _kept(survey.skipped)
        if missing:
            self._ask_for(survey, missing, root_dev or 0)
            self._settle_missing(survey, missing, root_dev or 0)
            survey.unlooked = _kept(survey.skipped)
        return survey

    def _compare(self, listing: Listing, survey: Survey, missing: set[bytes]) -> None:
        index, baseline, trust = self._evidence.index, self._evidence.baseline, self._evidence.trust
        large_file_bytes = self.classifier.large_file_bytes
        for name, st in listing.files:
            path = listing.prefix + name
            recorded = index.stat_fields(path)
            if recorded is None:
                survey.new[path] = st.st_size
                continue
            missing.discard(path)
            observed = stat_data(st)
            if (
                recorded == observed
                and 0 < st.st_size <= large_file_bytes
                and not index.is_extended(path)
                and not is_racy(observed, baseline, trust)
            ):
                survey.unchanged += 1
                continue
            verdict = self._examine(index[path], st)
            if verdict is Verdict.CLEAN:
                survey.unchanged += 1
            elif verdict is Verdict.MODIFIED:
                survey.modified[path] = st.st_size
            else:
                survey.unsure[path] = st.st_size

    def _examine(self, entry: Entry, st: os.stat_result) -> Verdict:
        evidence = self._evidence
        kind = self.classifier.kind(entry.path, st.st_size)
        if kind.tracking is Tracking.STAT:
            pointer_id = stat_only_id(st.st_size, st.st_mtime_ns)
            return examine_pointer(entry, stat_data(st), pointer_id, evidence.baseline, evidence.trust)
        return examine(entry, stat_data(st), kind.tracking, evidence.baseline, evidence.trust)

    def _below_new_files(self, survey: Survey, scope: Scope) -> set[bytes]:
        """Return the known paths below what was a folder and is a file now, though nobody asked for all of them."""
        replaced = [path for path in survey.new if not scope.is_whole and path not in scope]
        return {path for folder in replaced for path in self._evidence.index.below(folder)}

    def _ask_for(self, survey: Survey, missing: set[bytes], root_dev: int) -> None:
        """Ask for each missing file by its name, and take those that are there for listed."""
        # Imported here, since an unchanged tree misses nothing.
        from bm_gitindex.worktree.lookup import Lookup

        lookup = Lookup(self._tree, self.classifier, self._rules)
        unlisted = sorted(path for path in missing if not survey.is_unproven(path))
        for path in unlisted:
            st, skipped = lookup.ask(path)
            if skipped is not None:
                survey.skipped.append(skipped)
            elif st is not None and not self._has_twin(path, st, survey):
                name = path.rpartition(b"/")[2]
                files, prefix = [(name, st)], path.removesuffix(name)
                self._compare(Listing(prefix, root_dev, is_empty=False, files=files, skipped=[]), survey, missing)
                survey.counters.files_seen += 1
        survey.unlooked = _kept(survey.skipped)

    def _has_twin(self, path: bytes, st: os.stat_result, survey: Survey) -> bool:
        """Return whether a file was listed by another spelling of its name, as some file systems take them for one."""
        folder, spelling = path.rpartition(b"/")[0], _spelling(path)
        twins = (new for new in survey.new if new.rpartition(b"/")[0] == folder and _spelling(new) == spelling)
        for twin in twins:
            with suppress(OSError):
                if os.path.samestat(self._tree.lstat(twin), st):
                    return True
        return False

    def _settle_missing(self, survey: Survey, missing: set[bytes], root_dev: int) -> None:
        """Tell what is proven to be gone from what only could not be seen."""
        gone = sorted(path for path in missing if not survey.is_unproven(path))
        unmounted = self._unmounted(gone, root_dev)
        survey.skipped.extend(Skipped(folder, SkipReason.UNMOUNTED) for folder in sorted(set(unmounted.values())))
        survey.vanished = [path for path in gone if path not in unmounted]
        survey.unseen = frozenset(missing.difference(survey.vanished))
        survey.unchanged += len(survey.unseen)

    def _unmounted(self, gone: Iterable[bytes], root_dev: int) -> dict[bytes, bytes]:
        """Return path -> folder for paths below what was a mount point, and now is an empty folder like any other.

        What a mount held was recorded with a device that is neither the root's nor that of anything outside of it.
        """
        below: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for path in gone:
            folder = self._empty_folder_above(path)
            if folder is not None:
                below[folder].append(path)
        return {
            path: folder.rstrip(b"/")
            for folder, paths in below.items()
            if self._had_a_device_of_its_own(folder, paths, low32(root_dev))
            for path in paths
        }

    def _empty_folder_above(self, path: bytes) -> bytes | None:
        if not self._empty_folders:
            return None
        parts = path.split(b"/")[:-1]
        prefixes = (b"/".join(parts[:length]) + b"/" for length in range(1, len(parts) + 1))
        return next((prefix for prefix in prefixes if prefix in self._empty_folders), None)

    def _had_a_device_of_its_own(self, folder: bytes, paths: Iterable[bytes], root_dev: int) -> bool:
        index = self._evidence.index
        devices = {index[path].stat.dev for path in paths}
        if len(devices) != 1 or devices & {0, root_dev}:
            return False
        return all(index[path].stat.dev not in devices for path in index if not path.startswith(folder))


def _spelling(path: bytes) -> str:
    # Imported here, since it is a table of a megabyte that few runs need.
    import unicodedata

    return unicodedata.normalize("NFC", os.fsdecode(path).casefold())


def _kept(skipped: Iterable[Skipped]) -> frozenset[bytes]:
    return frozenset(path for path, reason, _ in skipped if reason.keeps_known)
