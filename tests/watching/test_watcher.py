from __future__ import annotations

import ctypes
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

import bm_gitindex as bmg
from bm_gitindex.watching import pulse, watcher
from support.watching import eventually, watching

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.vault import Vault

MODIFIED_ONCE = [(0, 1, 0, 0)]
_AT_FDCWD = -100
_EXCHANGE = 2


def in_place(file: Path) -> None:
    with open(file, "r+b") as opened:
        opened.write(b"another text")


def truncated(file: Path) -> None:
    with open(file, "wb") as opened:
        opened.flush()
        os.fsync(opened.fileno())
        opened.write(b"another text\n")


def renamed_over(file: Path) -> None:
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text("another text\n")
    temporary.rename(file)


def renamed_over_by_a_name_of_no_mark(file: Path) -> None:
    temporary = file.with_name(f"goutputstream-{file.name}")
    temporary.write_text("another text\n")
    temporary.rename(file)


def as_vim_does(file: Path) -> None:
    backup = file.with_name(f"{file.name}~")
    file.rename(backup)
    file.write_text("another text\n")
    backup.unlink()


def as_vim_does_at_first(file: Path) -> None:
    probe = file.with_name("4913")
    probe.touch()
    probe.unlink()
    as_vim_does(file)


def appended(file: Path) -> None:
    for line in ("more\n", "and more\n"):
        with open(file, "a") as opened:
            opened.write(line)


def deleted_and_written(file: Path) -> None:
    file.unlink()
    file.write_text("another text\n")


