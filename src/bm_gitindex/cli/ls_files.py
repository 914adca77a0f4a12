"""`bm-gitindex ls-files`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.cli.output import project_of, quoted, write_bytes
from bm_gitindex.index.entry import (
    EXTENDED_INTENT_TO_ADD,
    EXTENDED_SKIP_WORKTREE,
    FLAG_ASSUME_VALID,
    FLAG_EXTENDED,
)

if TYPE_CHECKING:
    import argparse

    from bm_gitindex.index.entry import Entry

NAME = "ls-files"
SUMMARY = "list the index, in the formats of git ls-files"
EXAMPLE = "bm-gitindex ls-files -s | head"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("-s", "--stage", action="store_true", help="show mode, blob id and stage as well")
    parser.add_argument("-z", dest="nul", action="store_true", help="raw paths, ended by NUL")
    parser.add_argument("--debug", action="store_true", help="show the stat fields as well")


def run(arguments: argparse.Namespace) -> int:
    """Print the index of a project, as git would."""
    index = project_of(arguments).index().index
    for path in index:
        line = path if arguments.nul else quoted(path)
        if arguments.stage:
            entry = index[path]
            line = b"%06o %b 0\t%b" % (entry.stat.mode, entry.blob_id.hex().encode(), line)
        line += b"\0" if arguments.nul else b"\n"
        if arguments.debug:
            line += _debug(index[path])
        write_bytes(line)
    return 0


def _debug(entry: Entry) -> bytes:
    """Return the stat fields in the words of `git ls-files --debug`."""
    stat = entry.stat
    text = (
        f"  ctime: {stat.ctime_s}:{stat.ctime_ns}\n"
        f"  mtime: {stat.mtime_s}:{stat.mtime_ns}\n"
        f"  dev: {stat.dev}\tino: {stat.ino}\n"
        f"  uid: {stat.uid}\tgid: {stat.gid}\n"
        f"  size: {stat.size}\tflags: {_flags(entry):x}\n"
    )
    return text.encode()


def _flags(entry: Entry) -> int:
    """Return the flags as git holds them in memory: the second field above the first."""
    flags = FLAG_ASSUME_VALID if entry.assume_valid else 0
    if entry.is_extended:
        extended = EXTENDED_SKIP_WORKTREE * entry.skip_worktree | EXTENDED_INTENT_TO_ADD * entry.intent_to_add
        flags |= FLAG_EXTENDED | extended << 16
    return flags
