from __future__ import annotations

import os
import platform
import stat
from pathlib import Path
from threading import Thread

import pytest

from bm_gitindex import machine
from bm_gitindex.errors import RootMissingError, StateFolderError
from bm_gitindex.machine import machine_id
from bm_gitindex.statefolder import StateFolder, checked_root, find_root, write_file
from support.faults import raising


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def test_making_one_touches_nothing(root: Path) -> None:
    StateFolder(root)
    assert list(root.iterdir()) == []


def test_the_folder_is_private_and_hidden_from_the_users_own_git(root: Path) -> None:
    state = StateFolder(root)
    state.ensure()
    state.ensure()
    assert state.path == root / ".basic-memory"
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    assert [path.name for path in state.path.iterdir()] == [".gitignore"]
    assert (state.path / ".gitignore").read_bytes() == b"*\n"


def test_a_root_that_has_gone_is_not_made_anew(root: Path) -> None:
    root.rename(root.with_name("aside"))
    with pytest.raises(StateFolderError, match="No such file or directory"):
        StateFolder(root).ensure()
    assert not root.exists()


def test_a_gitignore_that_the_user_changed_stays(root: Path) -> None:
    state = StateFolder(root)
    state.ensure()
    (state.path / ".gitignore").write_bytes(b"mine\n")
    state.ensure()
    assert (state.path / ".gitignore").read_bytes() == b"mine\n"


@pytest.mark.parametrize("foreign", [["memory.db"], ["config.json", ".gitignore"], ["some-folder"]])
def test_a_folder_of_another_program_is_refused(root: Path, foreign: list[str]) -> None:
    folder = root / ".basic-memory"
    folder.mkdir()
    for name in foreign:
        (folder / name).touch()
    with pytest.raises(StateFolderError, match=r"another program.*state_dir"):
        StateFolder(root).ensure()
    assert sorted(os.listdir(folder)) == sorted(foreign)


@pytest.mark.parametrize("ours", ["index", "index.own", "lock", "entities.db", "config.toml"])
def test_a_folder_that_holds_one_of_our_files_is_ours(root: Path, ours: str) -> None:
    (root / ".basic-memory").mkdir()
    (root / ".basic-memory" / ours).touch()
    (root / ".basic-memory" / "something else").touch()
    StateFolder(root).ensure()


@pytest.mark.parametrize("left", [[], [".gitignore"], ["index.lock", "index.new"]])
def test_a_folder_that_holds_nothing_of_anybodys_is_taken(root: Path, left: list[str]) -> None:
    (root / ".basic-memory").mkdir()
    for name in left:
        (root / ".basic-memory" / name).touch()
    StateFolder(root).ensure()


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_state_folder_that_is_a_link_is_refused(root: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / ".basic-memory").symlink_to(tmp_path / target)
    with pytest.raises(StateFolderError, match="symbolic link"):
        StateFolder(root).ensure()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_in_its_place_is_refused(root: Path) -> None:
    (root / ".basic-memory").write_text("x")
    with pytest.raises(StateFolderError, match="not a folder"):
        StateFolder(root).ensure()


def test_a_first_run_that_failed_on_a_full_disk_can_be_repeated(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StateFolderError, match="No space"):
            StateFolder(root).ensure()
    StateFolder(root).ensure()


