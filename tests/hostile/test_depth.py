"""Folders far deeper, and paths far longer, than a system call takes."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import cli
from bm_gitindex.errors import UsageError
from bm_gitindex.oracle import tree as oracle_tree
from bm_gitindex.worktree import tree as worktree
from support.git import Git
from support.profile import NIGHTLY
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEPTH = 5_000 if NIGHTLY else 1_001
NAME = "folder"
LONG = "/".join([NAME] * DEPTH) + "/deep.md"
PATH_MAX = 4096


def write_deep(vault: Vault, content: bytes, depth: int = DEPTH) -> None:
    """Write a note below so many folders, and one half-way, going down step by step."""
    fd = os.open(vault.root, os.O_RDONLY)
    for level in range(1, depth + 1):
        if NAME not in os.listdir(fd):
            os.mkdir(NAME, dir_fd=fd)
        below = os.open(NAME, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
        if level in (depth // 2, depth):
            with os.fdopen(os.open("deep.md", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, dir_fd=fd), "wb") as file:
                file.write(content)
    os.close(fd)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    never_young(monkeypatch)
    vault = Vault(tmp_path / "vault")
    vault.write("good.md", "- [c] neighbour\n")
    write_deep(vault, b"- [c] far down\n")
    yield vault
    _remove_deep(vault.root)  # pytest could not


def _remove_deep(root: Path) -> None:
    """Take the tree apart from above: each folder is lifted out of the one that holds it, since `rmtree` recurses."""
    for top in [name for name in os.listdir(root) if name != ".basic-memory" and (root / name).is_dir()]:
        while True:
            inner = [entry.name for entry in os.scandir(root / top) if entry.is_dir()]
            if not inner:
                shutil.rmtree(root / top)
                break
            (root / top / inner[0]).rename(root / "lifted")
            shutil.rmtree(root / top)
            (root / "lifted").rename(root / top)


def test_a_deep_note_lives_as_any_other(vault: Vault, tmp_path: Path) -> None:
    assert len(LONG) > PATH_MAX
    assert vault.settled_sync().added == 3
    assert LONG in vault.ids()
    assert vault.rows("SELECT content FROM observation ORDER BY content") == [("far down",)] * 2 + [("neighbour",)]
    assert vault.sync().counters.files_read == 0
    assert LONG.encode() in Git(tmp_path / "git", vault.index_path, vault.root)("ls-files", "-z").split(b"\0")
    assert vault.project.verify().ok

    write_deep(vault, b"- [c] edited\n")
    assert vault.settled_sync().modified == 2
    ids = vault.ids()
    (vault.root / NAME).rename(vault.root / "moved")
    moved = "moved" + LONG.removeprefix(NAME)
    assert vault.settled_sync().moved == 2
    assert vault.ids()[moved] == ids[LONG]
    assert vault.project.verify().ok

    _remove_deep(vault.root)
    assert vault.sync().deleted == 2
    assert vault.project.verify().ok


def test_a_long_path_can_be_given(vault: Vault, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert [change.path for change in vault.status(LONG).changes] == [LONG.encode()]
    vault.settled_sync()
    write_deep(vault, b"- [c] edited\n")
    assert vault.sync(LONG).modified == 1
    assert cli.main(["-C", str(vault.root), "show", LONG]) == 0
    assert LONG.encode() in capfdbinary.readouterr().out
    for missing in (LONG + "x", "x" * 5000, "good.md/" + LONG):
        with pytest.raises(UsageError):
            vault.status(missing)


@pytest.mark.parametrize("module", [worktree, oracle_tree])
def test_a_deep_tree_is_not_gone_down_anew_for_each_folder(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, module: object
) -> None:
    vault.settled_sync()
    opened = 0
    system_open = os.open

    def counted(path: object, flags: int, *args: int, dir_fd: int | None = None) -> int:
        nonlocal opened
        opened += path in (NAME, NAME.encode())
        return system_open(path, flags, *args, dir_fd=dir_fd)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", counted)
    reads = vault.status if module is worktree else vault.project.verify
    reads()
    assert opened < 5 * DEPTH


def test_few_descriptors_serve_any_depth(vault: Vault) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        assert vault.sync().added == 3
        assert vault.project.verify().ok
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
