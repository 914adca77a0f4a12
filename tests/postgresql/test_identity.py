"""Copied, moved, restored, cloned: which project a folder is, in a database that it shares."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.entities import claims, identity
from bm_gitindex.errors import NotFoundError, StateFolderError, StateWriteError
from bm_gitindex.options import Options
from support.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.postgresql import Database


def copied(vault: Vault, name: str) -> Vault:
    """A copy of everything, state folder and dates included."""
    target = vault.root.with_name(name)
    shutil.copytree(vault.root, target)
    return at(target, vault)


def moved(vault: Vault, name: str) -> Vault:
    target = vault.root.with_name(name)
    vault.root.rename(target)
    return at(target, vault)


def at(root: Path, vault: Vault) -> Vault:
    return Vault(root, vault.options, vault.database)


def id_of(vault: Vault) -> str:
    return str(json.loads(vault.project.state.project_id.read_text())["id"])


def ids_of(vault: Vault) -> dict[object, object]:
    """Entity id by path, in this vault's project alone."""
    query = """SELECT file_path, entity.id FROM entity JOIN project ON project.id = project_id
               WHERE project.name = $1"""
    return dict(vault.rows(query, id_of(vault)))  # type: ignore[arg-type]


def projects(vault: Vault) -> dict[object, object]:
    """The root that each project is at, by id."""
    return dict(vault.rows("SELECT name, root FROM project"))  # type: ignore[arg-type]


def assert_apart(*vaults: Vault) -> None:
    """Each is a project of its own, complete, settled, and known to the database by its place."""
    for vault in vaults:
        assert vault.project.verify().ok
        report = vault.sync()
        assert (report.added, report.modified, report.deleted, report.notices) == (0, 0, 0, [])
        assert projects(vault)[id_of(vault)] == str(vault.root.resolve())
    assert len({id_of(vault) for vault in vaults}) == len(vaults)
    all_ids = [entity_id for vault in vaults for entity_id in ids_of(vault).values()]
    assert len(all_ids) == len(set(all_ids)) == 3 * len(vaults)


def notice(vault: Vault, text: str) -> None:
    """Sync, and see that it says so."""
    notices = vault.sync().notices
    assert any(text in one for one in notices), notices


def test_a_copy_becomes_a_project_of_its_own(vault: Vault) -> None:
    vault.settled_sync()
    original, kept = id_of(vault), ids_of(vault)
    copy = copied(vault, "copy")
    with pytest.raises(NotFoundError):
        _read(copy)
    notice(copy, "was copied from")
    assert_apart(vault, copy)
    assert (id_of(vault), ids_of(vault)) == (original, kept)


def test_a_moved_folder_keeps_its_entities(vault: Vault) -> None:
    vault.settled_sync()
    original, kept = id_of(vault), ids_of(vault)
    vault = moved(vault, "elsewhere")
    assert _read(vault) == 3
    assert vault.project.verify().ok
    notice(vault, "was moved here from")
    assert (id_of(vault), ids_of(vault)) == (original, kept)
    assert_apart(vault)
    vault = moved(vault, "vault")
    vault.sync()
    assert (id_of(vault), ids_of(vault)) == (original, kept)


def test_a_copy_whose_original_was_then_deleted_was_moved(vault: Vault) -> None:
    vault.settled_sync()
    kept = ids_of(vault)
    copy = copied(vault, "copy")
    shutil.rmtree(vault.root)
    notice(copy, "was moved here from")
    assert ids_of(copy) == kept
    assert_apart(copy)


def test_a_copy_on_another_machine_is_a_project_of_its_own(vault: Vault, machine: Callable[[str], None]) -> None:
    vault.settled_sync()
    kept, original = ids_of(vault), id_of(vault)
    copy = copied(vault, "copy")
    machine("another")
    notice(copy, "on another machine")
    assert id_of(copy) != original
    assert copy.project.verify().ok
    machine("this")
    assert ids_of(vault) == kept


def test_a_folder_that_comes_back_to_its_machine_is_what_it_was_there(
    vault: Vault, machine: Callable[[str], None]
) -> None:
    """A disk that goes from one machine to the other and back does not make a project each time."""
    seen = set()
    for name in ("one", "two", "one", "two"):
        machine(name)
        vault.sync()
        seen.add((name, id_of(vault)))
        assert vault.project.verify().ok
    assert len(seen) == len(projects(vault)) == 2


