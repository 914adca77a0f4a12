"""Databases that are none of basic-memory's, damaged, hostile, or in use; and that nothing of them changes."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import ImportRequest, basicmemory
from bm_gitindex.basicmemory import open_basic_memory
from bm_gitindex.errors import ForeignDatabaseError, LockHeldError
from support.basicmemory import NOTES, PROJECT, TheirDatabase
from support.importing import STORED, adopt, identities, permalinks
from support.profile import sample

if TYPE_CHECKING:
    from pathlib import Path

    from support.vault import Vault

pytestmark = pytest.mark.sqlite_file  # theirs, whatever ours is

PLAN = "Plan.md"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_nothing_of_theirs_changes_and_nothing_is_left_beside_it(garden: Vault, theirs: TheirDatabase) -> None:
    before = bytes_of(theirs.path.parent)
    assert set(before) == {"memory.db"}
    adopt(garden, theirs)
    assert bytes_of(theirs.path.parent) == before


def test_what_a_running_basic_memory_has_committed_is_seen_and_no_more(garden: Vault, theirs: TheirDatabase) -> None:
    with closing(sqlite3.connect(theirs.path, isolation_level=None)) as running:
        running.execute("UPDATE entity SET permalink = 'committed' WHERE file_path = 'Plan.md'")
        running.execute("BEGIN IMMEDIATE")
        running.execute("UPDATE entity SET permalink = 'not committed' WHERE file_path = 'Soil.md'")
        before = set(bytes_of(theirs.path.parent))
        assert before == {"memory.db", "memory.db-wal", "memory.db-shm"}
        adopt(garden, theirs)
        running.execute("COMMIT")
        assert set(bytes_of(theirs.path.parent)) == before
    assert permalinks(garden)["Plan.md"] == "committed"
    assert permalinks(garden)["Soil.md"] == "garden/soil"


def test_what_a_killed_basic_memory_has_committed_is_seen(garden: Vault, theirs: TheirDatabase) -> None:
    with closing(sqlite3.connect(theirs.path, isolation_level=None)) as running:
        running.execute("UPDATE entity SET permalink = 'committed' WHERE file_path = 'Plan.md'")
        left = theirs.path.parent.with_name("left")
        left.mkdir()
        for name in ("memory.db", "memory.db-wal"):
            shutil.copy(theirs.path.with_name(name), left / name)
    before = bytes_of(left)
    adopt(garden, TheirDatabase(left / "memory.db"))
    assert permalinks(garden)["Plan.md"] == "committed"
    assert bytes_of(left) == before


def test_a_database_that_changes_while_it_is_read_without_locks_is_not_believed(
    garden: Vault, theirs: TheirDatabase
) -> None:
    garden.sync()
    before = garden.rows(STORED)

    def change(progress: object) -> None:
        theirs.execute("UPDATE entity SET permalink = 'other' WHERE file_path = 'Plan.md'")

    with pytest.raises(LockHeldError, match="again"):
        garden.project.import_basic_memory_blocking(ImportRequest(theirs.path, PROJECT, on_progress=change))
    assert garden.rows(STORED) == before


def test_a_database_that_another_program_has_to_itself_is_left_alone(
    garden: Vault, theirs: TheirDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basicmemory, "_BUSY_TIMEOUT_S", 0)
    theirs.execute("PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(theirs.path, isolation_level=None)) as running:
        running.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockHeldError, match=r"memory\.db: another program is using it"):
            adopt(garden, theirs)
    assert not garden.state_path.exists()
    assert adopt(garden, theirs).adopted == len(NOTES)


def test_a_change_that_a_crash_has_left_half_done_is_not_read(garden: Vault, theirs: TheirDatabase) -> None:
    left = theirs.path.parent.with_name("left")
    left.mkdir()
    theirs.execute("PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(theirs.path, isolation_level=None)) as running:
        running.execute("PRAGMA cache_size = 1")  # so that it writes before it commits
        running.execute("BEGIN")
        running.execute("UPDATE entity SET permalink = hex(randomblob(5000))")
        for name in ("memory.db", "memory.db-journal"):
            shutil.copy(theirs.path.with_name(name), left / name)
    before = bytes_of(left)
    with pytest.raises(ForeignDatabaseError, match=r"memory\.db: a crash has left a change half done; start basic-mem"):
        adopt(garden, TheirDatabase(left / "memory.db"))
    assert bytes_of(left) == before
    assert not garden.state_path.exists()


def test_a_link_to_the_database_is_followed(garden: Vault, theirs: TheirDatabase, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(theirs.path)
    assert adopt(garden, TheirDatabase(link)).adopted == len(NOTES)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("external_id", "no uuid", "UUID"),
        ("external_id", "00000000-0000-0000-0000-000000000000", "UUID"),
        ("external_id", "{C4156F3F-334C-4E8F-886B-6593F41CB30C}", "UUID"),
        ("external_id", 7, "UUID"),
        ("external_id", b"c4156f3f-334c-4e8f-886b-6593f41cb30c", "UUID"),
        ("permalink", "", "permalink"),
        ("permalink", b"\xff", "permalink"),
        ("permalink", "a\0b", "permalink"),
        ("permalink", "x" * 5_000_000, "permalink"),
        ("created_at", "yesterday", "date"),
        ("created_at", 20230101, "date"),
        ("created_at", "0001-01-01 00:00:00+14:00", "date"),
        ("created_at", "2023-01-01\0", "date"),
        ("file_path", b"Plan.md", "path"),
        ("file_path", "", "path"),
        ("file_path", "/etc/passwd", "path"),
        ("file_path", "../Plan.md", "path"),
        ("file_path", "beds/../Plan.md", "path"),
        ("file_path", "./Plan.md", "path"),
        ("file_path", "beds//Plan.md", "path"),
        ("file_path", "Plan.md\0", "path"),
        ("file_path", "x/" * 5_000 + "a.md", "path"),
        ("file_path", "Soil.md", "more than once"),
    ],
)
def test_what_cannot_be_used_is_skipped_with_a_reason(
    garden: Vault, theirs: TheirDatabase, column: str, value: object, reason: str
) -> None:
    garden.sync()
    before = identities(garden)
    theirs.execute("PRAGMA ignore_check_constraints = ON")
    theirs.update(PLAN, column, value)
    report = adopt(garden, theirs)
    assert [reason in one.reason for one in report.skipped] == [True]
    assert identities(garden)[PLAN] == before[PLAN]
    assert identities(garden)["map.pdf"] != before["map.pdf"]


def test_text_that_is_not_utf_8_is_no_permalink(garden: Vault, theirs: TheirDatabase) -> None:
    theirs.without_indexes()
    theirs.execute("UPDATE entity SET permalink = CAST(X'FF' AS TEXT) WHERE file_path = 'Plan.md'")
    assert [one.path for one in adopt(garden, theirs).skipped] == [PLAN.encode()]


def test_a_path_that_is_not_utf_8_is_bytes_as_any_other(garden: Vault, theirs: TheirDatabase) -> None:
    theirs.without_indexes()
    theirs.execute("UPDATE entity SET file_path = CAST(X'FF2E6D64' AS TEXT) WHERE file_path = 'Plan.md'")
    assert b"\xff.md" in adopt(garden, theirs).not_found


def _replaced_by(theirs: TheirDatabase, *statements: str) -> None:
    theirs.without_indexes()
    theirs.execute("ALTER TABLE entity RENAME TO real")
    for statement in statements:
        theirs.execute(statement)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["CREATE VIEW entity AS SELECT * FROM real"], "not a plain table"),
        (["CREATE VIRTUAL TABLE entity USING fts5(file_path)"], "not a plain table"),
        (["CREATE TABLE entity (file_path, external_id, permalink, created_at)"], "no column project_id"),
        (
            ["CREATE TABLE entity (project_id, file_path, external_id, permalink AS (hex(9)), created_at)"],
            "no column permalink",
        ),
        ([], "no table entity"),
    ],
)
def test_what_would_run_or_lacks_columns_is_refused(
    garden: Vault, theirs: TheirDatabase, statements: list[str], message: str
) -> None:
    _replaced_by(theirs, *statements)
    with pytest.raises(ForeignDatabaseError, match=message):
        adopt(garden, theirs)
    assert not garden.state_path.exists()


def test_a_trigger_on_their_tables_runs_nothing(garden: Vault, theirs: TheirDatabase) -> None:
    theirs.execute("CREATE TRIGGER t AFTER UPDATE ON entity BEGIN DELETE FROM project; END")
    assert adopt(garden, theirs).adopted == len(NOTES)


@pytest.mark.parametrize("what", ["title", "upper(file_path)", "tags_json", "count(*)"])
def test_no_other_column_is_read_and_no_other_function_called(theirs: TheirDatabase, what: str) -> None:
    with open_basic_memory(theirs.path, PROJECT) as opened:
        assert len(list(opened.identities())) > len(NOTES)
        with pytest.raises(sqlite3.DatabaseError, match=r"prohibited|not authorized"):
            opened._connection.execute(f"SELECT {what} FROM entity")


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 200, None])
def test_what_is_no_database_is_refused(garden: Vault, theirs: TheirDatabase, content: bytes | None) -> None:
    if content is None:
        theirs.path.unlink()
    else:
        theirs.path.write_bytes(content)
    with pytest.raises(ForeignDatabaseError, match=r"memory\.db"):
        adopt(garden, theirs)
    assert not garden.state_path.exists()


def test_our_own_database_is_not_theirs(garden: Vault) -> None:
    garden.sync()
    with pytest.raises(ForeignDatabaseError, match="not a database of basic-memory"):
        adopt(garden, TheirDatabase(garden.database_path))


@pytest.mark.parametrize("name", ["nothing", "", "a\0b", "/"])
def test_an_unknown_project_is_answered_with_those_that_there_are(theirs: TheirDatabase, name: str) -> None:
    known = "its projects: 'garden', 'main', 'shed'"
    with pytest.raises(ForeignDatabaseError, match=known), open_basic_memory(theirs.path, name):
        pass


def test_a_name_that_two_projects_have_is_no_name(theirs: TheirDatabase) -> None:
    theirs.execute("UPDATE project SET path = '/home/ann/garden'")
    with pytest.raises(ForeignDatabaseError, match="may mean"), open_basic_memory(theirs.path, "/home/ann/garden"):
        pass


def test_damage_is_survived_wherever_it_is(theirs: TheirDatabase) -> None:
    """Whatever a flipped byte does to their file: it can be read, or one of our errors says that it cannot."""
    whole = theirs.path.read_bytes()
    for position in sample(range(len(whole)), 400):
        theirs.path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            with open_basic_memory(theirs.path, PROJECT) as opened:
                list(opened.identities())
        except (ForeignDatabaseError, LockHeldError):
            pass
