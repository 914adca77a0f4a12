"""basic-memory as an oracle: a process that stays, since its start alone takes a second.

`BM_GITINDEX_ORACLE_PYTHON` names a Python that has basic-memory; without it, the Python that runs is asked.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VERSION = "0.23.2"
NAME = "note.md"
"""The file that a constructed note stands in."""
VARIABLE = "BM_GITINDEX_ORACLE_PYTHON"
MISSING = (
    f"no basic-memory: make an environment with Python 3.12 or newer, `pip install basic-memory=={VERSION}` there, "
    f"and name its interpreter in {VARIABLE}"
)

_SCRIPT = Path(__file__).with_name("basic_memory_side.py")
_AT_ONCE = 200

Answer = dict[str, Any]


def oracle_python() -> str | None:
    """Return the interpreter that has basic-memory; None where there is none.

    One that is named is not tried: if it fails, that is to be seen.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return named
    probe = [sys.executable, "-c", "import basic_memory"]
    return sys.executable if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else None


class Oracle:
    """A running basic-memory. Its home is a folder of its own, so that no settings reach it and none are left."""

    def __init__(self, python: str) -> None:
        self._home = tempfile.TemporaryDirectory()
        home = {"HOME": self._home.name, "BASIC_MEMORY_HOME": f"{self._home.name}/notes", "PYTHONPATH": ""}
        # It writes out sets, whose order is otherwise another one in each process, and knows the time of its zone.
        order = {"PYTHONHASHSEED": "0", "TZ": "UTC"}
        self._errors = open(f"{self._home.name}/errors", "w+b")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [python, "-P", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=self._home.name,
            env={**os.environ, **home, **order},
        )
        self.version: str = self._read()["version"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()
        self._errors.close()
        self._home.cleanup()

    def answers(self, notes: Iterable[tuple[str, bytes]]) -> Iterator[Answer]:
        """Yield what basic-memory makes of each note, given by file name and bytes."""
        for batch in _batches(list(notes)):
            coded = [[name, base64.b64encode(data).decode()] for name, data in batch]
            yield from self._ask({"notes": coded})["answers"]

    def answer(self, data: bytes) -> Answer:
        """Return what basic-memory makes of a note."""
        return next(self.answers([(NAME, data)]))

    def permalinks(self, paths: Sequence[str]) -> list[str]:
        """Return basic-memory's permalink for each path."""
        return [found for batch in _batches(paths) for found in self._ask({"paths": batch})["permalinks"]]

    def _ask(self, request: dict[str, object]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            words = self._errors.read().decode(errors="replace")[-2_000:]
            raise RuntimeError(f"the oracle ended with exit code {code}: {words}\n({MISSING})")
        return json.loads(line)


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
