"""A watcher's answer is what a look at every file would find, or there is none."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

import bm_gitindex as bmg
from bm_gitindex import cli, filesystem, front
from bm_gitindex.changes import ChangeStatus
from bm_gitindex.statefolder import stamp
from bm_gitindex.watching import agenda, answers, asking, serving
from support.vault import Vault
from support.watching import eventually_without_loop, watching

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOREVER_S = 1e6
FORMATS = (
    (),
    ("--porcelain",),
    ("-z",),
    ("--porcelain", "-z"),
    ("--json",),
    ("--exit-code",),
    ("--porcelain", "--exit-code"),
    ("--paranoid",),
)


class Asked:
    """Commands run in this process as the program runs them, and how often every file was looked at."""

    def __init__(self, vault: Vault, capture: pytest.CaptureFixture[bytes], patch: pytest.MonkeyPatch) -> None:
        self._vault = vault
        self._capture = capture
        self.looks = 0
        look = bmg.Project.status

        def counted(project: bmg.Project, *arguments: Any) -> bmg.Status:
            self.looks += 1
            return look(project, *arguments)

        patch.setattr(bmg.Project, "status", counted)

    async def __call__(self, *flags: str) -> tuple[int, object]:
        """Return the exit code and what was said of the project, without what it cost."""
        return await asyncio.to_thread(self._run, ["-C", str(self._vault.root), "status", *flags])

    def _run(self, line: list[str]) -> tuple[int, object]:
        argv = front.still_asked(line)
        code = 0 if argv is None else cli.main(argv)
        output, errors = self._capture.readouterr()
        if "--json" not in line:
            return code, (output, errors)
        told = json.loads(output)
        return code, {name: told[name] for name in ("root", "changes", "skipped")}

    async def told(self, *flags: str) -> tuple[int, object]:
        """Return what the watcher says: nothing was looked at for it."""
        self.looks = 0
        answer = await self(*flags)
        assert self.looks == 0
        return answer

    async def left(self, *flags: str) -> tuple[int, object]:
        """Return what a look at every file says, since the watcher left it to that."""
        self.looks = 0
        answer = await self(*flags)
        assert self.looks == 1
        return answer


@pytest.fixture
def asked(
    vault: Vault, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, young_for_ever: None
) -> Asked:
    """Questions, with patience however busy this machine is."""
    monkeypatch.setattr(asking.ask, "__defaults__", (30.0,))
    monkeypatch.setattr(answers, "_CATCH_UP_S", 30.0)
    monkeypatch.setattr(answers, "_BUSY_S", 30.0)
    return Asked(vault, capfdbinary, monkeypatch)


@pytest.fixture
def nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is heard stays unsettled."""
    for name in ("QUIET_S", "LONGEST_S", "HELD_S"):
        monkeypatch.setattr(agenda, name, FOREVER_S)


def nothing(vault: Vault) -> None:
    pass


def edit(vault: Vault) -> None:
    vault.write("one.md", "changed\n")
    vault.write("sub/three.md", "changed too\n")
    vault.write("new/deep/five.md", "five\n")


def delete(vault: Vault) -> None:
    (vault.root / "one.md").unlink()


def delete_folder(vault: Vault) -> None:
    (vault.root / "sub/deep/four.md").unlink()
    (vault.root / "sub/deep").rmdir()


def move(vault: Vault) -> None:
    (vault.root / "one.md").rename(vault.root / "sub/moved \u00e9.md")


def move_folder(vault: Vault) -> None:
    (vault.root / "sub").rename(vault.root / "bus")


def link(vault: Vault) -> None:
    (vault.root / "link.md").symlink_to("one.md")
    (vault.root / "sub/pipe.md").unlink(missing_ok=True)
    os.mkfifo(vault.root / "sub/pipe.md")


def link_and_edit(vault: Vault) -> None:
    link(vault)
    edit(vault)


def touch(vault: Vault) -> None:
    os.utime(vault.root / "one.md")


CHANGES = (nothing, edit, delete, delete_folder, move, move_folder, link, link_and_edit, touch)


async def assert_the_same(asked: Asked) -> None:
    for flags in FORMATS:
        if "--paranoid" in flags:
            found = await asked(*flags)
        else:
            found = await asked.told(*flags)
        by_look = tuple(flag for flag in flags if flag != "--paranoid")
        assert found == await asked.left("--no-daemon", *by_look), flags


