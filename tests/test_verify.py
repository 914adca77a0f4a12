"""`verify`: each kind of mismatch is found by itself, pending edits are told from it, and nothing is written."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex import Options
from bm_gitindex import verify as verifying
from bm_gitindex.errors import IndexUnsupportedError, LockHeldError, SchemaUnsupportedError, StateFolderError
from bm_gitindex.index import codec, encoding
from bm_gitindex.index.entry import Tracking
from bm_gitindex.index.records import Records
from bm_gitindex.index.stat import stat_data
from bm_gitindex.indexlock import lock_index
from bm_gitindex.notes import shape
from bm_gitindex.options import NoteBounds
from bm_gitindex.oracle import database as oracle_database
from bm_gitindex.oracle.tree import TreeReader
from bm_gitindex.survey import Surveyor
from support.deep import deep_folder
from support.faults import DENIED, deny_file, deny_folder, raising
from support.values import extension, header, sealed
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bm_gitindex.index.entry import Entry
    from bm_gitindex.indexfile import IndexSnapshot
    from bm_gitindex.statefolder import StateFolder
    from bm_gitindex.verify import Verification
    from bm_gitindex.worktree.walk import Listing

ONE = """---
title: One
type: essay
permalink: first
tags: [water, nature]
status: draft
---
- [fact] water is wet #nature (seen)
- [fact] fire is hot
- relates_to [[Two]] (why)
- [[sub/picture.png]]
- [[nowhere]]
"""
TWO = "See [[First]], [[One|the first]] and [[sub/three#end]].\n"
FIXTURE_VAULT = Path(__file__).parents[1] / "fixtures" / "vault"


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A small vault, synced and settled."""
    never_young(monkeypatch)
    return small_vault(tmp_path / "vault")


@pytest.fixture
def by_mtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """The same, on a file system whose ctime says nothing, so that an edit can be hidden."""
    never_young(monkeypatch)
    return small_vault(tmp_path / "vault", Options(trust_ctime=False, check_stat="default"))


def small_vault(root: Path, options: Options | None = None) -> Vault:
    vault = Vault(root, options)
    vault.write("one.md", ONE)
    vault.write("Two.md", TWO)
    vault.write("sub/three.md", "---\ntitle: [broken\n---\n# Three\n")
    vault.write("sub/picture.png", b"\x89PNG")
    vault.settled_sync()
    return vault


def kinds(vault: Vault) -> set[tuple[bytes, str]]:
    return {(mismatch.path, mismatch.kind) for mismatch in vault.project.verify().mismatches}


def assert_clean(verification: Verification, files: int) -> None:
    assert verification.mismatches == ()
    assert verification.ok
    assert verification.pending == ()
    assert verification.files_checked == files


def forge(vault: Vault, changes: dict[bytes, Entry | None]) -> None:
    """Write an index with these changes as a sync does, and tie the database to it."""
    records = {path: None if entry is None else encoding.encode_entry(entry) for path, entry in changes.items()}
    encoded = encoding.update(vault.index, Records(records))
    with lock_index(vault.project.state, 0, "test") as lock:
        lock.commit(encoded)
    vault.age_index()
    vault.execute("UPDATE project SET index_trailer = ?", encoded.trailer.hex())


def without_foreign_keys(vault: Vault, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(vault.database_path)) as connection, connection:
        connection.execute(statement, parameters)


