"""Finding files: one folder after the other, each with one listing and one lstat a file."""

import os
import stat
import sys
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.ignore import IgnoreRules, TooManyRulesError
from bm_gitindex.rules import GITIGNORE, Skipped, SkipReason, icloud_stub_target, is_git_folder
from bm_gitindex.worktree import placeholders
from bm_gitindex.worktree.reading import ReadError, read_gitignore
from bm_gitindex.worktree.tree import Tree, skipped_for

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from bm_gitindex.index.entry import Index
    from bm_gitindex.rules import Classifier
    from bm_gitindex.worktree.unproven import FolderProof, Unproven

_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_NAME = attrgetter("name")
_SKIPPED_TYPES = {
    stat.S_IFLNK: SkipReason.SYMLINK,
    stat.S_IFIFO: SkipReason.FIFO,
    stat.S_IFSOCK: SkipReason.SOCKET,
    stat.S_IFCHR: SkipReason.DEVICE,
    stat.S_IFBLK: SkipReason.DEVICE,
}


class Listing(NamedTuple):
    """What one folder holds, ignored names left out."""

    prefix: bytes
    """Path of the folder, ending in a slash; empty for the root."""
    dev: int
    is_empty: bool
    """Whether there is nothing in it but what is left out wherever it stands."""
    files: list[tuple[bytes, os.stat_result]]
    """Regular files: name and lstat."""
    skipped: list[Skipped]
    proven: int = 0
    """How many files there are besides that are proven unchanged."""
    rules: IgnoreRules | None = None
    """Those by which proven files are yet to be judged, where there are any."""


class Scope:
    """The part of the tree that a run looks at: all of it, or some paths and what is below them."""

    def __init__(self, paths: tuple[bytes, ...] = ()) -> None:
        """No paths: the whole tree."""
        self._wanted = frozenset(paths)
        self._lengths = sorted({len(path) for path in paths})
        self._ancestors = {b""} | {parent for path in paths for parent in parents(path)}
        self.is_whole = not paths

    def __contains__(self, path: bytes) -> bool:
        """Whether a path is one of those asked for, or below one of them."""
        if self.is_whole or path in self._wanted:
            return True
        # Not one parent after the other: a path may have thousands.
        return any(path[length : length + 1] == b"/" and path[:length] in self._wanted for length in self._lengths)

    def known(self, index: "Index") -> set[bytes]:
        """Return the paths of an index that are in a scope of some paths, or on the way to something in it."""
        below = (known for path in self._wanted for known in index.below(path))
        return {*below, *(path for path in self._wanted | self._ancestors if path in index)}

    def leads_to(self, folder: bytes) -> bool:
        """Return whether a folder is in the scope, or on the way to something in it."""
        return folder in self._ancestors or folder in self


def walk(
    tree: Tree,
    classifier: "Classifier",
    rules: IgnoreRules,
    scope: Scope,
    proofs: "MutableMapping[bytes, FolderProof] | None" = None,
) -> "Iterator[Listing]":
    """Yield the folders in the scope, from the root down, each with its files.

    Of a folder in `proofs`, which is taken out of there, only what is not proven is looked at. A folder that cannot be
    read is yielded as a listing without files that says so.
    """
    pending = [(b"", rules)]
    while pending:
        folder, rules = pending.pop()
        prefix = folder + b"/" if folder else b""
        proof = proofs.pop(folder, None) if proofs else None
        try:
            dev, proven, entries = proof or _listed(tree, folder)
        except OSError as error:
            yield Listing(prefix, 0, is_empty=False, files=[], skipped=[skipped_for(folder, error)])
            continue
        if proven and not entries:
            yield Listing(prefix, dev, False, [], [], proven, rules or None)  # noqa: FBT003 - of many, in order is quicker
            continue
        found = sorted(entries, key=_NAME)
        skipped: list[Skipped] = []
        names = set(map(_NAME, found))
        if ".gitignore" in names:
            rules = with_gitignore(tree, rules, prefix, skipped)
        look = _FolderLook(prefix, classifier, rules, scope)
        for entry in found:
            shown_name = _shown_name(entry)
            # A stub beside what it stands for is a left-over: the file is here.
            if shown_name == entry.name or shown_name not in names:
                look.at(entry, shown_name.encode(_ENCODING, _ERRORS))
        pending.extend((path, rules) for path in reversed(look.folders))
        is_empty = not proven and all(classifier.is_left_out(os.fsencode(_shown_name(entry))) for entry in found)
        yield Listing(prefix, dev, is_empty, look.files, skipped + look.skipped, proven, rules or None)