class TestSameAnswer:
    @pytest.mark.parametrize("change", CHANGES)
    async def test_what_is_heard_and_not_looked_at_yet_is_in_the_answer(
        self, vault: Vault, asked: Asked, nothing_is_looked_at: None, change: Callable[[Vault], None]
    ) -> None:
        async with watching(vault.project) as live:
            change(vault)
            await assert_the_same(asked)
            assert live.watcher.state.syncs == 1
            assert live.watcher.state.questions >= len(FORMATS)
            assert live.watcher.state.doubts == 0

    @pytest.mark.parametrize("change", CHANGES)
    async def test_what_was_looked_at_is_in_the_answer_no_more(
        self, vault: Vault, asked: Asked, change: Callable[[Vault], None]
    ) -> None:
        async with watching(vault.project) as live:
            change(vault)
            await live.settled()
            await assert_the_same(asked)
            code, told = await asked.told("--json")
            assert isinstance(told, dict)
            assert (code, told["changes"]) == (0, [])

    @pytest.mark.usefixtures("held_for_ever")
    async def test_a_deletion_that_is_held_is_in_the_answer(self, vault: Vault, asked: Asked) -> None:
        async with watching(vault.project) as live:
            delete(vault)
            await live.heard()
            await live.until(lambda: live.watcher.agenda._held)
            assert await asked.told("--porcelain") == (0, (b"D\tone.md\n", b""))
            await assert_the_same(asked)

    async def test_what_is_passed_over_is_in_the_answer_until_it_is_gone(self, vault: Vault, asked: Asked) -> None:
        async with watching(vault.project) as live:
            link(vault)
            await live.settled()
            assert list(live.watcher.skipped) == [b"link.md", b"sub/pipe.md"]
            await assert_the_same(asked)
            (vault.root / "link.md").unlink()
            await assert_the_same(asked)
            await live.settled()
            await assert_the_same(asked)
            assert list(live.watcher.skipped) == [b"sub/pipe.md"]

    async def test_a_question_misses_nothing_that_is_due_while_another_one_is_answered(
        self, vault: Vault, asked: Asked
    ) -> None:
        async with watching(vault.project) as live:
            work = live.watcher.work
            async with work:
                vault.write("one.md", "changed\n")
                question = asyncio.create_task(answers.Answers(live.watcher).status())
                await live.until(lambda: work._waiters)
                await live.until(lambda: work._waiters and len(work._waiters) == 2)  # the watcher comes next
            found = await question
            assert isinstance(found, answers.Answer)
            assert [change.path for change in found.status.changes] == [b"one.md"]