def swapped(one: Path, other: Path) -> None:
    """Swap two paths in one step, where the system can; else in three."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(one), os.fsencode(other))
    if not hasattr(libc, "renameat2") or libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE):
        aside = one.with_name(f".{one.name}.aside")
        one.rename(aside)
        other.rename(one)
        aside.rename(other)


def verified(vault: Vault) -> bool:
    found = vault.project.verify()
    return found.ok and not found.pending


class TestSaving:
    @pytest.mark.parametrize(
        "save",
        [
            in_place,
            truncated,
            renamed_over,
            renamed_over_by_a_name_of_no_mark,
            as_vim_does,
            as_vim_does_at_first,
            appended,
            deleted_and_written,
        ],
    )
    async def test_each_way_of_saving_is_one_report_of_one_modified_file(
        self, vault: Vault, save: Callable[[Path], None]
    ) -> None:
        ids = vault.ids()
        async with watching(vault.project) as live:
            save(vault.root / "sub/three.md")
            await live.until(lambda: live.reports)
            await live.settled()
            assert live.counts == MODIFIED_ONCE
            assert live.changed == {b"sub/three.md"}
            assert live.missed == set()
        assert vault.ids() == ids
        assert verified(vault)

    async def test_two_files_that_are_swapped_are_stored_each_with_what_it_has_now(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            async with live.watcher.work:  # nothing is looked at until all is told
                swapped(vault.root / "one.md", vault.root / "two.md")
                await live.heard()
            await live.until(lambda: live.reports)
            await live.settled()
            assert live.changed == {b"one.md", b"two.md"}
            assert len(live.reports) == 1
        assert verified(vault)

    @pytest.mark.usefixtures("young_for_ever")
    async def test_one_batch_is_one_sync_of_what_changed_alone(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            async with live.watcher.work:  # nothing is looked at until all is told
                vault.write("one.md", "changed\n")
                vault.write("five.md", "five\n")
                (vault.root / "two.md").unlink()
                await live.heard()
            await live.until(lambda: live.reports)
            (report,) = live.reports
            assert report.sync is not None
            assert report.reason == ""
            assert report.sync.counters.files_seen == 2
            assert set(report.paths) == {b"one.md", b"five.md", b"two.md"}
            assert live.total == (1, 1, 1, 0)
        assert verified(vault)

    async def test_what_is_left_out_or_the_same_as_before_is_no_report(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            vault.write("sub/.three.md.swp", "editor's own\n")
            vault.write("one.md", "one\n")
            os.utime(vault.root / "two.md")
            await live.settled()
            assert live.reports == []
        assert verified(vault)

    async def test_a_young_file_is_settled_once_it_is_old_enough(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            vault.write("one.md", "a text that was written just now\n")
            await live.until(lambda: live.reports)
            await live.until(lambda: vault.index[b"one.md"].stat.size)
            assert live.counts == MODIFIED_ONCE
        assert verified(vault)


class TestMoves:
    async def test_a_rename_is_one_move_of_the_same_entity(self, vault: Vault) -> None:
        ids = vault.ids()
        async with watching(vault.project) as live:
            (vault.root / "one.md").rename(vault.root / "sub/renamed.md")
            await live.until(lambda: live.reports)
            await live.settled()
            assert live.counts == [(0, 0, 0, 1)]
        assert vault.ids()["sub/renamed.md"] == ids["one.md"]
        assert verified(vault)

    @pytest.mark.usefixtures("held_for_ever")
    async def test_a_deletion_and_a_later_addition_are_one_move_of_the_same_entity(self, vault: Vault) -> None:
        ids, content = vault.ids(), (vault.root / "one.md").read_bytes()
        async with watching(vault.project) as live:
            (vault.root / "one.md").unlink()
            await live.heard()
            await live.until(lambda: live.watcher.agenda._held)
            vault.write("sub/moved.md", content)
            await live.until(lambda: live.reports)
            assert live.counts == [(0, 0, 0, 1)]
        assert vault.ids()["sub/moved.md"] == ids["one.md"]
        assert verified(vault)

    async def test_a_deletion_that_nothing_follows_is_reported(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            (vault.root / "one.md").unlink()
            await live.until(lambda: live.reports)
            assert live.counts == [(0, 0, 1, 0)]
            assert live.missed == set()
        assert verified(vault)

    @pytest.mark.usefixtures("held_for_ever")
    async def test_an_addition_that_is_heard_of_just_before_a_look_still_makes_a_move(self, vault: Vault) -> None:
        ids, content = vault.ids(), (vault.root / "one.md").read_bytes()
        async with watching(vault.project) as live:
            watcher = live.watcher
            (vault.root / "one.md").unlink()
            await live.until(lambda: b"one.md" in watcher.agenda.unsettled)
            await live.heard()
            await live.until(lambda: not watcher.agenda._changed)
            vault.write("two.md", "changed\n")
            async with watcher.work:  # as a question does
                await live.heard()
                await live.until(lambda: watcher.work._waiters)
                vault.write("sub/moved.md", content)
                await live.heard()
            await live.until(lambda: b"sub/moved.md" in live.changed)
            assert live.total == (0, 1, 0, 1)
        assert vault.ids()["sub/moved.md"] == ids["one.md"]


class TestFolders:
    async def test_a_new_folder_is_looked_at_whatever_was_made_in_it_before_it_was_watched(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            vault.write("new/deep/deeper/five.md", "five\n")
            vault.write("new/six.md", "six\n")
            await live.until(lambda: live.changed == {b"new/deep/deeper/five.md", b"new/six.md"})
            await live.settled()
            vault.write("new/deep/deeper/seven.md", "seven\n")
            await live.until(lambda: b"new/deep/deeper/seven.md" in live.changed)
            assert live.missed == set()
            assert live.watcher.state.passes == 1
        assert verified(vault)

    async def test_a_folder_that_is_renamed_takes_its_entities_along_and_is_heard_afterwards(
        self, vault: Vault
    ) -> None:
        ids = vault.ids()
        async with watching(vault.project) as live:
            (vault.root / "sub").rename(vault.root / "bus")
            await live.until(lambda: live.total == (0, 0, 0, 2))
            await live.settled()
            vault.write("bus/deep/four.md", "changed in its new place\n")
            await live.until(lambda: live.total == (0, 1, 0, 2))
            assert live.watcher.state.passes == 1
        assert vault.ids()["bus/deep/four.md"] == ids["sub/deep/four.md"]
        assert verified(vault)

    async def test_folders_that_are_swapped_are_heard_afterwards(self, vault: Vault) -> None:
        vault.write("bus/five.md", "five\n")
        async with watching(vault.project) as live:
            swapped(vault.root / "sub", vault.root / "bus")
            await live.until(lambda: {b"bus/three.md", b"sub/five.md"} <= live.changed)
            await live.settled()
            live.reports.clear()
            vault.write("sub/five.md", "changed after the swap\n")
            await live.until(lambda: live.changed == {b"sub/five.md"})
            vault.write("bus/deep/four.md", "changed after the swap\n")
            await live.until(lambda: live.changed == {b"sub/five.md", b"bus/deep/four.md"})
            assert live.watcher.state.passes == 1
        assert verified(vault)

    async def test_a_folder_that_is_removed_with_all_in_it_takes_its_entities_along(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            for file in ("sub/deep/four.md", "sub/three.md"):
                (vault.root / file).unlink()
            (vault.root / "sub/deep").rmdir()
            (vault.root / "sub").rmdir()
            await live.until(lambda: live.total == (0, 0, 2, 0))
        assert verified(vault)

    async def test_a_folder_that_comes_again_under_its_name_is_heard(self, vault: Vault) -> None:
        async with watching(vault.project) as live:
            (vault.root / "sub/deep/four.md").unlink()
            (vault.root / "sub/deep").rmdir()
            vault.write("sub/deep/four.md", "another one\n")
            await live.until(lambda: live.total == (0, 1, 0, 0))
            await live.settled()
            vault.write("sub/deep/five.md", "five\n")
            await live.until(lambda: live.total == (1, 1, 0, 0))
            assert live.watcher.state.passes == 1
        assert verified(vault)

    @pytest.mark.usefixtures("young_for_ever")
    @pytest.mark.parametrize("beside", ["rules", "configuration", "hard link", "pass", "folder above", "failure"])
    async def test_a_folder_that_is_replaced_is_heard_whatever_else_happens(self, vault: Vault, beside: str) -> None:
        async with watching(bmg.Project(vault.root)) as live:
            async with live.watcher.work:
                replaced = vault.root / ("sub" if beside == "folder above" else "sub/deep")
                shutil.copytree(replaced, vault.root / "copy")
                replaced.rename(vault.root.parent / "aside")
                (vault.root / "copy").rename(replaced)
                match beside:
                    case "rules":
                        vault.write(".gitignore", "*.tmp\n")
                    case "configuration":
                        vault.write(".basic-memory/config.toml", 'ignore = ["two.md"]\n')
                    case "hard link":
                        (vault.root / "three.md").hardlink_to(vault.root / "one.md")
                    case "pass":
                        live.watcher.note_foreign_change("a test wants it")
                    case "failure":
                        vault.database_path.rename(vault.root.parent / "database")
                        vault.database_path.mkdir()
                await live.heard()
            if beside == "failure":
                await live.until(lambda: live.watcher.state.failures)
                vault.database_path.rmdir()
                (vault.root.parent / "database").rename(vault.database_path)
            await live.settled()
            live.reports.clear()
            passes = live.watcher.state.passes
            vault.write("sub/deep/four.md", "changed in the new folder\n")
            await live.until(lambda: b"sub/deep/four.md" in live.changed)
            assert live.watcher.state.passes == passes


@pytest.mark.usefixtures("young_for_ever")
class TestIgnored:
    async def test_a_file_that_comes_again_while_its_deletion_is_synced_is_not_taken_for_an_ignored_one(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real: Any = vars(watcher)["sync"]

        async def overtaken(*arguments: Any) -> bmg.SyncReport:
            report: bmg.SyncReport = await real(*arguments)
            if report.deleted:
                vault.write("two.md", "here again\n")
            return report

        async with watching(vault.project) as live:
            monkeypatch.setattr(watcher, "sync", overtaken)
            (vault.root / "two.md").unlink()
            await live.until(lambda: live.total == (1, 0, 1, 0))
            await live.settled()
            vault.write("two.md", "and changed\n")
            await live.until(lambda: live.total == (1, 1, 1, 0))
        assert verified(vault)

    async def test_what_was_ignored_in_a_folder_is_not_in_the_one_that_takes_its_name(self, vault: Vault) -> None:
        for path in ("a/n.md", "b/n.md"):
            vault.write(path, "text\n")
        vault.write("a/.gitignore", "n.md\n")
        async with watching(vault.project) as live:
            vault.write("a/n.md", "ignored\n")
            await live.settled()
            (vault.root / "a").rename(vault.root / "c")
            (vault.root / "b").rename(vault.root / "a")
            await live.until(lambda: b"a/n.md" in live.changed)
            await live.settled()
            live.reports.clear()
            vault.write("a/n.md", "not ignored\n")
            await live.until(lambda: live.changed == {b"a/n.md"})
            assert live.watcher.state.passes == 1
        assert verified(vault)

    async def test_a_log_that_is_ignored_is_looked_at_once(self, vault: Vault) -> None:
        vault.write(".gitignore", "*.log\n")
        vault.write("big.log", "")
        async with watching(vault.project) as live:
            for _ in range(3):
                vault.write("big.log", "a line\n")
                await live.settled()
            syncs = live.watcher.state.syncs
            vault.write("big.log", "another line\n")
            await live.settled()
            assert live.watcher.state.syncs == syncs


class TestConfiguration:
    @pytest.mark.usefixtures("young_for_ever")
    async def test_a_configuration_that_is_changed_while_nothing_happens_is_noticed(self, vault: Vault) -> None:
        async with watching(bmg.Project(vault.root)) as live:
            vault.write(".basic-memory/config.toml", 'ignore = ["two.md"]\n')
            await live.until(lambda: live.changed == {b"two.md"})
            assert live.reports[0].reason == "the configuration was changed"

    async def test_a_configuration_that_is_changed_holds_from_the_next_look_on(self, vault: Vault) -> None:
        async with watching(bmg.Project(vault.root)) as live:
            vault.write(".basic-memory/config.toml", 'ignore = ["two.md"]\n')
            vault.write("one.md", "changed\n")
            await live.until(lambda: live.changed == {b"one.md", b"two.md"})
            assert live.reports[0].reason == "the configuration was changed"

    async def test_a_configuration_that_cannot_be_used_is_told_once_and_nothing_is_certain_until_it_is_mended(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bm_gitindex.watching.watcher._LONGEST_RETRY_S", 0.01)
        async with watching(bmg.Project(vault.root)) as live:
            config = vault.write(".basic-memory/config.toml", "no option = 1\n")
            vault.write("one.md", "changed\n")
            await live.until(lambda: live.watcher.state.failures >= 3)
            assert [report.sync for report in live.reports] == [None]
            assert str(config) in live.reports[0].error
            assert not live.watcher.is_certain
            config.write_text("")
            await live.until(lambda: live.changed == {b"one.md"})
            assert live.watcher.is_certain


class TestErrors:
    @pytest.mark.usefixtures("young_for_ever")
    async def test_an_error_is_a_report_and_what_was_due_is_done_later(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bm_gitindex.watching.watcher._LONGEST_RETRY_S", 0.01)
        async with watching(vault.project) as live:
            aside = vault.root.with_name("aside")
            database = vault.database_path
            database.rename(aside)
            database.mkdir()
            vault.write("one.md", "changed\n")
            await live.until(lambda: live.watcher.state.failures > 1)
            assert [report.sync for report in live.reports] == [None]
            assert live.reports[0].paths == (b"one.md",)
            database.rmdir()
            aside.rename(database)
            await live.until(lambda: live.changed == {b"one.md"})
            await eventually(lambda: live.watcher.is_certain)
            assert live.watcher.state.missed == 0  # it was told of before the failures
        assert verified(vault)


async def test_the_library_yields_what_was_done_until_the_caller_breaks_off(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "MOST_LATE_S", float("inf"))  # a busy machine is no reason for a pass
    vault.write("five.md", "five\n")
    seen = []
    async for report in bmg.watch(vault.root):
        assert report.sync is not None
        seen.append((report.reason, report.sync.added))
        if len(seen) == 2:
            break
        vault.write("six.md", "six\n")
    assert seen == [("start", 1), ("", 1)]
