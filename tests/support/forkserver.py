"""A process that has imported everything, and forks one child for each command that a test wants to be traced.

Run as `python -m support.forkserver`: one JSON object a line in, one out. A child begins its command only when strace
has taken hold of it, so that a trace, and what is injected, cover the command alone, and neither the start of Python
nor half a second of imports. On demand it is let go on until it comes to a certain function, and only what follows is
traced: strace counts the calls of each thread by itself, so that the n-th of a thread that starts late cannot be hit
while an earlier thread has as many.
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import json
import os
import pkgutil
import resource
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import bm_gitindex
from bm_gitindex.cli import main
from bm_gitindex.index import compare
from support.vault import never_young

_PR_SET_PTRACER = 0x59616D61  # prctl(2): Yama lets a process name who may trace it
_ANYONE = ctypes.c_ulong(-1)


def serve() -> None:
    _warm_up()
    _answer({"ready": True})
    for line in sys.stdin:
        _answer(_run(json.loads(line)))


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _warm_up() -> None:
    """Load all that a command may load, the way it does itself; no thread is left behind."""
    for module in pkgutil.walk_packages(bm_gitindex.__path__, "bm_gitindex."):
        if not module.name.startswith("bm_gitindex.entities.migrations"):
            importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        (root / "note.md").write_text("---\ntitle: A\n---\n- [fact] b\n", "utf-8")
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            was, sys.stdout = sys.stdout, nowhere
            main(["-C", str(root), "config", "set", "include_hidden", "true"])
            main(["-C", str(root), "sync", "--json"])
            main(["-C", str(root), "verify"])
            sys.stdout = was


def _run(job: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        ready_read, ready_write = os.pipe()
        go_read, go_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ready_read)
            os.close(go_write)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            _child(job, ready_write, go_read)
        os.close(ready_write)
        os.close(go_read)
        tracer, complaint = None, ""
        if os.read(ready_read, 1) and job["strace"]:
            tracer, complaint = _traced(pid, job["strace"])
        if not complaint:
            with suppress(BrokenPipeError):  # it never came to the gate
                os.write(go_write, b"!")
        os.close(ready_read)
        os.close(go_write)
        _, status = os.waitpid(pid, 0)
        if tracer is not None:
            tracer.communicate()
        return {
            "status": os.waitstatus_to_exitcode(status),
            "out": _text(out.fileno()),
            "err": _text(err.fileno()),
            "untraceable": complaint,
        }


def _traced(pid: int, strace: list[str]) -> tuple[subprocess.Popen[str], str]:
    """Let strace take hold of a process; return it, and what it said if it could not."""
    command = [*strace, "-p", str(pid)]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    return tracer, "" if "attached" in line else line or "strace said nothing"


def _child(job: dict[str, Any], ready: int, go: int) -> None:
    """Run the command, as a process of its own would; never returns."""
    code = 1
    try:
        if job["strace"]:
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYONE, 0, 0, 0)
        if job["gate"]:
            _wait_at(job["gate"], ready, go)
        else:
            _wait(ready, go)
        if job["files"] is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (job["files"], job["files"]))
        if job["uid"] is not None:
            os.setgroups([])
            os.setegid(job["uid"])
            os.seteuid(job["uid"])
        if job["margin_s"] is None:
            never_young(pytest.MonkeyPatch())
        else:
            compare.YOUNG_MARGIN_S = job["margin_s"]
        code = main(job["argv"])
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001  -- as the interpreter does
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(ready: int, go: int) -> None:
    os.write(ready, b"!")
    if os.read(go, 1) != b"!":
        os._exit(0)


def _wait_at(gate: str, ready: int, go: int) -> None:
    """Wait before the n-th call of a function, named as `module:function:n`, or `module:class.function:n`."""
    module_name, names, count = gate.split(":")
    holder: Any = importlib.import_module(module_name)
    *outer, name = names.split(".")
    for one in outer:
        holder = getattr(holder, one)
    real = getattr(holder, name)
    calls = itertools.count(1)

    def waiting(*arguments: Any, **named: Any) -> Any:
        if next(calls) == int(count):
            _wait(ready, go)
        return real(*arguments, **named)

    setattr(holder, name, waiting)


def _text(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    return os.read(fd, 1 << 20).decode("utf-8", "replace")


if __name__ == "__main__":
    serve()
