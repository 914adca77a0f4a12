"""The command in a process of its own that is watched: by Python's audit hook, and by strace."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import bm_gitindex

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCE = Path(bm_gitindex.__file__).parent.parent

# As pip writes it for an entry point: the folder of the script is what Python puts before its own path.
_SCRIPT = "import sys\nfrom bm_gitindex.__main__ import main\nsys.exit(main())\n"
_AUDITED = """\
import sys
events = []
def hook(event, arguments):
    if event == "exec":
        events.append((event, [getattr(arguments[0], "co_filename", "")]))
    elif event.partition(".")[0] in KINDS or event in KINDS:
        events.append((event, [repr(a) if isinstance(a, (bytes, type(None))) else str(a) for a in arguments]))
KINDS = {"open", "os", "shutil", "subprocess", "socket", "pickle", "pty", "sqlite3", "tempfile", "webbrowser", "ftplib",
         "urllib", "http", "smtplib", "builtins.input", "pdb", "mmap", "ensurepip"}
sys.addaudithook(hook)
from bm_gitindex.__main__ import main
try:
    code = main()
finally:
    with open(REPORT, "w") as file:
        events_so_far = list(events)
        import json
        json.dump(events_so_far, file)
sys.exit(code)
"""
_CALL = re.compile(r"^(?:\d+ +)?(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?:<(?P<leads_to>.*)>)?.*$")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<start>(?:[^>"]|\\.)*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
TRACED = "open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink"
TRACED += (
    ",symlinkat,chmod,fchmodat,chown,fchownat,lchown,truncate,utimensat,mknod,mknodat,execve,connect,bind,setxattr"
)


class Event(NamedTuple):
    """What the audit hook was told."""

    name: str
    arguments: list[str]


class Traced(NamedTuple):
    """One system call that succeeded."""

    name: str
    arguments: str
    paths: list[str]
    """Every path among its arguments, made absolute."""
    leads_to: str | None
    """Where the descriptor that it returned leads."""


def environment(**more: str) -> Mapping[str, str]:
    """Return an environment in which the package that this test runs is found."""
    return {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", **more}


def script(folder: Path) -> Path:
    """Write the command as pip installs it."""
    folder.mkdir(exist_ok=True)
    path = folder / "bm-gitindex"
    path.write_text(_SCRIPT)
    return path


def run(
    command: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=env or environment(),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


def audited(arguments: Sequence[str], cwd: Path, folder: Path, env: Mapping[str, str]) -> tuple[int, list[Event]]:
    """Run the command with an audit hook; return its exit code and what the hook was told."""
    folder.mkdir(exist_ok=True)
    report = folder / "events.json"
    path = folder / "audited"
    path.write_text(f"REPORT = {str(report)!r}\n{_AUDITED}")
    done = run([sys.executable, path, *arguments], cwd, env)
    assert b"Traceback" not in done.stderr, done.stderr.decode("utf-8", "replace")
    return done.returncode, [Event(name, arguments) for name, arguments in json.loads(report.read_text())]


def traced(arguments: Sequence[str], cwd: Path, folder: Path, env: Mapping[str, str]) -> list[Traced]:
    """Run the command under strace; return the calls about paths that succeeded."""
    log = folder / "strace.log"
    strace = ["strace", "-f", "-y", "-s", "5000", "-e", f"trace={TRACED}", "-o", str(log)]
    done = run([*strace, sys.executable, script(folder), *arguments], cwd, env)
    assert b"Traceback" not in done.stderr, done.stderr.decode("utf-8", "replace")
    calls = []
    for line in log.read_text("utf-8", "surrogateescape").splitlines():
        match = _CALL.match(line)
        if match is not None and int(match["result"]) >= 0:
            paths = [
                os.path.normpath(os.path.join(found["start"] or str(cwd), found["path"]))
                for found in _PATH.finditer(match["arguments"])
            ]
            calls.append(Traced(match["name"], match["arguments"], paths, match["leads_to"]))
    return calls