def test_the_original_comes_back_after_its_copy_was_taken_for_it(vault: Vault) -> None:
    """While the disk with the original was away, its copy looked like a folder that was moved."""
    vault.settled_sync()
    kept = ids_of(vault)
    copy = copied(vault, "copy")
    vault.root.rename(vault.root.with_name("unmounted"))
    notice(copy, "was moved here from")
    vault.root.with_name("unmounted").rename(vault.root)
    with pytest.raises(NotFoundError):
        _read(vault)
    notice(vault, "have become those of")
    assert ids_of(copy) == kept
    assert_apart(vault, copy)


def test_the_original_comes_back_even_where_nothing_tells_its_files_from_the_copys(vault: Vault) -> None:
    """Without ctime and inode both have the same index, to the last byte."""
    vault.options = vault.options._replace(trust_ctime=False)
    vault.settled_sync()
    copy = copied(vault, "copy")
    vault.root.rename(vault.root.with_name("unmounted"))
    copy.settled_sync()
    vault.root.with_name("unmounted").rename(vault.root)
    assert vault.index.trailer == copy.index.trailer
    notice(vault, "have become those of")
    assert_apart(vault, copy)


def test_the_original_takes_its_entities_back_where_the_copy_is_gone(vault: Vault) -> None:
    vault.settled_sync()
    kept = ids_of(vault)
    copy = copied(vault, "copy")
    vault.root.rename(vault.root.with_name("unmounted"))
    copy.sync()
    vault.root.with_name("unmounted").rename(vault.root)
    shutil.rmtree(copy.root)
    vault.sync()
    assert ids_of(vault) == kept
    assert_apart(vault)


def test_of_two_copies_of_an_absent_original_one_goes_on(vault: Vault) -> None:
    vault.settled_sync()
    kept = ids_of(vault)
    first, second = copied(vault, "first"), copied(vault, "second")
    shutil.rmtree(vault.root)
    notice(first, "was moved here from")
    notice(second, "have become those of")
    assert ids_of(first) == kept
    assert_apart(first, second)


@pytest.mark.parametrize("content", [None, "", "{}", '{"id": "x", "root": "/", "machine": ""}', "[" * 9999])
def test_a_lost_id_file_loses_no_identity(vault: Vault, content: str | None) -> None:
    vault.settled_sync()
    original, kept = id_of(vault), ids_of(vault)
    file = vault.project.state.project_id
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(NotFoundError):
        _read(vault)
    notice(vault, "taken up again")
    assert (id_of(vault), ids_of(vault)) == (original, kept)
    assert_apart(vault)


def test_a_deleted_state_folder_loses_no_identity(vault: Vault) -> None:
    vault.settled_sync()
    kept = ids_of(vault)
    shutil.rmtree(vault.state_path)
    vault.sync()
    assert ids_of(vault) == kept
    assert_apart(vault)


def test_an_id_file_that_cannot_be_read_is_no_lost_one(vault: Vault) -> None:
    vault.sync()
    file = vault.project.state.project_id
    file.unlink()
    file.mkdir()
    before = projects(vault)
    with pytest.raises(StateFolderError, match=r"project\.id"):
        vault.sync()
    assert projects(vault) == before


def test_an_old_state_folder_that_is_put_back_is_compared(vault: Vault) -> None:
    vault.settled_sync()
    backup = vault.root.with_name("backup")
    shutil.copytree(vault.state_path, backup)
    kept = ids_of(vault)
    vault.write("d.md", "new\n")
    vault.sync()
    shutil.rmtree(vault.state_path)
    shutil.copytree(backup, vault.state_path)
    vault.sync()
    assert vault.project.verify().ok
    assert {path: ids_of(vault)[path] for path in kept} == kept


def test_a_copy_put_in_the_place_of_another_project_is_that_project(vault: Vault) -> None:
    """What is at a place has the entities of that place, as a folder has its own SQLite file."""
    vault.settled_sync()
    other = Vault(vault.root.with_name("other"), database=vault.database)
    for name in ("a.md", "b.md", "sub/c.md"):
        other.write(name, "of the other\n")
    other.sync()
    theirs = ids_of(other)
    shutil.rmtree(other.root)
    other = copied(vault, "other")
    other.sync()
    assert ids_of(other) == theirs
    assert_apart(vault, other)


def test_what_was_moved_into_the_place_of_another_project_stays_what_it_was(vault: Vault) -> None:
    vault.settled_sync()
    other = Vault(vault.root.with_name("other"), database=vault.database)
    other.write("x.md")
    other.sync()
    kept, theirs = ids_of(vault), id_of(other)
    shutil.rmtree(other.root)
    vault = moved(vault, "other")
    vault.sync()
    assert ids_of(vault) == kept
    assert projects(vault)[theirs] is None
    assert_apart(vault)