def everything_below(root: Path) -> dict[str, tuple[object, ...]]:
    """Every file and folder, with its bytes and mtime."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        content = path.read_bytes() if path.is_file() else None
        found[str(path)] = (content, path.lstat().st_mtime_ns, path.lstat().st_mode)
    return found


# --- what is in order ------------------------------------------------------------------------------------------------


def test_a_synced_vault_is_clean(vault: Vault) -> None:
    assert_clean(vault.project.verify(), 4)


def test_a_vault_whose_files_are_young_is_clean(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.write("one.md", ONE)
    vault.write("empty.md", "")
    vault.sync()
    assert_clean(vault.project.verify(), 2)


def test_the_fixture_vault_is_clean(tmp_path: Path) -> None:
    if not FIXTURE_VAULT.is_dir():
        pytest.skip("no fixture vault beside the tests")
    root = tmp_path / "vault"
    shutil.copytree(FIXTURE_VAULT, root, symlinks=True, ignore=shutil.ignore_patterns(".basic-memory"))
    vault = Vault(root)
    report = vault.sync()
    assert_clean(vault.project.verify(), report.added)
    assert report.added > 50


def test_before_the_first_sync_everything_is_pending(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.write("one.md")
    vault.write("sub/two.md")
    verification = vault.project.verify()
    assert verification.ok
    assert verification.pending == (b"one.md", b"sub/two.md")
    assert verification.files_checked == 0
    assert not vault.state_path.exists()


def test_an_empty_database_file_is_none(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.write("one.md")
    vault.project.state.ensure()
    vault.database_path.touch()
    assert vault.project.verify().ok


def test_edits_that_status_knows_of_are_pending(vault: Vault) -> None:
    vault.write("one.md", ONE.replace("wet", "dry"))
    (vault.root / "Two.md").unlink()
    vault.write("new.md")
    (vault.root / "sub/picture.png").rename(vault.root / "moved.png")
    verification = vault.project.verify()
    assert verification.mismatches == ()
    assert verification.ok
    assert verification.pending == (b"Two.md", b"moved.png", b"new.md", b"one.md", b"sub/picture.png")


def test_a_touched_file_is_pending(vault: Vault) -> None:
    os.utime(vault.root / "one.md", ns=(1_000, 2_000))
    verification = vault.project.verify()
    assert verification.ok
    assert verification.pending == (b"one.md",)
    vault.settled_sync()
    assert_clean(vault.project.verify(), 4)


def test_a_touch_within_the_second_is_none_where_only_seconds_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_young(monkeypatch)
    vault = Vault(tmp_path / "vault", Options(check_stat="minimal", trust_ctime=False))
    os.utime(vault.write("one.md"), ns=(5, 7_000_000_000))
    vault.settled_sync()
    os.utime(vault.root / "one.md", ns=(5, 7_000_000_001))
    assert_clean(vault.project.verify(), 1)


def test_nothing_is_written(vault: Vault) -> None:
    vault.write("one.md", "edited\n")
    vault.execute("UPDATE entity SET title = 'x' WHERE file_path = 'Two.md'")
    before = everything_below(vault.root)
    assert not vault.project.verify().ok
    assert everything_below(vault.root) == before


# --- files that a sync does not read like others ---------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["stat", "sample", "full"])
def test_large_files_are_compared_by_what_their_ids_are_made_of(tmp_path: Path, policy: Any) -> None:
    vault = Vault(tmp_path / "vault", Options(large_file_bytes=200_000, large_file_policy=policy))
    vault.write("large.bin", b"a" * 100_000 + b"b" * 200_000)
    vault.write("small.bin", b"c" * 200_000)
    vault.sync()
    assert_clean(vault.project.verify(), 2)


def test_a_note_beyond_its_bound_is_an_entity_with_a_warning(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault", Options(bounds=NoteBounds(note_max_bytes=20)))
    vault.write("large.md", "- [fact] too long to be parsed #tag\n")
    vault.sync()
    assert_clean(vault.project.verify(), 1)
    vault.execute("UPDATE entity SET warnings = '[]'")
    assert kinds(vault) == {(b"large.md", "warnings")}


def test_what_no_sync_takes_in_is_not_missed(vault: Vault) -> None:
    vault.write(".gitignore", "*.log\nbuild/\n")
    vault.write("noise.log")
    vault.write("build/out.md")
    vault.write("sub/.gitignore", "!kept.log\nunkept.md\n")
    vault.write("sub/kept.log")
    vault.write("sub/unkept.md")
    vault.write(".hidden/note.md")
    vault.write("draft.md~")
    (vault.root / "link.md").symlink_to("one.md")
    (vault.root / "linked").symlink_to("sub")
    os.mkfifo(vault.root / "pipe.md")
    vault.settled_sync()
    assert_clean(vault.project.verify(), 5)


def test_hidden_files_are_taken_in_where_asked_for(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault", Options(include_hidden=True))
    vault.write(".hidden/note.md")
    vault.write(".git/config")
    (vault.root / ".gitignore").symlink_to("elsewhere")
    vault.sync()
    assert_clean(vault.project.verify(), 1)


def test_names_that_are_not_text(vault: Vault) -> None:
    for name in (b"\xff\xfe.md", b"tab\tline\n.md", "Café.md".encode(), b"back\\slash.png", b"data:a.png"):
        (vault.root / os.fsdecode(name)).write_bytes(b"[[One]]\n")
    vault.settled_sync()
    assert_clean(vault.project.verify(), 9)


def test_a_path_beyond_the_systems_limit(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.write("one.md")
    with deep_folder(vault.root, 20) as folder_fd:
        os.close(os.open("deep.md", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder_fd))
    vault.sync()
    assert_clean(vault.project.verify(), 2)


def test_a_file_beyond_the_range_of_times(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    note = vault.write("one.md")
    os.utime(note, ns=(0, -5_000_000_001))
    vault.sync()
    assert_clean(vault.project.verify(), 1)


def test_an_unmerged_entry_is_none(vault: Vault) -> None:
    entry = vault.index[b"one.md"]
    record = bytearray(encoding.encode_entry(entry._replace(path=b"zzz.md")))
    record[60] |= 0x20  # stage 2
    records = {path: encoding.encode_entry(vault.index[path]) for path in vault.index} | {b"zzz.md": bytes(record)}
    data = sealed(header(len(records)) + b"".join(records[path] for path in sorted(records)))
    vault.index_path.write_bytes(data)
    vault.execute("UPDATE project SET index_trailer = ?", data[-20:].hex())
    assert kinds(vault) == set()


def test_a_gitignore_that_is_no_file_rules_nothing(vault: Vault) -> None:
    os.mkfifo(vault.root / ".gitignore")
    (vault.root / "sub/.gitignore").mkdir()
    assert_clean(vault.project.verify(), 4)


# --- what cannot be looked at ----------------------------------------------------------------------------------------


def test_a_folder_that_a_sync_cannot_read_keeps_what_is_known(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.write("sub/three.md", "edited behind its back\n")
    deny_folder(monkeypatch, b"sub")
    verification = vault.project.verify()
    assert verification.ok
    assert verification.pending == ()


def test_a_file_that_a_sync_cannot_read_keeps_what_is_known(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (vault.root / "Two.md").read_bytes()
    (vault.root / "Two.md").write_bytes(text.replace(b"First", b"Third"))
    deny_file(monkeypatch, b"Two.md")
    assert vault.project.verify().ok


def test_what_verify_cannot_read_is_passed_over(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open, real_listdir, real_stat = os.open, os.listdir, os.stat
    folder_inode = (vault.root / "sub").stat().st_ino

    def refusing_open(path: Any, flags: int, *args: Any, **more: Any) -> int:
        if path == b"one.md" and not flags & os.O_DIRECTORY:
            raise PermissionError(13, "Permission denied")
        return real_open(path, flags, *args, **more)

    def refusing_listdir(fd: int) -> list[str]:
        if os.fstat(fd).st_ino == folder_inode:
            raise OSError(5, "Input/output error")
        return real_listdir(fd)

    def refusing_stat(path: Any, *args: Any, **more: Any) -> os.stat_result:
        if path == b"Two.md" and more.get("dir_fd") is not None:
            raise OSError(5, "Input/output error")
        return real_stat(path, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refusing_open)
        patched.setattr(os, "listdir", refusing_listdir)
        patched.setattr(os, "stat", refusing_stat)
        reader = TreeReader(vault.root, vault.options)
        assert list(reader.files()) == []
    assert reader.unread == {b"one.md", b"Two.md", b"sub"}


def test_json_that_is_nested_without_end_is_told(vault: Vault) -> None:
    vault.execute(f"UPDATE entity SET metadata = '{'[' * 100_000}'")
    assert not vault.project.verify().ok
    vault.sync(paranoid=True)
    assert vault.project.verify().ok


def test_a_root_that_went_away_is_not_read(vault: Vault) -> None:
    reader = TreeReader(vault.root / "gone", vault.options)
    assert list(reader.files()) == []
    assert reader.unread == {b""}


def test_a_file_that_became_a_pipe_under_way_is_passed_over(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    def replaced(path: Any, *args: Any, **more: Any) -> os.stat_result:
        st = real(path, *args, **more)
        if path == b"one.md" and os.path.isfile(vault.root / "one.md"):
            (vault.root / "one.md").unlink()
            os.mkfifo(vault.root / "one.md")
        return st

    monkeypatch.setattr(os, "stat", replaced)
    reader = TreeReader(vault.root, vault.options)
    assert b"one.md" not in {found.path for found in reader.files()}
    assert reader.unread == {b"one.md"}


def test_a_placeholder_is_not_opened(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    from bm_gitindex.oracle import tree

    monkeypatch.setattr(tree, "_is_elsewhere", lambda st: True)
    reader = TreeReader(vault.root, vault.options)
    assert list(reader.files()) == []
    assert reader.unread == {b"one.md", b"Two.md", b"sub"}


# --- files against what is stored ------------------------------------------------------------------------------------


def test_an_edit_that_status_does_not_see(by_mtime: Vault) -> None:
    vault = by_mtime
    hide_edit(vault, "one.md", ONE.replace("wet", "dry").encode())
    verification = vault.project.verify()
    assert [(mismatch.path, mismatch.kind) for mismatch in verification.mismatches] == [(b"one.md", "missed-edit")]
    assert not verification.ok
    assert verification.pending == ()


def hide_edit(vault: Vault, path: str, content: bytes) -> None:
    """Change a file's content, but neither its size nor its mtime."""
    file = vault.root / path
    st = file.stat()
    assert st.st_size == len(content)
    file.write_bytes(content)
    os.utime(file, ns=(st.st_atime_ns, st.st_mtime_ns))


