"""What is measured of Python: work inside one process, and the peers that are libraries.

    python benchmarks/inside.py NAME ARGUMENT...

`run.py` starts it, each of the functions below by its name (`library-status`, `hash-files`, ...). Those that repeat
something print the medians of their wall and CPU seconds as JSON; the others are measured from the outside, so that
they import nothing but what they need.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def hash_files(vault: str) -> None:
    """Read and hash all files, as plainly as Python can."""
    from hashlib import sha1

    folders = [vault]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != ".basic-memory":
                        folders.append(entry.path)
                else:
                    with open(entry.path, "rb") as file:
                        sha1(file.read(), usedforsecurity=False).digest()


def dulwich_status(index: str, vault: str) -> None:
    """Ask dulwich which entries of git's index differ from their files."""
    from dulwich.index import Index, get_unstaged_changes

    for _ in get_unstaged_changes(Index(index), vault):
        pass


def pygit2_status(git_folder: str) -> None:
    """Ask libgit2 for what differs, as `git status` says it."""
    import pygit2

    pygit2.Repository(git_folder).status()


def library_status(vault: str, repetitions: str) -> None:
    """Ask one `Project` for its status again and again; the first time is not counted."""
    import bm_gitindex

    project = bm_gitindex.Project(vault)
    assert project.status().is_clean
    _print_medians(project.status, repetitions)


def index_load(vault: str, repetitions: str) -> None:
    """Load the index of a project."""
    from bm_gitindex import Project
    from bm_gitindex.indexfile import read_index

    state = Project(vault).state
    assert len(read_index(state).index)
    _print_medians(lambda: read_index(state), repetitions)


def index_write(vault: str, target: str, repetitions: str) -> None:
    """Write the index of a project with one entry changed, as durably as a sync does: fsync of file and folder."""
    from pathlib import Path

    from bm_gitindex.statefolder import write_file

    encoded = one_change(vault)
    _print_medians(lambda: write_file(Path(target), encoded()), repetitions)


def index_write_unsafe(vault: str, target: str, repetitions: str) -> None:
    """Write the same without fsync, as git does by default."""

    def write() -> None:
        with open(target, "wb") as file:
            file.write(encoded())

    encoded = one_change(vault)
    _print_medians(write, repetitions)


def one_change(vault: str) -> Callable[[], bytes]:
    """Return what encodes a project's index with the entry in the middle changed."""
    from bm_gitindex import Project
    from bm_gitindex.index.encoding import encode_entry, update
    from bm_gitindex.index.records import Records
    from bm_gitindex.indexfile import read_index

    index = read_index(Project(vault).state).index
    path = sorted(index)[len(index) // 2]
    changed = {path: encode_entry(index[path].with_size_zero())}
    return lambda: bytes(update(index, Records(changed)))


def _print_medians(work: Callable[[], object], repetitions: str) -> None:
    # Imported here, since the functions that are measured from the outside do without.
    import json
    import statistics
    import time

    walls, cpus = [], []
    for _ in range(int(repetitions)):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall_s)
        cpus.append(time.process_time() - cpu_s)
    print(json.dumps([statistics.median(walls), statistics.median(cpus)]))


_WORK: dict[str, Callable[..., None]] = {
    "hash-files": hash_files,
    "dulwich-status": dulwich_status,
    "pygit2-status": pygit2_status,
    "library-status": library_status,
    "index-load": index_load,
    "index-write": index_write,
    "index-write-unsafe": index_write_unsafe,
}


if __name__ == "__main__":
    _WORK[sys.argv[1]](*sys.argv[2:])
