"""A watcher in a process of its own, and what must hold once it has come to rest."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bm_gitindex.errors import BmGitIndexError
from bm_gitindex.watching.asking import ask
from bm_gitindex.watching.wire import told_status
from support.profile import record_figures
from support.stage import cold_meaning
from support.writers import ENVIRONMENT, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bm_gitindex import Status
    from support.vault import Vault

INTERVAL_S = 2.0
WORK_S = 300.0
"""What a watcher may take to work, however busy the machine is: no measure of anything."""
_LONGEST_INTERVAL_S = 60.0
"""A test with a longer one does not wait for it to be over."""
_ASK_S = 60.0
"""How long one may take to answer that is not suspended: no measure either."""
_LOOK_EVERY_S = 0.02
_SHOWN_OF_LOG = 2_000

UserFiles = dict[str, tuple[int, ...]]


class LiveWatcher:
    """`bm-gitindex watch` over a vault, which can be stopped, killed and started again."""

    def __init__(self, vault: Vault, log: Path, interval_s: float = INTERVAL_S) -> None:
        self.vault = vault
        self._log = log
        self._interval_s = interval_s
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait for nothing."""
        assert self._process is None
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                command(self.vault.root, "watch", "--json", "--interval", str(self._interval_s)),
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power failure would, and wait until it has gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Let it end as it does when it is asked to; return its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(WORK_S)
        self._process = None
        return code

    def leave_nothing(self) -> None:
        """End it, in whatever state it is."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def state(self) -> dict[str, Any]:
        """Return how it fares, nothing where it does not answer."""
        answer = ask(str(self.vault.state_path), "state", _ASK_S) or b""
        known: dict[str, Any] = json.loads(answer.partition(b" ")[2] or b"{}")
        return known

    def wait_until_up(self) -> None:
        """Wait until it has looked at everything once."""
        self._wait_for("the first pass", lambda: bool(self.state().get("passes")))

    def wait_until_clean(self) -> float:
        """Wait until it says that nothing differs, and has nothing to do; return how long that took.

        Nobody may write meanwhile. Fails where it says so and it is not true: an answer is given for good.
        """
        began_s = time.monotonic()
        self._wait_for("a clean status", self._is_clean)
        took_s = time.monotonic() - began_s
        differing = [change.path for change in self.vault.status().changes]
        assert differing == [], f"the watcher says that nothing differs; {self._told()}"
        return took_s

    def wait_until_heard(self, events: int) -> None:
        """Wait until it has heard of more than so many events, and looked at what they were about."""

        def is_heard() -> bool:
            state = self.state()  # and an answer is given when nothing is looked at
            return state.get("events", 0) > events and state["queue"] == 0 and self.told_status() is not None

        self._wait_for("word of what happened", is_heard)

    def wait_for_an_answer(self) -> None:
        """Wait until it answers a status, whatever it says."""
        self._wait_for("an answer", lambda: self.told_status() is not None)

    def told_status(self) -> Status | None:
        """Return the status that it gives, None where it leaves that to a full look."""
        return told_status(ask(str(self.vault.state_path), "status", _ASK_S) or b"", self.vault.root)

    def _is_clean(self) -> bool:
        # Between two answers everything that was heard before the first one is synced if nothing is queued.
        return self._says_clean() and self.state().get("queue") == 0 and self._says_clean()

    def _says_clean(self) -> bool:
        return (ask(str(self.vault.state_path), "status", _ASK_S) or b"").startswith(b"clean ")

    def _wait_for(self, what: str, is_so: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + 1.1 * min(self._interval_s, _LONGEST_INTERVAL_S) + WORK_S
        while not is_so():
            assert self._process is not None
            assert self._process.poll() is None, f"it ended with {self._process.returncode}; {self._told()}"
            assert time.monotonic() < deadline_s, f"no {what} in time; {self._told()}"
            time.sleep(_LOOK_EVERY_S)

    def _told(self) -> str:
        """Return what there is to say of it where something is wrong."""
        last_answer = ask(str(self.vault.state_path), "status", _ASK_S)
        log = self._log.read_text("utf-8", "replace")[-_SHOWN_OF_LOG:]
        return f"state {self.state()}, last answer {last_answer!r}, log ...{log}"


@contextmanager
def live_watcher(vault: Vault, folder: Path, interval_s: float = INTERVAL_S) -> Iterator[LiveWatcher]:
    """A watcher that is up, and is gone afterwards whatever happens; its log is kept in a folder."""
    watcher = LiveWatcher(vault, folder / "watch.log", interval_s)
    try:
        watcher.start()
        watcher.wait_until_up()
        yield watcher
    finally:
        watcher.leave_nothing()


def user_files(root: Path) -> UserFiles:
    """Return the stat of every file and folder outside of the state folder, but the times of the root itself."""
    found: UserFiles = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".basic-memory"]
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            st = os.lstat(path)
            found[path] = (st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    return found


def assert_holds_after(storm: str, watcher: LiveWatcher, folder: Path) -> None:
    """Assert, when nobody writes any more, that the watcher comes to know all that there is, and changes none of it."""
    vault = watcher.vault
    before = user_files(vault.root)
    took_s = watcher.wait_until_clean()
    state = watcher.state()
    assert_equals_cold_rebuild(vault, folder)
    assert user_files(vault.root) == before
    figures = {name: state[name] for name in ("passes", "syncs", "events", "missed", "questions", "doubts")}
    record_figures(f"storm: {storm}", files=len(vault.index), settled_s=round(took_s, 2), **figures)


def assert_equals_cold_rebuild(vault: Vault, folder: Path) -> None:
    """Assert that index and database say what a first sync of a copy would, and that `verify` finds nothing."""
    cold, warm = cold_meaning(vault, folder / "cold"), vault.meaning()
    shutil.rmtree(folder / "cold")
    for what, told in warm.items():
        assert told == cold[what], what
    try:
        verification = vault.project.verify()
    except BmGitIndexError as error:
        raise AssertionError(f"verify: {error}") from error
    assert (verification.mismatches, verification.pending, verification.unreadable) == ((), (), ())
    assert verification.ok