def test_an_edit_under_a_forged_entry(vault: Vault) -> None:
    old_entry = vault.index[b"one.md"]
    file = vault.write("one.md", ONE.replace("wet", "dry"))
    forge(vault, {b"one.md": old_entry._replace(stat=stat_data(file.stat()))})
    vault.execute("UPDATE entity SET mtime_ns = ? WHERE file_path = 'one.md'", file.stat().st_mtime_ns)
    assert kinds(vault) == {(b"one.md", "missed-edit")}


def test_a_new_file_that_status_does_not_see(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    from bm_gitindex import survey
    from bm_gitindex.worktree import walk as walking

    real = walking.walk

    def blind(*args: Any) -> Iterator[Listing]:
        for listing in real(*args):
            yield listing._replace(files=[(name, st) for name, st in listing.files if name != b"ghost.md"])

    monkeypatch.setattr(survey, "walk", blind)
    vault.write("sub/ghost.md")
    assert kinds(vault) == {(b"sub/ghost.md", "missed-file")}


def test_a_deletion_that_status_does_not_see(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Surveyor, "_settle_missing", lambda *args: None)
    (vault.root / "sub/three.md").unlink()
    assert kinds(vault) == {(b"sub/three.md", "missed-deletion")}


def test_a_size_that_agrees_in_both_stores_but_not_with_the_file(vault: Vault) -> None:
    """32 bits of the index are equal; only the 64 of the row tell."""
    vault.execute("UPDATE entity SET size_bytes = size_bytes + 4294967296 WHERE file_path = 'one.md'")
    assert kinds(vault) == {(b"one.md", "size")}


def test_an_mtime_that_agrees_in_both_stores_but_not_with_the_file(vault: Vault) -> None:
    vault.execute("UPDATE entity SET mtime_ns = mtime_ns - 4294967296 * 1000000000 WHERE file_path = 'one.md'")
    assert kinds(vault) == {(b"one.md", "mtime")}


# --- index against database ------------------------------------------------------------------------------------------


def test_a_row_that_is_missing(vault: Vault) -> None:
    vault.execute("DELETE FROM entity WHERE file_path = 'sub/three.md'")
    assert (b"sub/three.md", "not-in-database") in kinds(vault)
    assert {kind for _path, kind in kinds(vault)} == {"not-in-database"}


def test_an_entry_that_is_missing(vault: Vault) -> None:
    forge(vault, {b"sub/three.md": None})
    verification = vault.project.verify()
    assert [(mismatch.path, mismatch.kind) for mismatch in verification.mismatches] == [
        (b"sub/three.md", "not-in-index")
    ]
    assert verification.pending == (b"sub/three.md",)


def test_ids_that_differ(vault: Vault) -> None:
    vault.execute("UPDATE entity SET blob_id = ? WHERE file_path = 'one.md'", "12" * 20)
    assert kinds(vault) == {(b"one.md", "id-differs")}


def test_ids_that_differ_of_a_pending_path(vault: Vault) -> None:
    vault.write("one.md", "edited\n")
    vault.execute("UPDATE entity SET blob_id = ? WHERE file_path = 'one.md'", "12" * 20)
    verification = vault.project.verify()
    assert [mismatch.kind for mismatch in verification.mismatches] == ["id-differs"]
    assert verification.pending == (b"one.md",)


@pytest.mark.parametrize("kind", ["file", "stat-only", "sample", "nonsense"])
def test_kinds_that_differ(vault: Vault, kind: str) -> None:
    vault.execute("UPDATE entity SET kind = ? WHERE file_path = 'one.md'", kind)
    assert kinds(vault) == {(b"one.md", "kind")}


def test_a_tracking_that_differs(vault: Vault) -> None:
    entry = vault.index[b"sub/picture.png"]
    changed = type(entry).of(entry.path, entry.stat, entry.blob_id, Tracking.SAMPLE)
    forge(vault, {b"sub/picture.png": changed})
    assert kinds(vault) == {(b"sub/picture.png", "kind")}


@pytest.mark.parametrize("column", ["size_bytes", "mtime_ns"])
def test_sizes_and_times_that_differ(vault: Vault, column: str) -> None:
    vault.execute(f"UPDATE entity SET {column} = {column} + 1 WHERE file_path = 'one.md'")
    assert kinds(vault) == {(b"one.md", column.partition("_")[0])}


def test_an_entry_of_a_file_that_nobody_could_look_at_states_nothing(vault: Vault) -> None:
    entry = vault.index[b"one.md"]
    forge(vault, {b"one.md": entry._replace(stat=entry.stat._replace(size=0, mtime_s=0, mtime_ns=0))})
    verification = vault.project.verify()
    assert verification.ok
    assert verification.pending == (b"one.md",)


# --- the tie ---------------------------------------------------------------------------------------------------------


def test_an_open_tie(vault: Vault) -> None:
    vault.execute("UPDATE project SET tie_closed = 0")
    vault.execute("UPDATE relation SET pending = 1")
    [mismatch] = vault.project.verify().mismatches
    assert (mismatch.path, mismatch.kind) == (b"", "tie")
    assert "interrupted" in mismatch.detail
    assert "bm-gitindex sync" in mismatch.detail


def test_a_tie_to_another_index(vault: Vault) -> None:
    vault.execute("UPDATE project SET index_trailer = ?", "12" * 20)
    assert kinds(vault) == {(b"", "tie")}


@pytest.mark.parametrize("name", ["index", "entities.db"])
def test_one_of_both_stores_is_missing(vault: Vault, name: str) -> None:
    (vault.state_path / name).unlink()
    assert kinds(vault) == {(b"", "tie")}


@pytest.mark.parametrize("is_shm_kept", [True, False])
def test_what_a_crash_has_left_is_read_without_being_changed(
    vault: Vault, tmp_path: Path, *, is_shm_kept: bool
) -> None:
    crashed_copy(vault, tmp_path, "UPDATE project SET tie_closed = 0")
    if not is_shm_kept:
        (vault.state_path / "entities.db-shm").unlink()
    before = everything_below(vault.root)
    assert kinds(vault) == {(b"", "tie")}
    assert everything_below(vault.root) == before


def test_a_sync_that_crashed_after_its_last_commit_is_complete(vault: Vault, tmp_path: Path) -> None:
    crashed_copy(vault, tmp_path, "UPDATE sync_run SET full = NOT full")
    assert_clean(vault.project.verify(), 4)


def test_an_empty_wal_says_nothing(vault: Vault) -> None:
    for ending in ("-wal", "-shm"):
        (vault.state_path / f"entities.db{ending}").touch()
    before = everything_below(vault.root)
    assert_clean(vault.project.verify(), 4)
    assert everything_below(vault.root) == before


def crashed_copy(vault: Vault, tmp_path: Path, last_statement: str) -> None:
    """Leave the database as a writer leaves it that is killed after it committed a statement."""
    state_path, copy = vault.state_path, tmp_path / "copy"
    with closing(sqlite3.connect(vault.database_path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(last_statement)
        connection.commit()
        shutil.copytree(state_path, copy)
    shutil.rmtree(state_path)
    shutil.copytree(copy, state_path)
    assert (state_path / "entities.db-wal").stat().st_size


def test_a_sync_that_comes_in_between_explains_what_was_found(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    real = TreeReader.files
    edits = iter(["first edit\n"])

    def interrupted(self: TreeReader) -> Iterator[Any]:
        for text in edits:
            vault.write("one.md", text)
            vault.sync()
        return real(self)

    monkeypatch.setattr(TreeReader, "files", interrupted)
    assert_clean(vault.project.verify(), 4)
    assert next(edits, None) is None


@pytest.mark.parametrize("name", ["new.md", "one.md"])
def test_a_file_that_comes_or_goes_under_way_is_no_mismatch(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """There while the files are listed, and not when `status` is asked; or the other way round."""
    real = TreeReader.files
    file, aside = vault.root / name, vault.root.parent / "aside"
    looks = []

    def interrupted(self: TreeReader) -> Iterator[Any]:
        looks.append(self)
        if len(looks) > 1:
            yield from real(self)
        elif file.exists():
            file.rename(aside)
            yield from real(self)
            aside.rename(file)
        else:
            vault.write(name)
            yield from real(self)
            file.unlink()

    monkeypatch.setattr(TreeReader, "files", interrupted)
    assert_clean(vault.project.verify(), 4)
    assert len(looks) == 2


def test_a_file_that_comes_and_goes_is_no_mismatch(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as a new file, and gone when `status` is asked for what it knows of."""
    real = TreeReader.files
    visits = iter([vault.write("passing.md")])

    def passing(self: TreeReader) -> Iterator[Any]:
        yield from real(self)
        for path in visits:
            path.unlink()

    monkeypatch.setattr(TreeReader, "files", passing)
    assert_clean(vault.project.verify(), 4)


@pytest.mark.parametrize("step", ["files", "entities", "damage"], ids="after {}".format)
def test_of_a_vault_that_never_comes_to_rest_is_told_what_lasts(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A sync comes into each look, after the index was read, the database, or even the file."""
    owner: Any = TreeReader if step == "files" else oracle_database.Database
    real = getattr(owner, step)
    looks: list[object] = []

    def interrupted(self: Any) -> Any:
        looks.append(self)
        vault.write("one.md", f"edit {len(looks)}\n")
        vault.sync()
        return real(self)

    vault.execute("UPDATE entity SET title = 'Other' WHERE file_path = 'sub/three.md'")
    monkeypatch.setattr(owner, step, interrupted)
    assert kinds(vault) == {(b"sub/three.md", "title")}
    assert len(looks) == 3


def test_entities_of_another_parser(vault: Vault) -> None:
    vault.execute("UPDATE project SET parsed_by = 'other'")
    vault.execute("UPDATE entity SET title = 'as it was parsed then' WHERE file_path = 'sub/three.md'")
    assert kinds(vault) == {(b"", "stale-parse")}


def test_entities_of_an_older_parser(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape, "PARSER_VERSION", shape.PARSER_VERSION + 1)
    assert kinds(vault) == {(b"", "stale-parse")}


# --- what entities say -----------------------------------------------------------------------------------------------

WRONG_COLUMNS = [
    ("sub/three.md", "title = 'Other'", "title"),
    ("one.md", "title_from_path = 1", "title"),
    ("one.md", "type = 'note'", "type"),
    ("one.md", "content_type = 'text/plain'", "content-type"),
    ("sub/three.md", "permalink = NULL, alias_key = NULL", "permalink"),
    ("one.md", "alias_key = 'other'", "permalink"),
    ("one.md", "path_key = 'other'", "path-key"),
    ("one.md", "tags = '[\"water\"]'", "tags"),
    ("one.md", "metadata = '{}'", "metadata"),
    ("one.md", "metadata = 'no json'", "metadata"),
    ("one.md", "warnings = '[\"oh\"]'", "warnings"),
    ("sub/three.md", "warnings = '[]'", "warnings"),
    ("sub/picture.png", "title = 'picture'", "title"),
    ("sub/picture.png", "type = 'note'", "type"),
    ("sub/picture.png", "content_type = 'image/gif'", "content-type"),
    ("sub/picture.png", "permalink = 'p', alias_key = 'p'", "permalink"),
    ("sub/picture.png", "tags = '[\"a\"]'", "tags"),
    ("sub/picture.png", "metadata = '{\"a\": 1}'", "metadata"),
    ("sub/picture.png", "warnings = '[\"oh\"]'", "warnings"),
]


@pytest.mark.parametrize(("path", "change", "kind"), WRONG_COLUMNS, ids=[f"{w[0]}: {w[1]}" for w in WRONG_COLUMNS])
def test_a_column_that_says_something_else(vault: Vault, path: str, change: str, kind: str) -> None:
    vault.execute(f"UPDATE entity SET {change} WHERE file_path = ?", path)
    assert kinds(vault) == {(path.encode(), kind)}


def test_a_stated_permalink_that_another_note_has(vault: Vault) -> None:
    vault.write("zwei.md", "---\npermalink: first\n---\n")
    vault.settled_sync()
    assert vault.rows("SELECT permalink FROM entity WHERE file_path = 'zwei.md'") == [("zwei",)]
    assert_clean(vault.project.verify(), 5)


def test_a_generated_permalink_with_a_number(vault: Vault) -> None:
    vault.execute("UPDATE entity SET permalink = 'two-7', alias_key = 'two-7' WHERE file_path = 'Two.md'")
    assert kinds(vault) == set()


WRONG_CONTENT = [
    ("UPDATE observation SET category = 'opinion' WHERE position = 0", "observations"),
    ("UPDATE observation SET content = 'x' WHERE position = 0", "observations"),
    ("UPDATE observation SET tags = '[]' WHERE position = 0", "observations"),
    ("DELETE FROM entity_tag", "tags"),
    ("UPDATE entity_tag SET tag = tag || 's'", "tags"),
    ("UPDATE observation SET context = NULL WHERE position = 0", "observations"),
    ("UPDATE observation SET position = 9 WHERE position = 1", "observations"),
    ("DELETE FROM observation WHERE position = 1", "observations"),
    ("UPDATE relation SET type = 'other' WHERE target = 'Two'", "relations"),
    ("UPDATE relation SET target = 'nothing' WHERE target = 'nowhere'", "relations"),
    ("UPDATE relation SET target_name = 'nothing' WHERE target = 'nowhere'", "relations"),
    ("UPDATE relation SET target_key = 'nothing' WHERE target = 'nowhere'", "relations"),
    ("UPDATE relation SET target_alias = 'nothing' WHERE target = 'nowhere'", "relations"),
    ("UPDATE relation SET context = NULL WHERE target = 'Two'", "relations"),
    ("UPDATE relation SET position = 9 WHERE target = 'nowhere'", "relations"),
    ("DELETE FROM relation WHERE target = 'nowhere'", "relations"),
]


@pytest.mark.parametrize(("statement", "kind"), WRONG_CONTENT, ids=[statement for statement, _kind in WRONG_CONTENT])
def test_observations_and_relations_that_say_something_else(vault: Vault, statement: str, kind: str) -> None:
    vault.execute(statement)
    assert kinds(vault) == {(b"one.md", kind)}


def test_a_file_has_no_content(vault: Vault) -> None:
    picture = vault.ids()["sub/picture.png"]
    vault.execute("UPDATE observation SET entity_id = ?, position = 7 WHERE position = 1", picture)
    assert kinds(vault) == {(b"one.md", "observations"), (b"sub/picture.png", "observations")}


# --- links -----------------------------------------------------------------------------------------------------------


def test_links_of_every_rule_are_resolved(vault: Vault) -> None:
    vault.write("sub/Twin One.md", "---\ntitle: Twin\n---\n")
    vault.write("Twin Two.md", "---\ntitle: Twin\n---\n")
    vault.write(
        "links.md",
        "[[first]] [[One]] [[sub/picture.png]] [[sub/three]] [[SUB/THREE]] [[twin_two]] [[Twin]] [[#top]] [[x|One]]\n",
    )
    vault.settled_sync()
    assert_clean(vault.project.verify(), 7)
    query = """SELECT target, file_path FROM relation LEFT JOIN entity ON entity.id = to_id
               WHERE from_id = ? ORDER BY position"""
    assert dict(vault.rows(query, vault.ids()["links.md"])) == {  # type: ignore[arg-type]
        "first": "one.md",
        "One": "one.md",
        "sub/picture.png": "sub/picture.png",
        "sub/three": "sub/three.md",
        "SUB/THREE": "sub/three.md",
        "twin_two": "Twin Two.md",
        "Twin": None,
        "#top": None,
        "x|One": None,
    }


WRONG_LINKS = [
    ("UPDATE relation SET to_id = NULL WHERE target = 'Two'", b"one.md"),
    ("UPDATE relation SET to_id = from_id WHERE target = 'Two'", b"one.md"),
    ("UPDATE relation SET to_id = from_id WHERE target = 'nowhere'", b"one.md"),
    ("UPDATE relation SET to_id = from_id WHERE target = 'First'", b"Two.md"),
    ("UPDATE relation SET pending = 1 WHERE target = 'First'", b"Two.md"),
]


@pytest.mark.parametrize(("statement", "path"), WRONG_LINKS, ids=[statement for statement, _path in WRONG_LINKS])
def test_a_link_that_leads_elsewhere(vault: Vault, statement: str, path: bytes) -> None:
    vault.execute(statement)
    assert kinds(vault) == {(path, "link")}


# --- damage ----------------------------------------------------------------------------------------------------------

ORPHANS = [
    "INSERT INTO observation (entity_id, position, category, content, tags) VALUES (99, 0, 'c', 'x', '[]')",
    "UPDATE relation SET to_id = 99 WHERE target = 'Two'",
    "UPDATE relation SET project_id = 99 WHERE target = 'Two'",
    """INSERT INTO relation (project_id, from_id, position, type, target, target_name, target_key, target_alias,
                             pending)
       VALUES (1, 99, 0, 't', 'x', 'x', 'x', 'x', 0)""",
    """INSERT INTO project (name, tie_closed, parsed_by, entries_at_full_sync, deleted_since_full_sync)
       VALUES ('other', 0, '', 0, 0)""",
    """INSERT INTO file_failure (project_id, file_path, error, failures, window_started_at, last_failed_at, size_bytes,
                                 mtime_ns, ctime_ns) VALUES (99, 'x', 'x', 1, '', '', 0, 0, 0)""",
]


@pytest.mark.parametrize("statement", ORPHANS, ids=range(len(ORPHANS)))
def test_rows_that_must_not_be(vault: Vault, statement: str) -> None:
    without_foreign_keys(vault, statement)
    assert kinds(vault) == {(b"", "database")}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entity SET size_bytes = 'many' WHERE file_path = 'one.md'",
        "UPDATE entity SET title = x'00ff' WHERE file_path = 'one.md'",
        "UPDATE entity SET title = CAST(x'ff' AS TEXT) WHERE file_path = 'one.md'",
        "UPDATE relation SET target = x'00ff' WHERE target = 'nowhere'",
        "DROP TABLE observation",
    ],
)
def test_a_database_that_makes_no_sense(vault: Vault, statement: str) -> None:
    vault.execute(statement)
    assert kinds(vault) == {(b"", "database")}


def test_a_file_that_is_no_database(vault: Vault) -> None:
    vault.database_path.write_bytes(b"this is not a database, however long it may be" * 100)
    assert kinds(vault) == {(b"", "database")}


def test_an_emptied_database(vault: Vault) -> None:
    vault.database_path.write_bytes(b"")
    assert kinds(vault) == {(b"", "tie")}


def test_a_database_without_tables(vault: Vault) -> None:
    vault.database_path.unlink()
    with closing(sqlite3.connect(vault.database_path)) as connection:
        connection.execute("CREATE TABLE something (x)")
    assert kinds(vault) == {(b"", "tie")}


def test_a_damaged_database_never_ends_verify(vault: Vault) -> None:
    whole = vault.database_path.read_bytes()
    for length in range(1, len(whole), len(whole) // 60):
        vault.database_path.write_bytes(whole[:length])
        assert not vault.project.verify().ok
    for offset in range(0, len(whole), len(whole) // 300):
        vault.database_path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0xFF]) + whole[offset + 1 :])
        vault.project.verify()  # free space may hold anything


def test_both_are_damaged(vault: Vault) -> None:
    vault.database_path.write_bytes(b"no database" * 1000)
    vault.index_path.write_bytes(b"no index" * 1000)
    assert kinds(vault) == {(b"", "database"), (b"", "index")}


def test_every_flipped_byte_of_the_index_is_found(vault: Vault) -> None:
    whole = vault.index_path.read_bytes()
    for offset in range(len(whole)):
        vault.index_path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0xFF]) + whole[offset + 1 :])
        assert kinds(vault) == {(b"", "index")}


