"""Every change before every call: a run that reads the user's files while something happens to one of them.

No run may end but properly, wait, or read what lies outside of the root; and the next one, undisturbed, has to leave
what a first sync of the same tree would.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from bm_gitindex import Options, cli
from bm_gitindex.config import store_option
from support.profile import NIGHTLY, sample
from support.races import HAS_DESCRIPTOR_PATHS, Interposer
from support.treechanges import FILE_CHANGES, FOLDER_CHANGES, LARGE_BYTES, ROOT_CHANGES, Scene
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.treechanges import Change

pytestmark = pytest.mark.skipif(not HAS_DESCRIPTOR_PATHS, reason="no /proc/self/fd tells where a descriptor leads")

COMMANDS = ("sync", "status", "verify")
FILES = ("note.md", "plain.bin", "large.bin", ".gitignore", "sub/deep.md")


COUNTS: dict[str, int] = {}
"""How many calls each command makes on the user's files."""


class Case(NamedTuple):
    """One change to one path, in one command."""

    command: str
    path: str
    change: str

    @property
    def act(self) -> Change:
        changes = ROOT_CHANGES if self.path == "." else FOLDER_CHANGES if self.path == "sub" else FILE_CHANGES
        return changes[self.change]


CASES = [
    *(Case(command, path, change) for command in COMMANDS for change in FILE_CHANGES for path in FILES),
    *(Case(command, "sub", change) for command in COMMANDS for change in FOLDER_CHANGES),
    *(Case(command, ".", change) for command in COMMANDS for change in ROOT_CHANGES),
]


CHOSEN = [case for command in COMMANDS for case in sample([case for case in CASES if case.command == command], 24)]


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each case starts from: synced once, then edited, so that a copy of it gives every command work to do."""
    root = tmp_path_factory.mktemp("pattern") / "root"
    vault = Vault(root, Options(large_file_bytes=LARGE_BYTES))
    vault.write(".gitignore", "*.log\n")
    vault.write("note.md", "---\ntitle: One\n---\n- [fact] first #tag\n- relates_to [[Deep]]\n")
    vault.write("plain.bin", b"\0" * 700)
    vault.write("large.bin", b"l" * 5000)
    vault.write("hidden.log", "ignored\n")
    vault.write("sub/deep.md", "# Deep\n- [fact] deep\n")
    vault.write("sub/old.md", "# Old\nto be moved\n")
    vault.write("sub/deeper/gone.md", "# Gone\n")
    store_option(root, "large_file_bytes", str(LARGE_BYTES))
    store_option(root, "state_dir", "../state")
    vault.options = Options(large_file_bytes=LARGE_BYTES, state_dir="../state")
    vault.sync()
    vault.write("note.md", "---\ntitle: One\n---\n- [fact] edited #tag\n- relates_to [[Deep]]\n")
    vault.write("sub/new.md", "# New\n[[One]]\n")
    (root / "sub/old.md").rename(root / "sub/now.md")
    (root / "sub/deeper/gone.md").unlink()
    return root.parent


@pytest.fixture
def scene(pattern: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Scene]]:
    """Make scenes, one after the other, each in a folder of its own."""
    never_young(monkeypatch)
    made = 0

    def make() -> Scene:
        nonlocal made
        made += 1
        place = tmp_path / str(made)
        shutil.copytree(pattern, place)
        scene = Scene(place / "root", place / "outside", place / "taken")
        scene.taken.mkdir()
        for name in ("secret.md", "sub/deep.md", "sub/.gitignore", "root/note.md"):
            (scene.outside / name).parent.mkdir(parents=True, exist_ok=True)
            (scene.outside / name).write_text("secret\n")
        shutil.copytree(scene.outside / "root", scene.outside / "sub" / "deeper")
        os.mkfifo(scene.outside / "pipe")
        return scene

    yield make
    for folder, folders, _ in os.walk(tmp_path):
        for name in folders:
            os.chmod(os.path.join(folder, name), 0o700, follow_symlinks=True)


def run(command: str, scene: Scene) -> int:
    return cli.main(["-q", "-C", str(scene.root), command])


def calls_of(command: str, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    with monkeypatch.context() as patch:
        interposer = Interposer(patch, scene.root)
        assert run(command, scene) == 0
    return interposer.calls


@pytest.mark.parametrize("command", COMMANDS)
def test_each_step_of_reading_is_a_call_that_a_change_may_come_before(
    command: str, scene: Callable[[], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = calls_of(command, scene(), monkeypatch)
    opened = [call for call in calls if call.startswith("open ")]
    assert {"open .", "open sub", "open note.md", "open plain.bin", "open .gitignore", "open sub/now.md"} <= set(opened)
    assert not {"open hidden.log", "open large.bin"} & set(opened)
    after_opening = calls[calls.index("open note.md") + 1 :][:4]
    expected = ["fstat note.md", "read note.md", "read note.md", "fstat note.md"]
    assert after_opening == expected if command == "sync" else after_opening[0] == expected[0]


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: f"{case.command}-{case.path}-{case.change}")
def test_a_change_before_any_call(
    case: Case, scene: Callable[[], Scene], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in steps(case, scene, monkeypatch):
        at = scene()
        with monkeypatch.context() as patch:
            interposer = Interposer(patch, at.root)
            interposer.change_before(number, partial(case.act, at, at.root / case.path))
            code = run(case.command, at)
        said = capfd.readouterr()
        where = (number, interposer.calls[number : number + 1], code, said)
        assert interposer.has_changed, where
        assert code in ({0, 3, 5} if case.path == "." else {0, 3}), where
        assert "Traceback" not in said.err, where
        secret = os.fsencode(at.outside)
        # The root itself may be a link: where it led when it was opened is the root.
        if case.path != "." or "open ." not in interposer.calls[number:]:
            assert not [path for path in interposer.opened if path.startswith(secret)], where
        if case.path == ".":
            back(at)
        if case.command == "sync":
            check_the_next_sync(at, where)
        shutil.rmtree(at.root.parent)


def steps(case: Case, scene: Callable[[], Scene], monkeypatch: pytest.MonkeyPatch) -> range | list[int]:
    """Return the calls before which the change is to come: all, or one that is another for each case."""
    if case.command not in COUNTS:
        COUNTS[case.command] = len(calls_of(case.command, scene(), monkeypatch))
    count = COUNTS[case.command]
    return range(count) if NIGHTLY else [CASES.index(case) * 7 % count]


def back(scene: Scene) -> None:
    """Put the root back that was taken out."""
    if (scene.taken / "root").exists():
        if scene.root.is_symlink():
            scene.root.unlink()
        elif scene.root.exists():
            shutil.rmtree(scene.root)
        (scene.taken / "root").rename(scene.root)


def check_the_next_sync(scene: Scene, where: object) -> None:
    """Sync once more, undisturbed: all agrees, and is what a first sync of the same tree says."""
    vault = Vault(scene.root, Options(large_file_bytes=LARGE_BYTES, state_dir="../state"))
    assert run("sync", scene) in ({0, 3} if os.geteuid() else {0}), where
    with closing(sqlite3.connect(vault.database_path)) as connection:
        assert connection.execute("SELECT tie_closed FROM project").fetchall() == [(1,)], where
    assert vault.project.verify().mismatches == (), where
    found = vault.meaning()
    vault.state_path.rename(scene.taken / "state")
    vault.sync()
    assert found == vault.meaning(), where
