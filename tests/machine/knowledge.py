"""What index and database should know of a folder, worked out from the files by nothing that the product has."""

from __future__ import annotations

import os
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from machine.folder import GITIGNORE, STATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bm_gitindex.options import Options
    from machine.folder import File

_SAMPLE_BYTES = 64 * 1024
_LARGE = {"stat": "stat-only", "sample": "sample", "full": "file"}


class Known(NamedTuple):
    """What should be known of a file."""

    kind: str
    blob_id: str


def knowledge(files: Mapping[bytes, File], options: Options) -> dict[bytes, Known]:
    """Return what a full sync should know, by path."""
    rules = _rules(files, options)
    return {path: _known(path, file, options) for path, file in files.items() if _is_taken_in(path, rules, options)}


def _known(path: bytes, file: File, options: Options) -> Known:
    suffixes = tuple(suffix.encode() for suffix in options.note_suffixes)
    size = len(file.content)
    if path.endswith(suffixes):
        return Known("note", _blob_id(file.content))
    kind = _LARGE[options.large_file_policy] if size > options.large_file_bytes else "file"
    if kind == "stat-only":
        pointer = b"bm-gitindex stat-only v1\nsize %d\nmtime_ns %d\n" % (size, file.stat.st_mtime_ns)
        return Known(kind, _blob_id(pointer))
    if kind == "sample":
        ends = file.content[:_SAMPLE_BYTES] + file.content[max(size - _SAMPLE_BYTES, 0) :]
        return Known(kind, _blob_id(b"bm-gitindex sample v1\nsize %d\nends %s\n" % (size, _blob_id(ends).encode())))
    return Known(kind, _blob_id(file.content))


def _blob_id(content: bytes) -> str:
    return sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


# --- what is left out ------------------------------------------------------------------------------------------------

Rules = list[tuple[bytes, list[bytes]]]
"""Folders, each ending in a slash or empty, with the lines of their ignore files: the weightiest first."""


def _rules(files: Mapping[bytes, File], options: Options) -> Rules:
    configured = [(b"", [os.fsencode(pattern) for pattern in options.ignore])]
    paths = [path for path in files if os.path.basename(path) == GITIGNORE]
    own = [(path[: -len(GITIGNORE)], files[path].content.split(b"\n")) for path in paths]
    return configured + sorted(own, key=lambda rules: -len(rules[0]))


def _is_taken_in(path: bytes, rules: Rules, options: Options) -> bool:
    parts = path.split(b"/")
    for depth in range(1, len(parts) + 1):
        is_folder = depth < len(parts)
        if _is_left_out(parts[depth - 1], options) or _is_ignored(b"/".join(parts[:depth]), is_folder, rules):
            return False
    return True


def _is_left_out(name: bytes, options: Options) -> bool:
    is_hidden = name.startswith(b".") and not options.include_hidden
    return is_hidden or name == STATE or (name.endswith(b".tmp") and not options.include_temporary)


def _is_ignored(path: bytes, is_folder: bool, rules: Rules) -> bool:
    for folder, lines in rules:
        verdicts = [not line.startswith(b"!") for line in lines if _matches(line, path, is_folder, folder)]
        if verdicts:
            return verdicts[-1]
    return False


def _matches(line: bytes, path: bytes, is_folder: bool, folder: bytes) -> bool:
    """Return whether a pattern matches, one of the forms that machines use: `x`, `*`, `*.x`, `/x`, `x/`, `!` before."""
    pattern = line.removeprefix(b"!")
    if not pattern or pattern.startswith(b"#") or not path.startswith(folder):
        return False
    if pattern.endswith(b"/") and not is_folder:
        return False
    pattern = pattern.removesuffix(b"/")
    if pattern.startswith(b"/"):
        return path == folder + pattern[1:]
    name = os.path.basename(path)
    return name.endswith(pattern[1:]) if pattern.startswith(b"*") else name == pattern


def sole_moves(
    known_ids: Mapping[bytes, str], now: Mapping[bytes, Known], ambiguous: Sequence[str] = ("sample", "stat-only")
) -> dict[bytes, bytes]:
    """Return new path -> old path for the files that moved, were not edited, and can be meant by nothing else."""
    gone = {path: blob_id for path, blob_id in known_ids.items() if path not in now}
    new = {path: known for path, known in now.items() if path not in known_ids and known.kind not in ambiguous}
    moves = {}
    for path, known in new.items():
        olds = [old for old, blob_id in gone.items() if blob_id == known.blob_id]
        news = [other for other in new if new[other].blob_id == known.blob_id]
        if len(olds) == len(news) == 1 and known.blob_id != _blob_id(b""):
            moves[path] = olds[0]
    return moves