def test_a_folder_named_by_a_link_is_the_folder(vault: Vault) -> None:
    vault.settled_sync()
    link = vault.root.with_name("link")
    link.symlink_to(vault.root)
    report = at(link, vault).sync()
    assert (report.unchanged, report.notices) == (3, [])
    assert len(projects(vault)) == 1


def test_two_roots_cannot_share_a_state_folder(vault: Vault, tmp_path: Path, database: Database) -> None:
    elsewhere = tmp_path / "state"
    config = f'state_dir = "{elsewhere}"\ndatabase_url = "{database.url}"\n'
    (vault.root / ".basic-memory").mkdir()
    (vault.root / ".basic-memory" / "config.toml").write_text(config)
    options = Options(state_dir=str(elsewhere))
    Vault(vault.root, options, database).sync()
    shutil.copytree(vault.root, vault.root.with_name("copy"))
    with pytest.raises(StateFolderError, match="is the state folder of"):
        Vault(vault.root.with_name("copy"), options, database).sync()
    assert len(projects(vault)) == 1


def test_an_original_that_cannot_be_looked_at_is_still_there(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.settled_sync()
    original = id_of(vault)
    copy = copied(vault, "copy")
    (vault.root / ".basic-memory" / "config.toml").write_text("no TOML at all")
    notice(copy, "was copied from")
    assert id_of(copy) != original


@pytest.mark.parametrize("kind", ["copied", "moved", "new"])
def test_a_crash_between_row_and_file_is_made_good(vault: Vault, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = vault
    if kind != "new":
        vault.settled_sync()
        here = copied(vault, "here") if kind == "copied" else moved(vault, "here")

    def fail(*_: object) -> None:
        raise StateWriteError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(claims, "write_id", fail)
        with pytest.raises(StateWriteError):
            here.sync()
    rows = projects(here)
    here.sync()
    assert projects(here) == rows
    assert_apart(*([vault, here] if kind == "copied" else [here]))


def test_a_place_holds_an_id_unless_it_is_proven_that_it_does_not(vault: Vault) -> None:
    vault.sync()
    state, own = vault.project.state, id_of(vault)
    other = copied(vault, "other")
    held = {
        os.fsencode(vault.root): False,  # the same folder, as by another mount
        os.fsencode(other.root): True,
        os.fsencode(vault.root.with_name("absent")): False,
        os.fsencode(vault.root / "a.md"): False,
        b"/" + b"x" * 300: True,
        b"/with\0nul": True,
    }
    assert {root: identity.is_held(root, own, state) for root in held} == held
    other.project.state.project_id.unlink()
    assert not identity.is_held(os.fsencode(other.root), own, state)


def test_an_id_that_cannot_be_written_is_told(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(identity, "write_file", full)
    with pytest.raises(StateWriteError, match=r"project\.id: No space left"):
        vault.sync()


def test_a_row_that_the_server_lost_is_made_anew(vault: Vault) -> None:
    vault.settled_sync()
    original = id_of(vault)
    vault.execute("DELETE FROM project")
    vault.sync()
    assert id_of(vault) == original
    assert_apart(vault)


def test_a_local_database_needs_no_id(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.write("a.md")
    vault.sync()
    assert not vault.project.state.project_id.exists()


def test_only_a_sync_writes_the_id(vault: Vault, machine: Callable[[str], None]) -> None:
    vault.settled_sync()
    before = vault.project.state.project_id.read_bytes()
    assert vault.project.state.project_id.stat().st_mode & 0o777 == 0o600
    machine("another")
    vault.status()
    vault.project.verify()
    vault.project.rehearse_sync()
    with pytest.raises(NotFoundError):
        _read(vault)
    assert vault.project.state.project_id.read_bytes() == before
    assert len(projects(vault)) == 1


def test_a_name_that_is_no_utf8_is_a_place_like_any_other(vault: Vault) -> None:
    vault.settled_sync()
    kept = ids_of(vault)
    vault = moved(vault, "caf\udce9")
    vault.sync()
    assert ids_of(vault) == kept
    assert vault.sync().notices == []
    assert identity.place_of(vault.root).root.endswith(b"/caf\xe9")


def _read(vault: Vault) -> int:
    import asyncio

    async def count() -> int:
        async with vault.project.entities() as entities:
            return await entities.count()

    return asyncio.run(count())
