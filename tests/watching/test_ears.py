"""What the system does not tell, or cannot, is found all the same."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from bm_gitindex.watching import agenda, ears, notifier
from support.deep import deep_folder
from support.vault import Vault
from support.watching import eventually, watching

if TYPE_CHECKING:
    from pathlib import Path

    from support.watching import Watch

WATCHES = OSError('OS file watch limit reached. about ["/x"]')
INSTANCES = WatchfilesRustInternalError("error creating recommended watcher: Too many open files (os error 24)")


def make_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ears.Ears, "_heard", lambda *_: None)


class FailingAtOnce:
    """An instance of watchfiles that fails as soon as it is asked, until it is told to be a real one."""

    failures_left = 0

    def __init__(self, *arguments: object) -> None:
        self._real = RustNotify(*arguments)  # type: ignore[arg-type]

    def watch(self, *arguments: object) -> object:
        if FailingAtOnce.failures_left:
            FailingAtOnce.failures_left -= 1
            raise WatchfilesRustInternalError("no such luck")
        return self._real.watch(*arguments)  # type: ignore[arg-type]

    def close(self) -> None:
        self._real.close()


class TestPasses:
    async def test_what_changed_while_nobody_watched_is_found_at_the_start(self, vault: Vault) -> None:
        vault.write("five.md", "five\n")
        (vault.root / "one.md").unlink()
        async with aclosing(vault.project.watch()) as reports:
            report = await anext(reports)
        assert report.sync is not None
        assert (report.reason, report.sync.added, report.sync.deleted, report.missed) == ("start", 1, 1, ())

    async def test_a_name_that_is_no_utf_8_ends_nothing(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            vault.write(os.fsdecode(b"sub/\xff.md"), "strange\n")
            await live.until(lambda: b"sub/\xff.md" in live.changed)
            await live.until(lambda: live.watcher.ears.are_open and live.is_idle)
            vault.write("sub/three.md", "changed\n")
            await live.until(lambda: b"sub/three.md" in live.changed)

    async def test_watches_that_fail_before_anybody_listens_are_noticed(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notifier, "RustNotify", FailingAtOnce)
        monkeypatch.setattr(FailingAtOnce, "failures_left", 2)
        async with watching(vault.project) as live:
            await live.until(lambda: FailingAtOnce.failures_left == 0 and live.is_idle)
            await live.until(lambda: live.watcher.ears.are_open)
            vault.write("one.md", "changed\n")
            await live.until(lambda: live.changed == {b"one.md"})
            assert live.missed == set()

    async def test_more_paths_than_are_looked_at_one_by_one_are_a_pass_that_missed_nothing(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (agenda, ears):
            monkeypatch.setattr(module, "MOST_PATHS", 20)
        async with watching(vault.project) as live:
            async with live.watcher.work:  # nothing is looked at until all is told
                for number in range(100):
                    vault.write(f"{number}.md", f"note {number}\n")
                    if number % 25 == 0:
                        await live.heard()
            await live.until(lambda: live.total == (100, 0, 0, 0))
            await live.settled()
            assert live.watcher.state.passes > 1
            assert live.missed == set()
            assert live.watcher.state.missed == 0

    async def test_what_no_event_told_of_is_said_to_be_missed_and_counted(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ears.Ears, "caught_up", nothing_is_caught_up)
        async with watching(vault.project) as live:
            make_deaf(monkeypatch)
            vault.write("one.md", "changed\n")
            vault.write("five.md", "five\n")
            live.watcher.note_foreign_change("a test wants it")
            await live.until(lambda: live.reports)
            (report,) = live.reports
            assert report.reason == "a test wants it"
            assert set(report.missed) == {b"one.md", b"five.md"}
            assert live.watcher.state.missed == 2

    async def test_what_was_held_when_a_pass_came_is_not_missed(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            (vault.root / "one.md").unlink()
            await live.heard()
            for path in ("two.md", "sub/three.md", "sub/deep/four.md"):
                vault.write(path, "changed\n")
                await live.until(lambda path=path: path.encode() in live.changed)  # type: ignore[misc]
            live.watcher.note_foreign_change("a test wants it")
            await live.until(lambda: b"one.md" in live.changed)
            assert live.missed == set()


class TestIgnoreRules:
    async def test_rules_that_are_changed_hold_for_files_that_were_not(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            vault.write(".gitignore", "two.md\nsub/deep/\n")
            await live.until(lambda: live.total == (0, 0, 2, 0))
            await live.settled()
            live.reports.clear()
            vault.write(".gitignore", "two.md\n")
            await live.until(lambda: live.changed == {b"sub/deep/four.md"})
            await live.settled()
            vault.write("sub/deep/four.md", "changed\n")
            await live.until(lambda: live.total == (1, 1, 0, 0))
            (vault.root / ".gitignore").unlink()
            await live.until(lambda: live.total == (2, 1, 0, 0))
            assert live.missed == set()

    async def test_rules_in_a_folder_hold_there(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            vault.write("sub/.gitignore", "*.md\n")
            await live.until(lambda: live.total == (0, 0, 2, 0))
            vault.write("sub/new.md", "ignored\n")
            await live.settled()
            assert live.total == (0, 0, 2, 0)


@pytest.mark.usefixtures("polls_often")
class TestLimits:
    @pytest.mark.parametrize(
        ("error", "limit"),
        [(WATCHES, "fs.inotify.max_user_watches"), (INSTANCES, "fs.inotify.max_user_instances")],
    )
    async def test_where_the_system_admits_no_more_files_are_polled_and_the_limit_is_named(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch, error: Exception, limit: str
    ) -> None:
        monkeypatch.setattr(notifier, "RustNotify", raising(error))
        async with watching(vault.project) as live:
            assert live.watcher.is_polling
            assert [limit in note for note in live.watcher.state.notes] == [True]
            vault.write("sub/three.md", "changed\n")
            await live.until(lambda: live.changed == {b"sub/three.md"})
            assert live.missed == set()

    async def test_a_limit_that_is_met_later_on_has_files_polled_from_then_on(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with watching(vault.project) as live:
            assert not live.watcher.is_polling
            monkeypatch.setattr(notifier, "RustNotify", raising(WATCHES))
            vault.write("new/five.md", "five\n")
            await live.until(lambda: live.watcher.is_polling)
            vault.write("sub/three.md", "changed\n")
            vault.write("new/six.md", "six\n")
            await live.until(lambda: live.changed == {b"new/five.md", b"new/six.md", b"sub/three.md"})

    async def test_a_folder_whose_name_is_no_utf_8_has_files_polled(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with watching(vault.project) as live:
            strange = vault.write(os.fsdecode(b"\xfe/five.md"), "five\n")
            await live.until(lambda: live.watcher.is_polling and b"\xfe/five.md" in live.changed)
            assert ["not UTF-8" in note for note in live.watcher.state.notes] == [True]
            live.reports.clear()
            strange.write_text("changed\n")
            vault.write("sub/three.md", "changed\n")
            await live.until(lambda: live.changed == {b"sub/three.md", b"\xfe/five.md"})

    async def test_a_project_below_a_folder_whose_name_is_no_utf_8_is_polled(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault = Vault(tmp_path / os.fsdecode(b"vault \xff"))
        async with watching(vault.project) as live:
            assert live.watcher.is_polling
            vault.write("five.md", "five\n")
            await live.until(lambda: live.changed == {b"five.md"})


async def test_a_folder_with_a_path_beyond_the_systems_limit_is_asked_for(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bm_gitindex.watching.watcher._POLL_FOLDERS_S", 0.1)
    with deep_folder(vault.root, 20) as folder_fd:
        note_fd = os.open("deep.md", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder_fd)
    async with watching(vault.project) as live:
        assert not live.watcher.is_polling
        assert live.watcher.ears.polled
        os.write(note_fd, b"changed\n")
        os.close(note_fd)
        await live.until(lambda: len(live.changed) == 1)
        assert live.missed == set()


class TestCookies:
    async def test_a_cookie_is_heard_and_leaves_nothing_behind(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            tokens = [await live.watcher.ears.caught_up(30) for _ in range(5)]
            assert None not in tokens
            assert len(set(tokens)) == 5
            assert os.listdir(vault.project.state.cookies) == []
            assert live.watcher.agenda.unsettled == set()

    async def test_what_another_watcher_has_left_is_removed_and_nothing_else(self, vault: Vault) -> None:
        for name in ("4711-1f2e3d-1", "a user's own.md", "4711-1f2e3d-1.md"):
            vault.write(f".basic-memory/cookies/{name}", "")
        async with watching(vault.project):
            assert set(os.listdir(vault.project.state.cookies)) == {"a user's own.md", "4711-1f2e3d-1.md"}

    @pytest.mark.parametrize("kind", ["link", "dangling link", "link to a file", "pipe", "file"])
    async def test_what_stands_in_the_place_of_the_folder_gives_way_and_leads_nowhere(
        self, vault: Vault, kind: str
    ) -> None:
        outside = vault.root.parent / "outside"
        outside.mkdir()
        (outside / "4711-1f2e3d-1").write_text("precious")
        place = vault.project.state.cookies
        match kind:
            case "pipe":
                os.mkfifo(place)
            case "file":
                place.touch()
            case _:
                place.symlink_to(outside / {"link": "", "dangling link": "gone"}.get(kind, "4711-1f2e3d-1"))
        async with watching(vault.project) as live:
            vault.write("one.md", "changed\n")
            await live.until(lambda: live.changed == {b"one.md"})
            assert await live.watcher.ears.caught_up(30) is not None
        assert (outside / "4711-1f2e3d-1").read_text() == "precious"
        assert os.listdir(outside) == ["4711-1f2e3d-1"]
        assert (place.is_symlink(), place.is_dir()) == (False, True)

    async def test_a_folder_that_a_link_takes_the_place_of_is_not_written_through(self, vault: Vault) -> None:
        outside = vault.root.parent / "outside"
        outside.mkdir()
        async with watching(vault.project) as live:
            vault.project.state.cookies.rmdir()
            vault.project.state.cookies.symlink_to(outside)
            before = outside.stat().st_mtime_ns
            assert await live.watcher.ears.caught_up(30) is None
            await live.until(lambda: live.watcher.ears.are_open and live.is_idle)
            assert await live.watcher.ears.caught_up(30) is not None
        assert outside.stat().st_mtime_ns == before

    async def test_a_folder_of_cookies_that_is_removed_comes_again(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            vault.project.state.cookies.rmdir()
            assert await live.watcher.ears.caught_up(30) is None
            await live.until(lambda: live.watcher.ears.are_open and live.is_idle)
            assert await live.watcher.ears.caught_up(30) is not None

    async def test_cookies_that_are_not_heard_of_again_and_again_have_everything_watched_anew(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with watching(vault.project) as live:
            with monkeypatch.context() as deaf:
                make_deaf(deaf)
                for _ in range(3):
                    assert await live.watcher.ears.caught_up(0.01) is None
                assert not live.watcher.ears.are_open
            await live.until(lambda: live.watcher.ears.are_open and live.is_idle)
            assert await live.watcher.ears.caught_up(30) is not None


async def test_a_watcher_that_is_cancelled_while_watches_are_made_leaves_none(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, opened = notifier._opened, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(folders: list[str]) -> object:
        system = real(folders)
        loop.call_soon_threadsafe(opened.set)
        time.sleep(0.2)  # while the watcher is cancelled
        return system

    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(notifier, "_opened", slow)
    task = asyncio.ensure_future(anext(vault.project.watch()))
    await opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: all("events" not in thread.name for thread in threading.enumerate()))
    await eventually(lambda: set(os.listdir("/proc/self/fd")) <= before)


async def test_no_thread_is_left_when_a_watcher_has_ended(vault: Vault) -> None:
    async with watching(vault.project) as live:
        vault.write("new/five.md", "five\n")
        await live.until(lambda: live.reports)
        await live.settled()
    await eventually(lambda: all("events" not in thread.name for thread in threading.enumerate()))


async def nothing_is_caught_up(*_: object) -> None:
    return None


def raising(error: Exception) -> object:
    def refuse(*_: object) -> None:
        raise error

    return refuse


async def test_folders_that_were_swapped_unheard_are_heard_after_a_pass_that_missed_them(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.write("a/five.md", "five\n")
    vault.write("b/six.md", "six\n")
    async with watching(vault.project) as live:
        make_deaf(monkeypatch)
        monkeypatch.setattr(ears.Ears, "caught_up", nothing_is_caught_up)
        for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
            (vault.root / old).rename(vault.root / new)
        live.watcher.note_foreign_change("a test wants it")
        await live.until(lambda: live.missed)
        monkeypatch.undo()
        await live.until(lambda: live.watcher.ears.are_open and live.is_idle)
        live.reports.clear()
        vault.write("a/six.md", "changed\n")
        vault.write("b/five.md", "changed too\n")
        await live.settled()
        assert live.changed == {b"a/six.md", b"b/five.md"}


class TestPace:
    """Events are looked for often while more are expected, and seldom again afterwards."""

    async def test_it_is_calm_again_when_nothing_has_happened_for_a_while(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ears, "ALERT_S", 0.05)
        async with watching(vault.project) as live:
            await live.heard()
            assert of_ears(live).alert_until_s > 0
            await eventually(lambda: live.watcher.ears._calming is None)
            assert of_ears(live)._pace() == (notifier._CALM_STEP_MS, notifier._CALM_GATHER_MS)
            vault.write("one.md", "changed\n")  # and is heard all the same
            await live.until(lambda: live.changed == {b"one.md"})

    async def test_it_stays_alert_where_watches_are_replaced(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            await live.heard()
            until_s = of_ears(live).alert_until_s
            await live.watcher.ears.arm({b"", b"sub"})
            assert of_ears(live).alert_until_s == until_s > 0

    async def test_it_is_calm_where_watches_are_made_anew(self, vault: Vault) -> None:
        """Nobody would calm it: an event does that, or the timer that is gone with the old watches."""
        async with watching(vault.project) as live:
            await live.heard()
            await live.watcher.ears.close()
            await live.watcher.ears.arm({b"", b"sub"})
            assert of_ears(live).alert_until_s == 0


def of_ears(live: Watch) -> notifier.Notifier:
    watched = live.watcher.ears._notifier
    assert watched is not None
    return watched