def test_a_cut_index_is_found(vault: Vault) -> None:
    whole = vault.index_path.read_bytes()
    for length in range(0, len(whole), 7):
        vault.index_path.write_bytes(whole[:length])
        assert kinds(vault) == {(b"", "index")}


def test_the_two_readers_of_the_index_are_held_against_each_other(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(vault, {b"sub/three.md": vault.index[b"sub/three.md"].with_size_zero()})
    monkeypatch.setattr("bm_gitindex.oracle.entries._from_dulwich", lambda entry: vault.index[b"one.md"], raising=True)
    [mismatch] = vault.project.verify().mismatches
    assert mismatch.kind == "index"
    assert "dulwich reads something else" in mismatch.detail


@pytest.mark.parametrize("error", [AssertionError("x"), ValueError("x")])
def test_an_index_that_dulwich_refuses(vault: Vault, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(file: object) -> None:
        raise error

    monkeypatch.setattr("bm_gitindex.oracle.entries.read_index", refuse)
    assert kinds(vault) == {(b"", "index")}


def test_a_checksum_that_our_reader_overlooks(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_verify_trailer", lambda *_: True)
    data = vault.index_path.read_bytes()
    vault.index_path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert (b"", "index") in kinds(vault)


# --- what is not for verify to judge ---------------------------------------------------------------------------------


def test_an_index_that_is_not_supported(vault: Vault) -> None:
    vault.index_path.write_bytes(sealed(header(0) + extension(b"link", b"")))
    with pytest.raises(IndexUnsupportedError):
        vault.project.verify()


def test_a_schema_of_a_newer_release(vault: Vault) -> None:
    vault.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaUnsupportedError):
        vault.project.verify()


def test_a_schema_of_an_older_release(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle_database, "SCHEMA_HEAD", "0003")
    assert kinds(vault) == {(b"", "tie")}


def test_a_schema_without_a_revision(vault: Vault) -> None:
    vault.execute("DELETE FROM alembic_version")
    assert kinds(vault) == {(b"", "tie")}


def test_a_database_that_somebody_keeps_locked(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle_database, "BUSY_TIMEOUT_S", 0)
    with closing(sqlite3.connect(vault.database_path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockHeldError):
            vault.project.verify()


def test_a_database_that_cannot_be_read(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.database_path.unlink()
    vault.database_path.mkdir()
    with pytest.raises(StateFolderError):
        vault.project.verify()


def test_a_change_that_a_crash_has_left_half_done(vault: Vault, tmp_path: Path) -> None:
    """A hot rollback journal: only a writer may play it back."""
    with closing(sqlite3.connect(vault.database_path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE entity SET metadata = ?", ("x" * 100_000,))
        copies = {name: (vault.state_path / name).read_bytes() for name in ("entities.db", "entities.db-journal")}
        connection.execute("ROLLBACK")
    for name, content in copies.items():
        (vault.state_path / name).write_bytes(content)
    before = everything_below(vault.root)
    assert kinds(vault) == {(b"", "tie")}
    assert everything_below(vault.root) == before


def test_an_index_that_is_replaced_between_the_two_readers_is_read_again(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = vars(verifying)["read_index"]
    looks = []

    def overtaken(state: StateFolder) -> IndexSnapshot:
        snapshot: IndexSnapshot = real(state)
        looks.append(snapshot)
        if len(looks) <= 3:
            vault.write(f"new{len(looks)}.md")
            vault.sync()
        return snapshot

    monkeypatch.setattr(verifying, "read_index", overtaken)
    assert_clean(vault.project.verify(), 7)
    assert len(looks) == 4


def test_an_index_that_vanishes_under_way(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "open_state_file", raising(DENIED))
    with pytest.raises(StateFolderError, match="Permission denied"):
        vault.project.verify()


def test_a_database_on_a_failing_disk(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        raise error

    monkeypatch.setattr(oracle_database.Database, "damage", fail)
    with pytest.raises(StateFolderError, match="disk I/O error"):
        vault.project.verify()


# --- the index in other forms ----------------------------------------------------------------------------------------


def test_an_index_without_a_checksum(vault: Vault) -> None:
    data = vault.index_path.read_bytes()
    vault.index_path.write_bytes(data[:-20] + bytes(20))
    assert kinds(vault) == {(b"", "tie")}
