"""What the system says of changes: watchfiles over a list of folders, each watched by itself.

One instance of watchfiles has one queue of the kernel's, so that its events come in the order in which they happened.
It cannot be given another folder: a new list is a new instance, and the old one is heard to its end. How that end is
known, and how it is known that everything up to now was heard, is Watchman's way: a file that nobody else knows of is
made in a folder that is watched too, and when its event comes, all that happened before has come.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from bm_gitindex.errors import BmGitIndexError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

ALERT_S = 60.0
"""For so long after a question the next one is expected, and after an event the next one."""
_ALERT_STEP_MS, _ALERT_GATHER_MS = 2, 10
_CALM_STEP_MS, _CALM_GATHER_MS = 50, 200
"""How often events are looked for. They are handed on when none has come for a step, and after the second time at the
latest. Each look wakes a processor, which is most of what an idle watcher costs."""
_ADDED = 1
_NO_TIMEOUT = 0
_WATCH_LIMIT = "watch limit"
_IS_COOKIE = re.compile(r"[0-9]+-[0-9a-f]+-[0-9]+").fullmatch
_COOKIE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TOO_MANY = ("(os error 24)", "(os error 23)", "(os error 12)")


class Events(NamedTuple):
    """What one look at the queue found."""

    paths: frozenset[str]
    added: frozenset[str]
    """Those of them that are said to have come: a hint."""
    last_s: float
    """About when the last of it happened, by the monotonic clock."""


class WatchLimitError(BmGitIndexError):
    """The system admits no more watches."""


class Notifier:
    """Watches some folders, and hands on what it hears from a thread of its own."""

    def __init__(
        self,
        folders: Sequence[str],
        cookies: Cookies,
        on_events: Callable[[Events], object],
        on_failure: Callable[[str], object],
    ) -> None:
        """Begin: what happens from now on is heard. `on_failure` is told when nothing more will be.

        Raises WatchLimitError, and FileNotFoundError, PermissionError or OSError where a folder cannot be watched.
        """
        self._cookies = cookies
        self._on_events = on_events
        self._on_failure = on_failure
        self._is_closed = threading.Event()
        self._last_cookie = ""
        self._is_complete = False
        self.failure = ""
        """Why nothing more is heard; empty as long as it is."""
        self.alert_until_s = 0.0
        """Until then events are looked for as often as for one who waits."""
        self._system = _opened([*folders, str(cookies.folder)])
        self._thread = threading.Thread(target=self._run, name="bm-gitindex events", daemon=True)
        self._thread.start()

    def _pace(self) -> tuple[int, int]:
        if time.monotonic() < self.alert_until_s:
            return _ALERT_STEP_MS, _ALERT_GATHER_MS
        return _CALM_STEP_MS, _CALM_GATHER_MS

    def drain(self, timeout_s: float) -> bool:
        """Hand on all that happened until now, and end; return whether that was all.

        Raises OSError where no cookie can be made.
        """
        self._last_cookie = self._cookies.new()
        self._cookies.make(self._last_cookie)
        self._thread.join(timeout_s)
        is_complete = self._is_complete
        self.close()
        return is_complete

    def abandon(self) -> None:
        """End soon; what was not handed on is lost. Waits for nothing."""
        self._is_closed.set()

    def close(self) -> None:
        """End; what was not handed on is lost."""
        self._is_closed.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._listen()
        finally:
            self._system.close()

    def _listen(self) -> None:
        last = ""
        while not last:
            step_ms, gather_ms = self._pace()
            try:
                found = self._system.watch(gather_ms, step_ms, _NO_TIMEOUT, self._is_closed)
            except (WatchfilesRustInternalError, RuntimeError, OSError) as error:
                self.failure = str(error) or type(error).__name__
                self._on_failure(self.failure)
                return
            if isinstance(found, str):
                return
            last_s = time.monotonic() - step_ms / 1000
            paths = frozenset(path for _, path in found)
            last = self._last_cookie if self._last_cookie and self._cookies.path(self._last_cookie) in paths else ""
            added = frozenset(path for kind, path in found if kind == _ADDED)
            self._on_events(Events(paths, added, last_s))
        self._is_complete = True


class Cookies:
    """Files that are made to see their own events come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = f"{os.getpid()}-{time.monotonic_ns():x}"
        self._number = 0

    def prepare(self) -> None:
        """Make the folder, and remove what another watcher has left there, and nothing else. Raises OSError.

        What stands in its place is removed: a link would lead to files of the user's.
        """
        with suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.lstat(self.folder).st_mode):
                self.folder.unlink()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        folder_fd = self._opened()
        try:
            for name in filter(_IS_COOKIE, os.listdir(folder_fd)):
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder_fd)
        finally:
            os.close(folder_fd)

    def new(self) -> str:
        """Return a name that no cookie had."""
        self._number += 1
        return f"{self._prefix}-{self._number}"

    def path(self, name: str) -> str:
        """Return where a cookie is, as its event will say."""
        return os.path.join(self.folder, name)

    def make(self, name: str) -> None:
        """Make one, and remove it. Raises OSError."""
        folder_fd = self._opened()
        try:
            os.close(os.open(name, _COOKIE_FLAGS, 0o600, dir_fd=folder_fd))
            os.unlink(name, dir_fd=folder_fd)
        finally:
            os.close(folder_fd)

    def _opened(self) -> int:
        return os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def found_in(self, paths: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Return the names of the cookies among some paths, and the other paths."""
        prefix = os.path.join(self.folder, "")
        cookies = frozenset(path for path in paths if path.startswith(prefix) or path == str(self.folder))
        return frozenset(map(os.path.basename, cookies)), frozenset(paths) - cookies


def _opened(folders: list[str]) -> RustNotify:
    """Return an instance that watches these folders and nothing below them. Raises as `Notifier`."""
    try:
        return RustNotify(folders, False, False, 0, False, False)  # noqa: FBT003 - it takes no names
    except (OSError, WatchfilesRustInternalError) as error:
        text = str(error)
        if _WATCH_LIMIT in text:
            raise WatchLimitError(_limit_text("watches", text)) from error
        if any(number in text for number in _TOO_MANY):
            raise WatchLimitError(_limit_text("instances", text)) from error
        if isinstance(error, OSError):
            raise
        raise OSError(text) from error


def _limit_text(of: str, text: str) -> str:
    return f"the system admits no more inotify {of} ({text}); raise it with `sysctl fs.inotify.max_user_{of}=...`"
