"""The small files of the state folder: damaged, replaced, gone. None of them can cost an edit, or anything stored."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from support.damage import Scene, flipped, lengths_changed
from support.profile import sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def an_empty_file(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 20)


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def a_link_to_a_users_file(path: Path) -> None:
    path.unlink()
    path.symlink_to("../notes/1.md")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "kept").write_text("kept")


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def nothing(path: Path) -> None:
    path.unlink()


CONTENTS = [an_empty_file, garbage, nothing]
KINDS = [a_link_to_nothing, a_link_to_a_users_file, a_folder, a_pipe]


def replaced(path: Path) -> None:
    """Take away whatever stands at a path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


# --- index.own -------------------------------------------------------------------------------------------------------


def test_every_damage_to_the_owner_makes_the_index_worth_nothing_or_less(scene: Scene) -> None:
    """Of a damaged time, and the file's own, the earlier counts."""
    vault, owner = scene.vault, scene.vault.state_path / "index.own"
    whole, before = owner.read_bytes(), vault.project.index().baseline
    assert before.is_trusted
    flips = [flipped(whole, at, mask) for at in range(len(whole)) for mask in (0x01, 0x20, 0x80)]
    proofs = 0
    for damaged in [*flips, *lengths_changed(whole)]:
        owner.write_bytes(damaged)
        baseline = vault.project.index().baseline
        assert not baseline.is_trusted or baseline.timestamp_s <= before.timestamp_s
        proofs += baseline.is_trusted
    assert proofs < 40


@pytest.mark.parametrize("damage", [*CONTENTS, *KINDS[:2], KINDS[3]])
def test_without_its_owner_an_index_proves_nothing_until_the_next_sync(
    scene: Scene, damage: Callable[[Path], None]
) -> None:
    vault, owner = scene.vault, scene.vault.state_path / "index.own"
    damage(owner)
    scene.edit_unseen("notes/2.md")
    status = vault.status()
    assert [change.path for change in status.changes] == [b"notes/2.md"]
    assert status.counters.files_read == len(scene.files) - 1  # the large one is never opened
    assert scene.run("sync") == 0
    assert vault.project.verify().ok
    assert vault.ids() == scene.ids
    assert vault.project.index().baseline.is_trusted
    assert not owner.is_symlink()


