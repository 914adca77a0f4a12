"""Commands run under strace: every call of theirs seen, one of them made to fail or to be the last."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import bm_gitindex
from support.trace import Call, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

_TESTS = Path(__file__).parents[1]
_SOURCE = Path(bm_gitindex.__file__).parents[1]
_EVERYTHING = "trace=%file,%desc"


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    """Exit code, or the negative number of the signal."""
    out: str
    err: str
    calls: list[Call]

    @property
    def was_killed(self) -> bool:
        return self.status == -9


@dataclass(frozen=True)
class Injection:
    """What is to happen at some calls of one name that are about one path, counted in each thread by itself."""

    name: str
    paths: tuple[str, ...]
    """A call is meant if it is about one of these, in the words in which it names it, or by a descriptor."""
    what: str
    """In strace's words: `signal=KILL`, `error=EIO`."""
    when: str
    """Which of the calls: `3`, or `3+` for the third and all after it."""


class Tracer:
    """Runs commands of ours, each in a fork of one warm process."""

    def __init__(self, folder: Path) -> None:
        self._trace = folder / "trace"
        source = os.pathsep.join([str(_SOURCE), str(_TESTS)])
        self._server = subprocess.Popen(
            [sys.executable, "-m", "support.forkserver"],
            env={**os.environ, "PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def close(self) -> None:
        """End the server."""
        self._server.communicate("")

    def run(
        self, argv: Sequence[str], *, uid: int | None = None, margin_s: int | None = None, files: int | None = None
    ) -> Ended:
        """Run a command without strace: as another user, with no more than so many descriptors.

        `margin_s` is how long a file is young; None: no file is.
        """
        return self._run(_job(argv) | {"uid": uid, "margin_s": margin_s, "files": files})

    def trace(self, argv: Sequence[str], gate: str = "") -> Ended:
        """Run a command and return its calls that are about files or descriptors; from a gate on, if one is named."""
        return self._run(_job(argv, gate), ["-e", _EVERYTHING])

    def inject(self, argv: Sequence[str], injection: Injection, gate: str = "") -> Ended:
        """Run a command and do something to some of its calls; only calls of that name and path are returned."""
        chosen = [argument for path in injection.paths for argument in ("-P", path)]
        action = f"inject={injection.name}:{injection.what}:when={injection.when}"
        return self._run(_job(argv, gate), [*chosen, "-e", f"trace={injection.name}", "-e", action])

    def _run(self, job: dict[str, object], strace: Sequence[str] = ()) -> Ended:
        if strace:
            _require_strace()
        command = ["strace", "-f", "-y", "-s", "0", "-o", str(self._trace), *strace] if strace else None
        self._trace.unlink(missing_ok=True)
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(job | {"strace": command}) + "\n")
        self._server.stdin.flush()
        answer = self._answer()
        if answer["untraceable"]:
            pytest.skip(f"strace may not trace here: {answer['untraceable']}")
        lines = self._trace.read_text("utf-8", "replace").splitlines() if self._trace.exists() else []
        return Ended(int(str(answer["status"])), str(answer["out"]), str(answer["err"]), parse(lines))

    def _answer(self) -> dict[str, object]:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the server of traced commands has ended"
        answer: dict[str, object] = json.loads(line)
        return answer


def _job(argv: Sequence[str], gate: str = "") -> dict[str, object]:
    return {"argv": list(argv), "uid": None, "margin_s": None, "files": None, "gate": gate}


def _require_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is missing: no system call can be counted or stopped")