class TestDoubt:
    async def test_other_options_than_those_of_the_configuration_are_a_doubt(self, vault: Vault, asked: Asked) -> None:
        async with watching(bmg.Project(vault.root, bmg.Options(ignore=("*.foo",)))):
            vault.write("five.foo", "five\n")
            assert await asked.left("--porcelain") == (0, (b"A\tfive.foo\n", b""))
            vault.write(".basic-memory/config.toml", "no option = 1\n")
            code, _ = await asked("--porcelain")
            assert code == 2

    async def test_the_options_of_the_configuration_are_none_though_they_were_given(
        self, vault: Vault, asked: Asked
    ) -> None:
        async with watching(bmg.Project(vault.root, bmg.Options(ignore=("*.foo",)))) as live:
            vault.write(".basic-memory/config.toml", 'ignore = ["*.foo"]\n')
            await live.settled()
            assert await asked.told("--porcelain") == (0, (b"", b""))

    async def test_a_mount_is_a_doubt_until_everything_was_looked_at(
        self, vault: Vault, asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        table = tmp_path / "mounts"
        elsewhere = f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 1 8:1 / {vault.root}2 rw - ext4 /dev/sda1 rw\n"
        table.write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
        monkeypatch.setattr(filesystem, "_MOUNT_TABLE", str(table))
        async with watching(vault.project) as live:
            passes = live.watcher.state.passes
            table.write_text(elsewhere)
            assert await asked.told("--porcelain") == (0, (b"", b""))
            async with live.watcher.work:
                table.write_text(elsewhere + f"24 1 0:2 / {vault.root}/sub rw - tmpfs none rw\n")
                assert "pass" in answers.Answers(live.watcher)._doubt()
            await live.until(lambda: live.watcher.state.passes == passes + 1 and live.is_idle)
            assert await asked.told("--porcelain") == (0, (b"", b""))
            table.write_text(elsewhere)
            await live.until(lambda: live.watcher.state.passes == passes + 2)

    async def test_rules_that_have_just_been_changed_are_a_doubt(
        self, vault: Vault, asked: Asked, nothing_is_looked_at: None
    ) -> None:
        async with watching(vault.project):
            vault.write("sub/.gitignore", "deep/\n")
            assert await asked.left("--porcelain") == (0, (b"D\tsub/deep/four.md\n", b""))

    async def test_an_index_that_another_sync_has_changed_is_a_doubt_until_the_next_pass(
        self, vault: Vault, asked: Asked, nothing_is_looked_at: None
    ) -> None:
        async with watching(vault.project) as live:
            vault.write("one.md", "changed\n")
            await vault.project.sync()
            assert await asked.left("--porcelain") == (0, (b"", b""))
            await live.until(lambda: live.watcher.is_certain and live.is_idle)
            assert await asked.told("--porcelain") == (0, (b"", b""))
            assert live.watcher.state.passes == 2

    async def test_a_configuration_that_was_changed_is_a_doubt(
        self, vault: Vault, asked: Asked, nothing_is_looked_at: None
    ) -> None:
        async with watching(bmg.Project(vault.root)) as live:
            vault.write(".basic-memory/config.toml", 'ignore = ["two.md"]\n')
            assert await asked.left("--porcelain") == (0, (b"D\ttwo.md\n", b""))
            await live.until(lambda: live.changed == {b"two.md"} and live.is_idle)
            assert await asked.told("--porcelain") == (0, (b"", b""))

    async def test_a_watcher_of_another_version_is_a_doubt(
        self, vault: Vault, asked: Asked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with watching(vault.project) as live:
            monkeypatch.setattr(serving, "VERSION", "0.0.1")
            vault.write("one.md", "changed\n")
            await asked.left("--porcelain")
            assert live.watcher.state.questions == 0

    async def test_a_socket_that_nobody_listens_at_is_a_doubt(self, vault: Vault, asked: Asked) -> None:
        with socket.socket(socket.AF_UNIX) as left_over:
            folder_fd = os.open(vault.state_path, os.O_RDONLY)
            left_over.bind(asking.socket_address(folder_fd, str(vault.state_path)))
            os.close(folder_fd)
        vault.write("one.md", "changed\n")
        assert await asked.left("--porcelain") == (0, (b"M\tone.md\n", b""))
        async with watching(vault.project) as live:  # and is no hindrance to the next watcher
            assert live.watcher.state.notes == []
            assert await asked.told("--porcelain") == (0, (b"", b""))

    @pytest.mark.parametrize("content", [b"", b"clean\n", b"clean x y\n", b"status a {\n", b"\xff\n", b"status\n"])
    async def test_an_answer_that_makes_no_sense_is_a_doubt(self, vault: Vault, asked: Asked, content: bytes) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(content)
            writer.close()

        folder_fd = os.open(vault.state_path, os.O_RDONLY)
        server = await asyncio.start_unix_server(answer, asking.socket_address(folder_fd, str(vault.state_path)))
        os.close(folder_fd)
        vault.write("one.md", "changed\n")
        async with server:
            assert (await asked.left("--porcelain"))[1] == (b"M\tone.md\n", b"")
            assert (await asked.left("--json"))[0] == 0

    async def test_a_state_folder_of_another_user_is_never_asked(
        self, vault: Vault, asked: Asked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with watching(vault.project) as live:
            await asked.told()
            questions = live.watcher.state.questions
            user = os.geteuid()
            with monkeypatch.context() as stranger:
                stranger.setattr(os, "geteuid", lambda: user + 1)
                assert asking.ask(str(vault.state_path), "status") is None
            assert live.watcher.state.questions == questions

    async def test_files_that_are_polled_are_a_doubt(self, vault: Vault, asked: Asked) -> None:
        async with watching(vault.project, bmg.WatchOptions(is_polled=True)):
            vault.write("five.md", "five\n")
            await asked.left("--exit-code")

    async def test_nobody_is_asked_without_daemon_or_about_paths(self, vault: Vault, asked: Asked) -> None:
        async with watching(vault.project) as live:
            for flags in (("--no-daemon",), ("one.md",), ("--no-daemon", "--json")):
                await asked.left(*flags)
            assert live.watcher.state.questions == 0


class TestParanoid:
    async def test_a_watcher_that_is_wrong_is_reported_as_a_defect(
        self, vault: Vault, asked: Asked, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        async with watching(vault.project) as live:
            monkeypatch.setattr(live.watcher.agenda, "changed", lambda *_: None)
            vault.write("one.md", "changed\n")
            code, said = await asked("--porcelain", "--paranoid")
            assert isinstance(said, tuple)
            assert (code, said[0]) == (6, b"M\tone.md\n")
            assert b"the watcher is wrong: one.md differs, and it does not know" in said[1]

    @pytest.mark.parametrize(
        ("claim", "words"),
        [
            (bmg.Change(ChangeStatus.MODIFIED, b"two.md", None, bmg.Kind.NOTE, 1), b"it says that two.md differs"),
            (bmg.Change(ChangeStatus.ADDED, b"one.md", None, bmg.Kind.NOTE, 1), b"one.md differs otherwise than it"),
        ],
    )
    async def test_what_it_makes_up_is_reported_as_a_defect(
        self, vault: Vault, asked: Asked, monkeypatch: pytest.MonkeyPatch, claim: bmg.Change, words: bytes
    ) -> None:
        async def claimed(_: answers.Answers) -> answers.Answer:
            return answers.Answer(bmg.Status(vault.root, (claim,), (), bmg.Counters(), 0.0), "token")

        async with watching(vault.project):
            vault.write("one.md", "changed\n")
            monkeypatch.setattr(answers.Answers, "status", claimed)
            code, said = await asked("--porcelain", "--paranoid")
            assert isinstance(said, tuple)
            assert code == 6
            assert words in said[1]

    async def test_what_is_synced_while_it_is_compared_is_no_lie(
        self, vault: Vault, asked: Asked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Found by the look, and neither known before the edit nor after its sync; and so each time."""
        edits, looks = itertools.count(), list[bmg.Status]()
        real = bmg.Project.status

        def look(self: bmg.Project, *arguments: Any) -> bmg.Status:
            index_stamp, found = stamp(vault.index_path), real(self, *arguments)
            while not found.changes:
                vault.write("one.md", f"edit {next(edits)}\n")
                found = real(self, *arguments)
            looks.append(found)
            eventually_without_loop(lambda: stamp(vault.index_path) != index_stamp)
            return found

        async with watching(vault.project):
            monkeypatch.setattr(bmg.Project, "status", look)
            assert await asked("--porcelain", "--paranoid") == (0, (b"M\tone.md\n", b""))
        assert len(looks) == 3


async def test_a_state_folder_with_a_path_longer_than_an_address_is_asked(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    root = tmp_path / ("a long name " * 10) / ("another one " * 10)
    root.mkdir(parents=True)
    vault = Vault(root)
    asked._vault = vault
    async with watching(vault.project) as live:
        assert live.watcher.state.notes == []
        vault.write("one.md", "one\n")
        await live.settled()
        assert await asked.told("--porcelain") == (0, (b"", b""))


async def test_whoever_follows_is_told_each_report_and_when_the_watcher_ends(vault: Vault) -> None:
    lines: list[bytes] = []

    def follow() -> None:
        for line in asking.listen(str(vault.state_path), "follow", None):
            lines.append(line)  # noqa: PERF402 - one by one, since the first is waited for

    async with watching(vault.project) as live:
        follower = asyncio.create_task(asyncio.to_thread(follow))
        await live.until(lambda: lines)  # who is connected, and has not asked yet, is told nothing
        vault.write("one.md", "changed\n")
        await live.until(lambda: live.reports)
    await follower
    assert lines[0] == b"following"
    assert json.loads(lines[1].partition(b" ")[2])["changed"] == ["one.md"]


async def test_a_follower_that_reads_no_more_is_left(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_MOST_WAITING", 2)
    service = serving.Service(vault.project.watcher())
    async with service:
        lines = asking.listen(str(vault.state_path), "follow", None)
        assert await asyncio.to_thread(next, lines) == b"following"
        for number in range(5):  # and nobody has a turn meanwhile
            service.tell(bmg.WatchReport(None, notes=(f"number {number}",)))
        told = [json.loads(line.partition(b" ")[2])["notes"] for line in await asyncio.to_thread(list, lines)]
    assert told == [["number 0"], ["number 1"]]