def test_a_folder_in_place_of_the_owner_is_named_and_nothing_is_lost(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = scene.vault.state_path / "index.own"
    a_folder(owner)
    assert scene.run("sync") == 6
    assert f"cannot write {owner}" in capsys.readouterr().err
    assert (owner / "kept").read_text() == "kept"
    assert scene.run("status") == 0
    shutil.rmtree(owner)
    assert scene.run("sync") == 0
    assert scene.vault.project.verify().ok
    assert (scene.vault.meaning(), scene.vault.ids()) == (scene.meaning, scene.ids)


# --- lock ------------------------------------------------------------------------------------------------------------

HOLDERS = [
    b"index.lock: \npid: \nhost",
    b"index.lock: 99999999999999999999\n",
    b"pid: \xff\x1b[31m\nindex.lock: x\ncommand: " + b"x" * 5000,
    b"\n: : : \n" * 200,
]


@pytest.mark.parametrize("text", HOLDERS)
@pytest.mark.parametrize("is_left_over", [False, True], ids=["no index.lock", "git's index.lock"])
def test_what_the_lock_says_decides_nothing(
    scene: Scene, text: bytes, is_left_over: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = scene.vault
    (vault.state_path / "lock").write_bytes(text)
    vault.write("notes/1.md", "edited\n")
    if is_left_over:
        (vault.state_path / "index.lock").write_bytes(b"git's")
        assert scene.run("sync", "--wait", "0") == 4
        assert "index.lock exists" in capsys.readouterr().err
        assert (vault.state_path / "index.lock").read_bytes() == b"git's"
        (vault.state_path / "index.lock").unlink()
    assert scene.run("sync") == 0
    assert vault.project.verify().ok


@pytest.mark.parametrize("damage", CONTENTS)
def test_a_lock_of_any_content_can_be_held(scene: Scene, damage: Callable[[Path], None]) -> None:
    damage(scene.vault.state_path / "lock")
    assert scene.run("sync") == 0
    assert scene.vault.meaning() == scene.meaning


@pytest.mark.parametrize("damage", KINDS)
def test_what_is_no_lock_file_is_named_and_nothing_is_lost(
    scene: Scene, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    lock = scene.vault.state_path / "lock"
    damage(lock)
    assert scene.run("status") == 0
    assert scene.run("verify") == 0
    capsys.readouterr()
    assert scene.run("sync") == 6
    assert str(lock) in capsys.readouterr().err
    replaced(lock)
    assert scene.run("sync") == 0
    assert (scene.vault.meaning(), scene.vault.ids()) == (scene.meaning, scene.ids)
    assert scene.files_are_untouched


# --- config.toml -----------------------------------------------------------------------------------------------------


def test_a_damaged_configuration_is_named_by_every_command_and_nothing_is_lost(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    vault, config = scene.vault, scene.vault.state_path / "config.toml"
    before = {path.name: path.read_bytes() for path in vault.state_path.iterdir()}
    for damaged, place in (
        (b"large_file_bytes = = 1", "line 1"),
        (b"\n\xff", "line 2"),
        (b"a = " + b"[" * 9999, "deeply"),
    ):
        config.write_bytes(damaged)
        for command in ("status", "sync", "verify", "ls-files", "show notes/1.md", "config list"):
            assert scene.run(*command.split()) == 2
            error = capsys.readouterr().err
            assert str(config) in error
            assert place in error
            assert error.count("\n") == 1
        assert config.read_bytes() == damaged
    config.write_bytes(before["config.toml"])
    assert {path.name: path.read_bytes() for path in vault.state_path.iterdir()} == before
    assert scene.run("verify") == 0


def test_every_flip_in_a_configuration_is_an_error_or_other_options(scene: Scene) -> None:
    config = scene.vault.state_path / "config.toml"
    whole = config.read_bytes()
    every = [flipped(whole, at, mask) for at in range(len(whole)) for mask in (0x01, 0x02, 0x20, 0x80)]
    codes = []
    for damaged in sample([*every, *lengths_changed(whole)[: len(whole)]], 20):
        config.write_bytes(damaged)
        codes.append(scene.run("status"))
    assert set(codes) == {0, 2}
    config.write_bytes(whole)
    assert scene.run("verify") == 0


@pytest.mark.parametrize("damage", KINDS)
def test_what_is_no_configuration_file_is_named(
    scene: Scene, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    config = scene.vault.state_path / "config.toml"
    damage(config)
    for command in ("status", "sync"):
        assert scene.run(command) == 6
        assert str(config) in capsys.readouterr().err


# --- .gitignore of the state folder ----------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [*CONTENTS, *KINDS])
def test_the_ignore_file_of_the_state_folder_is_of_no_account(scene: Scene, damage: Callable[[Path], None]) -> None:
    damage(scene.vault.state_path / ".gitignore")
    scene.vault.write("notes/1.md", "edited\n")
    assert [change.path for change in scene.vault.status().changes] == [b"notes/1.md"]
    assert scene.run("sync") == 0
    assert scene.vault.project.verify().ok
    assert list(scene.vault.index) == [path for path in sorted(scene.vault.index) if not path.startswith(b".")]


def test_an_ignore_file_that_is_gone_is_written_anew(scene: Scene) -> None:
    nothing(scene.vault.state_path / ".gitignore")
    scene.vault.sync()
    assert (scene.vault.state_path / ".gitignore").read_bytes() == b"*\n"


# --- left-overs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["index.new", "index.own.new", "config.toml.new", ".gitignore.new"])
@pytest.mark.parametrize("damage", [garbage, a_link_to_a_users_file])
def test_a_half_written_file_is_in_nobodys_way(scene: Scene, name: str, damage: Callable[[Path], None]) -> None:
    left_over = scene.vault.state_path / name
    left_over.touch()
    damage(left_over)
    scene.vault.write("notes/1.md", "edited\n")
    edited = scene.vault.root.joinpath("notes/1.md").read_bytes()
    code = scene.run("sync")
    if code:
        assert code == 6
        replaced(left_over)
        assert scene.run("sync") == 0
    assert scene.vault.project.verify().ok
    assert scene.vault.root.joinpath("notes/1.md").read_bytes() == edited
