"""Which project a folder is, where one database holds several.

`project.id` in the state folder has a random id, and the place that it was made for: root folder and machine. What is
found elsewhere was either moved or copied. A move leaves nothing behind: where the old place still has the id, or
cannot be looked at, or is another machine's, this is a copy, and a project of its own.

The project's row in the database names a place too, and has the last word: files alone cannot tell of a copy that was
made a project while the disk with the original was away.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from bm_gitindex.config import load_options
from bm_gitindex.errors import BmGitIndexError, StateFolderError, StateWriteError
from bm_gitindex.machine import machine_id
from bm_gitindex.statefolder import StateFolder, open_state_file, remove_leftover, write_file

_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a project is."""

    root: bytes
    machine: str


@dataclass(frozen=True, slots=True)
class ProjectId:
    """What `project.id` says."""

    id: str
    place: Place


class DamagedIdError(Exception):
    """The file holds no id."""


def place_of(root: Path) -> Place:
    """Return the place that a root folder is, by whatever symbolic links it was named."""
    return Place(b"/" + os.fsencode(os.path.realpath(root)).lstrip(b"/"), machine_id())


def read_id(state: StateFolder) -> ProjectId | None:
    """Return what the state folder's `project.id` says; None where there is none.

    Raises DamagedIdError, and StateFolderError where it cannot be read.
    """
    try:
        with open_state_file(state.project_id) as file:
            data = file.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateFolderError(f"cannot read {state.project_id}: {error.strerror}") from error
    try:
        values = json.loads(data)
        place = Place(os.fsencode(values["root"]), str(values["machine"]))
        return ProjectId(str(UUID(values["id"])), place)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DamagedIdError(str(error)) from error


def write_id(state: StateFolder, project_id: ProjectId) -> None:
    """Store `project.id`. Raises StateWriteError."""
    place = project_id.place
    values = {"id": project_id.id, "root": os.fsdecode(place.root), "machine": place.machine}
    try:
        remove_leftover(state.project_id)
        write_file(state.project_id, json.dumps(values, indent=1).encode() + b"\n")
    except OSError as error:
        raise StateWriteError(f"cannot write {state.project_id}: {error.strerror}") from error


def has_moved(stored: ProjectId, state: StateFolder) -> bool:
    """Return whether a project that was elsewhere is now here and nowhere else, as far as files tell.

    Raises StateFolderError where two roots have one state folder.
    """
    place = place_of(state.root)
    return stored.place.machine == place.machine and not is_held(stored.place.root, stored.id, state)


def is_held(root: bytes, project_id: str, state: StateFolder) -> bool:
    """Return whether a folder of this machine, other than that of `state`, has this id, or cannot be looked at.

    Raises StateFolderError where that folder has the state folder that is `state`.
    """
    other = Path(os.fsdecode(root))
    try:
        if other.samefile(state.root):
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    try:
        there = StateFolder(other, load_options(other).state_dir)
        is_shared = there.path.exists() and there.path.samefile(state.path)
        found = None if is_shared else read_id(there)
    except (OSError, BmGitIndexError, DamagedIdError):
        return True
    if is_shared:
        raise StateFolderError(
            f"{state.path} is the state folder of {other} too; choose another state_dir for one of them"
        )
    return found is not None and found.id == project_id
