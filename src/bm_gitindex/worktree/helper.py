"""The program of a helper: proves the folders of an index, the last ones first, until nobody asks any more.

It is given the bytes of the index, the root folder, and where to answer as descriptors, and all else in its arguments.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from bm_gitindex.index.codec import offset_table
from bm_gitindex.index.compare import Baseline, Evidence
from bm_gitindex.index.entry import Index
from bm_gitindex.index.stat import Trust
from bm_gitindex.worktree.answers import (
    ABOUT,
    ANSWERS,
    FOLDER,
    INDEX,
    OTHER,
    ROOT,
    UNREADABLE,
    VERSION,
    entries_id,
    framed,
)
from bm_gitindex.worktree.pythonprover import Limits, PythonProver
from bm_gitindex.worktree.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(asked: Sequence[str]) -> None:
    """Answer, and end the process: at once where this is another version, nobody asks any more, or on an interrupt."""
    gc.disable()
    os.closerange(ROOT + 1, os.sysconf("SC_OPEN_MAX"))  # what the host may have left for others to inherit
    try:
        if asked[0] == VERSION:
            _answer(asked[1], *map(int, asked[2:]))
    finally:
        os._exit(0)


def _answer(check_stat: str, timestamp_s: int, ctime: int, filemode: int, large_file_bytes: int, longest: int) -> None:
    data = _read_all(INDEX)
    table = offset_table(data)
    if table is None:
        return
    trust = Trust(bool(ctime), bool(filemode), "minimal" if check_stat == "minimal" else "default")
    # What the bytes are worth, and whether they are intact, is for the process that asks to say.
    index = Index(data, table[0], None, table[1], is_checked=True)
    evidence = Evidence(index, Baseline(timestamp_s, is_trusted=True), trust)
    prover = PythonProver(Tree("", ROOT), evidence, Limits(large_file_bytes, longest))
    _write(framed(ABOUT, entries_id(index.offsets)))
    for number, folders in reversed([*enumerate(prover.groups())]):
        _write(answer_of(prover, number, folders))


def answer_of(prover: PythonProver, number: int, folders: Sequence[bytes]) -> bytes:
    """Return what a prover finds in a group of folders, with what precedes it."""
    flags: list[bytes] = []
    fields: list[bytes] = []
    for folder in folders:
        places = prover.places(folder)
        try:
            dev, _, others = prover.prove_folder(folder)
        except OSError:
            fields.append(UNREADABLE)
        else:
            fields.append(b"%d" % dev)
            fields += [(FOLDER if other.is_known_folder else OTHER) + os.fsencode(other.name) for other in others]
            fields.append(b"")
        flags.append(bytes([prover.proven[place] for place in places]))
    return framed(number, b"".join(flags) + b"\0".join(fields))


def _write(answer: bytes) -> None:
    rest = memoryview(answer)
    while rest:
        rest = rest[os.write(ANSWERS, rest) :]


def _read_all(fd: int) -> bytes:
    size, parts = os.fstat(fd).st_size, [b""]
    while size > sum(map(len, parts)) and (part := os.pread(fd, size, sum(map(len, parts)))):
        parts.append(part)
    return b"".join(parts)


if __name__ == "__main__":
    main(sys.argv[1:])