def test_two_first_runs_at_once_do_not_get_in_each_others_way(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.replace
    second = Thread(target=StateFolder(root).ensure)

    def beside_another(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", real)
        second.start()
        return real(self, target)

    monkeypatch.setattr(Path, "replace", beside_another)
    StateFolder(root).ensure()
    second.join(timeout=60)
    assert not second.is_alive()
    assert (root / ".basic-memory/.gitignore").read_bytes() == b"*\n"
    assert os.listdir(root / ".basic-memory") == [".gitignore"]


@pytest.mark.parametrize("inside", ["notes", "a/b", ".basic-memory/x", ".", "../root/state"])
def test_a_state_dir_among_the_users_files_is_refused(root: Path, inside: str) -> None:
    with pytest.raises(StateFolderError, match="inside the project"):
        StateFolder(root, inside)


def test_a_state_dir_elsewhere_is_created_with_its_parents(root: Path, tmp_path: Path) -> None:
    state = StateFolder(root, "../state/of/root")
    state.ensure()
    assert state.index == tmp_path / "state" / "of" / "root" / "index"
    assert StateFolder(root, str(tmp_path / "s")).path == tmp_path / "s"
    assert list(root.iterdir()) == []


def test_a_state_dir_below_the_home_folder_may_be_written_with_a_tilde(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert StateFolder(root, "~/state").path == tmp_path / "home" / "state"


def test_a_folder_that_cannot_be_listed_is_not_taken_for_ours(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StateFolder(root).ensure()
    monkeypatch.setattr(os, "listdir", raising(PermissionError(13, "Permission denied")))
    with pytest.raises(StateFolderError, match=r"cannot read the state folder .*: Permission denied"):
        StateFolder(root).ensure()


def test_a_folder_that_cannot_be_made_is_said_clearly(root: Path) -> None:
    (root.parent / "file").write_text("x")
    with pytest.raises(StateFolderError, match="state folder"):
        StateFolder(root, "../file/state").ensure()


# --- the root --------------------------------------------------------------------------------------------------------


def test_a_root_that_is_no_folder_is_a_safety_stop(root: Path) -> None:
    (root / "file").touch()
    for path in (root / "none", root / "file"):
        with pytest.raises(RootMissingError, match="not a folder") as caught:
            checked_root(path)
        assert caught.value.exit_code == 5
    assert checked_root(f"{root}/../root/") == root


def test_the_nearest_folder_with_an_index_is_the_root(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    assert find_root(root / "a" / "b") == root / "a" / "b"
    for folder, name in ((root, "index"), (root / "a", "config.toml")):
        (folder / ".basic-memory").mkdir()
        (folder / ".basic-memory" / name).touch()
        assert find_root(root / "a" / "b") == folder


@pytest.mark.parametrize("is_initialised", [False, True])
def test_the_home_folder_is_never_guessed(root: Path, monkeypatch: pytest.MonkeyPatch, is_initialised: bool) -> None:
    monkeypatch.setenv("HOME", str(root))
    (root / "notes").mkdir()
    if is_initialised:
        (root / ".basic-memory").mkdir()
        (root / ".basic-memory" / "index").touch()
    with pytest.raises(StateFolderError, match=f"-C {root}"):
        find_root(root)
    assert find_root(root / "notes") == root / "notes"


def test_a_user_without_a_home_has_projects_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", raising(RuntimeError("Could not determine home directory.")))
    (root / ".basic-memory").mkdir()
    (root / ".basic-memory" / "index").touch()
    assert find_root(root / "sub") == root


def test_a_state_folder_above_that_may_not_be_looked_at_is_not_ours(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_file", raising(PermissionError(13, "Permission denied")))
    assert find_root(root) == root


def test_the_root_folder_of_the_system_is_never_guessed() -> None:
    with pytest.raises(StateFolderError, match="-C /"):
        find_root(Path("/"))


# --- small files -----------------------------------------------------------------------------------------------------


def test_a_small_file_is_replaced_whole_and_private(root: Path) -> None:
    path = root / "f"
    write_file(path, b"one, and longer")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(root) == ["f"]


@pytest.mark.parametrize("name", ["f", "f.new"])
@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to", "pipe"])
def test_a_small_file_is_not_written_through_what_stands_in_its_place(
    root: Path, tmp_path: Path, name: str, make: str
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"untouched")
    if make == "pipe":
        os.mkfifo(root / name)
    else:
        getattr(root / name, make)(target)
    write_file(root / "f", b"x")
    assert target.read_bytes() == b"untouched"
    assert (root / "f").read_bytes() == b"x"
    assert os.listdir(root) == ["f"]


# --- the machine -----------------------------------------------------------------------------------------------------


@pytest.fixture
def id_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    files = (tmp_path / "first", tmp_path / "second")
    monkeypatch.setattr(machine, "_ID_FILES", tuple(map(str, files)))
    machine_id.cache_clear()
    return files


def test_a_machine_is_known_by_the_first_file_that_says_something(id_files: tuple[Path, Path]) -> None:
    first, second = id_files
    second.write_text("two\n")
    assert machine_id() == "two"
    machine_id.cache_clear()
    first.write_text("\n")
    assert machine_id() == "two"
    machine_id.cache_clear()
    first.write_text("one\n")
    assert machine_id() == "one"
    machine_id.cache_clear()


def test_a_machine_without_such_a_file_is_known_by_its_name(
    id_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "boat")
    assert machine_id() == "host boat"
    machine_id.cache_clear()