def _listed(tree: Tree, folder: bytes) -> "FolderProof":
    """Return a folder's device, that nothing in it is proven, and what is in it. Raises OSError."""
    fd = tree.folder(folder)
    dev = os.fstat(fd).st_dev
    with os.scandir(fd) as entries:
        return dev, 0, [*entries]


class _FolderLook:
    """Sorts the entries of one folder into files, folders to enter, and what is passed over."""

    def __init__(self, prefix: bytes, classifier: "Classifier", rules: IgnoreRules, scope: Scope) -> None:
        self.files: list[tuple[bytes, os.stat_result]] = []
        self.folders: list[bytes] = []
        self.skipped: list[Skipped] = []
        self._prefix = prefix
        self._classifier = classifier
        self._rules = rules
        self._scope = scope
        self._is_whole = scope.is_whole
        self._has_rules = bool(rules)

    def at(self, entry: "os.DirEntry[str] | Unproven", name: bytes) -> None:
        """Look at an entry that is shown by this name."""
        path = self._prefix + name
        if not self._is_whole and not self._scope.leads_to(path):
            return
        if self._classifier.is_left_out(name):
            return
        try:
            self._look_at(entry, name, path)
        except FileNotFoundError:
            return  # gone again
        except OSError as error:
            self.skipped.append(skipped_for(path, error))

    def _look_at(self, entry: "os.DirEntry[str] | Unproven", name: bytes, path: bytes) -> None:
        is_folder = entry.is_dir(follow_symlinks=False)
        if self._has_rules and self._rules.is_ignored(path + b"/" if is_folder else path):
            return
        if is_git_folder(name):
            self.skipped.append(Skipped(path, SkipReason.NAME))
        elif self._classifier.is_too_long(path):
            self.skipped.append(Skipped(path, SkipReason.TOO_LONG))
        elif entry.name.encode(_ENCODING, _ERRORS) != name or (is_folder and _is_elsewhere(entry)):
            self.skipped.append(Skipped(path, SkipReason.PLACEHOLDER))
        elif is_folder:
            self.folders.append(path)
        else:
            self._look_at_file(entry, name)

    def _look_at_file(self, entry: "os.DirEntry[str] | Unproven", name: bytes) -> None:
        st = entry.stat(follow_symlinks=False)
        reason = _SKIPPED_TYPES.get(stat.S_IFMT(st.st_mode))
        if reason is None and placeholders.is_placeholder(st):
            reason = SkipReason.PLACEHOLDER
        if reason is None:
            self.files.append((name, st))
        else:
            self.skipped.append(Skipped(self._prefix + name, reason))


def _shown_name(entry: "os.DirEntry[str] | Unproven") -> str:
    """Return the name of what an entry is, or stands for."""
    target = icloud_stub_target(os.fsencode(entry.name)) if entry.name.endswith(".icloud") else None
    return entry.name if target is None else os.fsdecode(target)


def _is_elsewhere(entry: "os.DirEntry[str] | Unproven") -> bool:
    """Return whether an entry is a placeholder, asking for its stat only where there are such things."""
    return placeholders.HAS_PLACEHOLDERS and placeholders.is_placeholder(entry.stat(follow_symlinks=False))


def with_gitignore(tree: Tree, rules: IgnoreRules, prefix: bytes, skipped: list[Skipped]) -> IgnoreRules:
    """Return the rules with those of a folder's `.gitignore`; one that cannot be read is told, and rules nothing.

    A link is one that git does not follow either (gitignore(5)), and is passed over without a word.
    """
    path = prefix + GITIGNORE
    try:
        st = tree.lstat(path)
        if not stat.S_ISREG(st.st_mode):
            return rules
        if placeholders.is_placeholder(st):
            skipped.append(Skipped(path, SkipReason.PLACEHOLDER))
            return rules
        rules.require_room(st.st_size)
        return rules.with_gitignore(prefix, read_gitignore(tree, path, rules.free_bytes))
    except TooManyRulesError as error:
        skipped.append(Skipped(path, SkipReason.RULES_NOTHING, str(error)))
    except OSError as error:
        skipped.append(skipped_for(path, error))
    except ReadError as error:
        skipped.append(error.skipped)
    return rules


def parents(path: bytes) -> "Iterator[bytes]":
    """Yield the folders above a path, the nearest first, without the root."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path
