"""What basic-memory's parser says of a note, held against what ours says."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bm_gitindex.notes.parser import parse_note
from bm_gitindex.notes.permalink import title_from_path
from bm_gitindex.options import NoteBounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bm_gitindex.notes.model import ParsedNote

ORACLE_PYTHON = "BM_GITINDEX_ORACLE_PYTHON"
"""Names the Python in which basic-memory is installed, if it is not this one."""
ORACLE_VERSION = "0.23.2"
ABSENT = (
    f"there is no basic-memory {ORACLE_VERSION} to compare with: install it in an environment of its own (Python 3.12 "
    f"or later), and name its python by {ORACLE_PYTHON}"
)
BOUNDS = NoteBounds()

_SCRIPT = Path(__file__).parent.parent / "parity" / "oracle.py"
_MOST_SHOWN = 300


class Oracle:
    """basic-memory's parser, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def note(self, path: str, content: bytes) -> dict[str, Any]:
        """What basic-memory makes of a note."""
        return self._ask({"path": path, "content": base64.b64encode(content).decode()})

    def permalink(self, path: str) -> str:
        """The permalink that basic-memory makes of a path."""
        permalink: str = self._ask({"path": path})["permalink"]
        return permalink

    def _ask(self, question: dict[str, str]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def open_oracle() -> Iterator[Oracle | None]:
    """Start the oracle; None where there is no basic-memory of the right version."""
    python = os.environ.get(ORACLE_PYTHON, sys.executable)
    pipe = subprocess.PIPE
    with subprocess.Popen([python, _SCRIPT], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        is_right = bool(said) and json.loads(said)["basic-memory"] == ORACLE_VERSION
        yield Oracle(process) if is_right else None
        assert process.stdin is not None
        process.stdin.close()


@dataclass
class Tally:
    """What was compared, and what differed."""

    notes: int = 0
    dropped: int = 0
    """Notes that basic-memory leaves out."""
    read_without_warning: int = 0
    """Those of them that are nothing special here, such as a front matter with a number for a key."""
    observations: int = 0
    relations: int = 0
    differences: list[str] = field(default_factory=list)

    def compare(self, path: str, content: bytes, answer: dict[str, Any]) -> None:
        """Hold our note against an answer."""
        note = parsed(content)
        self.notes += 1
        if "dropped" in answer:
            self.dropped += 1
            self.read_without_warning += not note.warnings
            return
        self.observations += len(answer.get("observations", []))
        self.relations += len(answer.get("relations", []))
        self.differences += (f"{path}: {one}\n  {_cut(content)}" for one in differences(path, note, answer))


def parsed(content: bytes) -> ParsedNote:
    """Return our note."""
    return parse_note(content, BOUNDS)


def differences(path: str, note: ParsedNote, answer: dict[str, Any]) -> list[str]:
    """Return in what our note differs from the oracle's."""
    ours = {
        "title": title_from_path(path.encode()) if note.title is None else note.title,
        "type": note.type,
        "tags": list(note.tags),
        "permalink": note.permalink,
        "metadata": dict(note.metadata),
        "observations": [[one.category, one.content, list(one.tags), one.context] for one in note.observations],
        "relations": [[one.type, one.target, one.context] for one in note.relations],
        "created": note.created,
        "modified": note.modified,
    }
    theirs = {"tags": [], "permalink": None, "metadata": {}, "observations": [], "relations": []} | answer
    theirs |= {key: _moment(answer.get(key)) for key in ("created", "modified")}
    return [
        f"{key}\n  ours   {_cut(ours[key])}\n  oracle {_cut(theirs[key])}" for key in ours if ours[key] != theirs[key]
    ]


def _moment(stated: str | None) -> datetime | None:
    """The time in UTC; None for one that UTC cannot express, which is ignored here, with a warning."""
    try:
        return None if stated is None else datetime.fromisoformat(stated).astimezone(UTC)
    except OverflowError:
        return None


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
