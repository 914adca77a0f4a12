"""What looks like an accident stops a sync before anything is changed, and a rehearsal as well."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import Options, SyncRequest, cli
from bm_gitindex.errors import RootMissingError, SafetyStopError
from bm_gitindex.memory import Memory
from bm_gitindex.syncing.session import sync
from support.faults import deny_folder
from support.profile import sample
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bm_gitindex import SyncReport

COUNT = 30


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A settled vault whose state is kept elsewhere, as it has to be where the root may vanish."""
    never_young(monkeypatch)
    vault = Vault(tmp_path / "vault", Options(state_dir=str(tmp_path / "state")))
    fill(vault)
    vault.settled_sync()
    return vault


def fill(vault: Vault, folder: str = "notes", count: int = COUNT) -> None:
    for number in range(count):
        vault.write(f"{folder}/{number:02}.md", f"# Note {folder} {number}\n")


def empty(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
        else:
            child.unlink()


def replace_by_file(root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("a file\n")


def only_litter(root: Path) -> None:
    """What an operating system leaves in a folder that looks empty."""
    empty(root)
    (root / ".DS_Store").write_bytes(b"litter")
    (root / "Thumbs.db").write_bytes(b"litter")


def hide_all(root: Path) -> None:
    (root / ".gitignore").write_text("*\n")


def hide_most(root: Path) -> None:
    (root / "notes" / ".gitignore").write_text("*\n!0*\n")


def delete_most(root: Path) -> None:
    for number in range(16):
        (root / f"notes/{number:02}.md").unlink()


def link_all(root: Path) -> None:
    shutil.move(root / "notes", root.parent / "away")
    (root / "notes").symlink_to(root.parent / "away")


ACCIDENTS: dict[str, Callable[[Path], object]] = {
    "the root is gone": shutil.rmtree,
    "the root is a file": replace_by_file,
    "the root is renamed": lambda root: root.rename(root.parent / "renamed"),
    "the root is empty": empty,
    "the root holds litter": only_litter,
    "a folder is moved outside": lambda root: shutil.move(root / "notes", root.parent / "away"),
    "a folder became a link": link_all,
    "all is ignored": hide_all,
    "most is ignored": hide_most,
    "most is deleted": delete_most,
}
LOSSES: dict[str, Callable[[Vault], object]] = {
    "nothing": lambda vault: None,
    "the index": lambda vault: vault.index_path.unlink(),
    "the database": lambda vault: vault.database_path.unlink(),
    "the tie": lambda vault: vault.execute("UPDATE project SET tie_closed = 0"),
}
WITHOUT_ROOT = ("the root is gone", "the root is a file", "the root is renamed")
PAIRS = [(accident, lost) for accident in ACCIDENTS if accident not in WITHOUT_ROOT for lost in LOSSES]


@pytest.mark.parametrize(("accident", "lost"), dict.fromkeys([*sample(PAIRS, 13), ("most is deleted", "the index")]))
def test_an_accident_stops_the_sync_and_its_rehearsal_and_names_the_override(
    vault: Vault, accident: str, lost: str
) -> None:
    LOSSES[lost](vault)
    before = vault.state_bytes()
    ACCIDENTS[accident](vault.root)
    with pytest.raises(SafetyStopError, match="--allow-mass-delete"):
        vault.project.rehearse_sync()
    assert vault.state_bytes() == before
    with pytest.raises(SafetyStopError, match="--allow-mass-delete"):
        vault.sync()
    if lost == "the database":
        assert vault.index_path.read_bytes() == before["index"]
    else:
        assert vault.state_bytes() == before
    vault.sync(allow_mass_delete=True)
    kept = {"most is ignored": 10, "most is deleted": COUNT - 16}.get(accident, 0)
    assert len(vault.ids()) == len(vault.index) == kept
    assert vault.project.verify().mismatches == ()
    vault.sync()


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_a_root_that_came_back_lost_nothing(vault: Vault, tmp_path: Path, accident: str) -> None:
    ids, backup = vault.ids(), tmp_path / "backup"
    shutil.copytree(vault.root, backup, symlinks=True)
    ACCIDENTS[accident](vault.root)
    with pytest.raises(SafetyStopError):
        vault.sync()
    if vault.root.is_dir():
        shutil.rmtree(vault.root)
    vault.root.unlink(missing_ok=True)
    backup.rename(vault.root)
    assert vault.sync().counts["unchanged"] == COUNT
    assert vault.ids() == ids


@pytest.mark.parametrize("command", [["sync"], ["sync", "--dry-run"], ["sync", "notes"], ["sync", "--paranoid"]])
def test_a_stop_is_exit_5_with_one_line(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert cli.main(["-C", str(vault.root), "config", "set", "state_dir", "../state"]) == 0
    shutil.rmtree(vault.root / "notes")
    capfd.readouterr()
    assert cli.main(["-C", str(vault.root), *command]) == 5
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "bm-gitindex sync --allow-mass-delete" in said.err
    assert cli.main(["-C", str(vault.root), *command, "--allow-mass-delete"]) == 0
    assert vault.rows("SELECT count(*) FROM entity") == [(COUNT if "--dry-run" in command else 0,)]


@pytest.mark.parametrize("lost", ["nothing", "the index"])
@pytest.mark.parametrize("count", [19, 20])
def test_below_20_entries_only_an_emptied_root_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, lost: str
) -> None:
    never_young(monkeypatch)
    vault = Vault(tmp_path / "small")
    fill(vault, count=count - 1)
    kept = vault.write("kept.md")
    vault.settled_sync()
    LOSSES[lost](vault)
    shutil.rmtree(vault.root / "notes")
    if count < 20:
        assert vault.project.rehearse_sync().deleted == (count - 1 if lost == "nothing" else 0)
        assert vault.sync().counts["deleted"] == count - 1
        kept.unlink()
    for act in (vault.project.rehearse_sync, vault.sync):
        with pytest.raises(SafetyStopError):
            act()


def test_exactly_half_is_no_accident(vault: Vault) -> None:
    for number in range(COUNT // 2):
        (vault.root / f"notes/{number:02}.md").unlink()
    assert vault.project.rehearse_sync().deleted == COUNT // 2
    assert vault.sync().counts["deleted"] == COUNT // 2


def test_deletions_of_partial_syncs_add_up_for_a_rehearsal_too(vault: Vault) -> None:
    for number in range(COUNT // 2):
        (vault.root / f"notes/{number:02}.md").unlink()
        vault.sync(f"notes/{number:02}.md")
    last = f"notes/{COUNT // 2}.md"
    vault.write("notes/new.md", "added in between\n")
    vault.sync("notes/new.md")
    (vault.root / last).unlink()
    before = vault.state_bytes()
    for paths in ((), (last,), ("notes",)):
        for act in (vault.project.rehearse_sync, vault.sync):
            with pytest.raises(SafetyStopError, match=f"{COUNT // 2} more since the last full sync"):
                act(*([paths] if act != vault.sync else paths))
    assert vault.state_bytes() == before


class TestWithOneMemory:
    """Of a watcher, which sees files go and come back by syncs of some paths."""

    def sync(self, vault: Vault, memory: Memory, *paths: str) -> SyncReport:
        raw = tuple(path.encode() for path in paths)
        return asyncio.run(sync(vault.root, vault.project.state, vault.project.options, SyncRequest(paths=raw), memory))

    def there_and_back(self, vault: Vault, memory: Memory) -> None:
        """Delete a quarter of the files, and put them back."""
        paths = [f"notes/{number:02}.md" for number in range(COUNT // 4)]
        contents = {path: (vault.root / path).read_bytes() for path in paths}
        for path in paths:
            (vault.root / path).unlink()
        assert self.sync(vault, memory, *paths).deleted == len(paths)
        for path, content in contents.items():
            (vault.root / path).write_bytes(content)
        assert self.sync(vault, memory, *paths).added == len(paths)

    def test_what_comes_back_was_no_loss(self, vault: Vault) -> None:
        memory = Memory()
        for _ in range(5):
            self.there_and_back(vault, memory)
        assert vault.rows("SELECT deleted_since_full_sync FROM project") == [(0,)]

    def test_what_goes_for_another_one_is_a_loss(self, vault: Vault) -> None:
        """As if each note were replaced by a locked one: nothing comes back under its name."""
        memory = Memory()

        def replace_all() -> None:
            for number in range(COUNT):
                (vault.root / f"notes/{number:02}.md").unlink()
                vault.write(f"notes/{number:02}.locked.md", f"something else, number {number}\n" * 9)
                self.sync(vault, memory, f"notes/{number:02}.md")
                self.sync(vault, memory, f"notes/{number:02}.locked.md")

        with pytest.raises(SafetyStopError, match=f"{COUNT // 2} more"):
            replace_all()

    def test_what_another_memory_has_seen_go_is_a_loss(self, vault: Vault) -> None:
        paths = [f"notes/{number:02}.md" for number in range(COUNT // 4)]

        def there_and_back() -> None:
            for path in paths:
                (vault.root / path).unlink()
            self.sync(vault, Memory(), *paths)
            for path in paths:
                vault.write(path, f"{path}, written anew\n" * 9)
            self.sync(vault, Memory(), *paths)

        there_and_back()
        there_and_back()
        with pytest.raises(SafetyStopError):
            there_and_back()

    def test_a_full_sync_of_another_begins_the_count_anew(self, vault: Vault) -> None:
        memory = Memory()
        (vault.root / "notes/00.md").unlink()
        self.sync(vault, memory, "notes/00.md")
        vault.write("notes/new.md", "so that there is another index\n")
        vault.sync()
        (vault.root / "notes/01.md").unlink()
        self.sync(vault, Memory(), "notes/01.md")
        vault.write("notes/00.md", "back again, since the count began anew\n")
        self.sync(vault, memory, "notes/00.md")
        assert vault.rows("SELECT deleted_since_full_sync FROM project") == [(1,)]


DOUBTS: dict[str, Callable[[Vault], object]] = {
    "the tie": LOSSES["the tie"],
    "the index": LOSSES["the index"],
    "the options": lambda vault: vault.execute("UPDATE project SET parsed_by = 'another'"),
    "nothing but the user's trust": lambda vault: None,
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_deletions_add_up_whatever_makes_a_sync_compare_everything(vault: Vault, doubt: str) -> None:
    for number in range(14):
        (vault.root / f"notes/{number:02}.md").unlink()
    vault.sync("notes")
    DOUBTS[doubt](vault)
    for number in range(14, 28):
        (vault.root / f"notes/{number:02}.md").unlink()
    with pytest.raises(SafetyStopError, match="14 more"):
        vault.project.rehearse_sync()
    with pytest.raises(SafetyStopError, match="14 more"):
        vault.sync(paranoid=doubt == "nothing but the user's trust")
    assert len(vault.ids()) == COUNT - 14


@pytest.mark.parametrize("keeps_state", [True, False])
def test_a_root_that_went_away_under_a_project_is_not_made_anew(tmp_path: Path, keeps_state: bool) -> None:
    options = Options(state_dir=str(tmp_path / "state")) if keeps_state else Options()
    vault = Vault(tmp_path / "vault", options)
    vault.write("note.md")
    vault.sync()
    project = vault.project
    shutil.rmtree(vault.root)
    for act in (project.status, project.sync_blocking, project.rehearse_sync, project.verify):
        with pytest.raises(RootMissingError, match="nothing was changed"):
            act()
    assert not vault.root.exists()


def test_a_full_sync_that_was_not_stopped_starts_the_count_anew(vault: Vault) -> None:
    for number in range(COUNT // 2):
        (vault.root / f"notes/{number:02}.md").unlink()
        vault.sync(f"notes/{number:02}.md")
    vault.write("notes/new.md")
    vault.sync()
    (vault.root / "notes/20.md").unlink()
    assert vault.project.rehearse_sync().deleted == 1
    assert vault.sync().counts["deleted"] == 1


def test_without_an_index_a_rehearsal_goes_by_the_rows_that_there_are(vault: Vault) -> None:
    shutil.rmtree(vault.root / "notes")
    vault.sync("notes", allow_mass_delete=True)
    vault.index_path.unlink()
    assert vault.project.rehearse_sync().counts["deleted"] == 0
    assert vault.sync().counts["deleted"] == 0


def test_what_was_moved_within_the_root_is_no_deletion_for_a_rehearsal(vault: Vault) -> None:
    (vault.root / "notes").rename(vault.root / "moved")
    assert vault.project.rehearse_sync().moved == COUNT
    assert vault.sync().counts["moved"] == COUNT


@pytest.mark.parametrize("lost", LOSSES)
def test_a_folder_that_cannot_be_read_is_no_deletion_for_a_rehearsal(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    LOSSES[lost](vault)
    deny_folder(monkeypatch, b"notes")
    assert vault.project.rehearse_sync().deleted == 0
    assert vault.sync().counts["deleted"] == 0


def test_a_project_that_was_never_synced_may_be_empty(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "new")
    assert vault.project.rehearse_sync().counts["unchanged"] == 0
    assert vault.sync().counts["unchanged"] == 0


# --- file systems that come and go -----------------------------------------------------------------------------------


def mount(folder: Path) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing may be mounted: {done.stderr.decode().strip()}")


@pytest.fixture
def mounted() -> Iterator[Callable[[Path], None]]:
    """Mount an empty file system over a folder, until the end of the test."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only a superuser may mount")
    folders: list[Path] = []

    def over(folder: Path) -> None:
        mount(folder)
        folders.append(folder)

    yield over
    for folder in reversed(folders):
        subprocess.run(["umount", folder], capture_output=True, check=False)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", folder], capture_output=True, check=True)


def test_an_empty_mount_over_the_root_is_an_emptied_root(vault: Vault, mounted: Callable[[Path], None]) -> None:
    before = vault.state_bytes()
    mounted(vault.root)
    for act in (vault.project.rehearse_sync, vault.sync):
        with pytest.raises(SafetyStopError, match="empty"):
            act()
    assert vault.state_bytes() == before
    unmount(vault.root)
    assert vault.sync().counts["unchanged"] == COUNT


def test_an_empty_mount_over_root_and_state_is_another_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: Callable[[Path], None]
) -> None:
    never_young(monkeypatch)
    vault = Vault(tmp_path / "vault")
    fill(vault)
    vault.settled_sync()
    ids = vault.ids()
    mounted(vault.root)
    assert vault.sync().counts["deleted"] == 0
    unmount(vault.root)
    assert vault.sync().counts["unchanged"] == COUNT
    assert vault.ids() == ids


def test_a_mount_below_the_root_that_is_gone_keeps_what_is_known(vault: Vault, mounted: Callable[[Path], None]) -> None:
    (vault.root / "sub").mkdir()
    mounted(vault.root / "sub")
    fill(vault, "sub", 3 * COUNT)
    vault.settled_sync()
    ids = vault.ids()
    unmount(vault.root / "sub")
    assert vault.project.rehearse_sync().deleted == 0
    report = vault.sync()
    assert report.counts["deleted"] == 0
    assert [(one.path, one.reason.value) for one in report.skipped] == [(b"sub", "its file system is not mounted")]
    assert vault.ids() == ids
    assert vault.project.verify().mismatches == ()


def test_another_file_system_in_a_mounts_place_is_guarded_by_number(
    vault: Vault, mounted: Callable[[Path], None]
) -> None:
    (vault.root / "sub").mkdir()
    mounted(vault.root / "sub")
    fill(vault, "sub", 3 * COUNT)
    vault.settled_sync()
    mounted(vault.root / "sub")
    for act in (vault.project.rehearse_sync, vault.sync):
        with pytest.raises(SafetyStopError, match=f"{3 * COUNT} of {4 * COUNT}"):
            act()
