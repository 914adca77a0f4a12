"""A damaged entity database: kept aside and built anew, or harmless, or told by `verify` and mended by what it says."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest

from bm_gitindex.cli.output import EXIT_DAMAGED
from bm_gitindex.entities.tie import SCHEMA_HEAD
from bm_gitindex.errors import DatabaseDamagedError, NotFoundError
from support.damage import Scene, flipped
from support.profile import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PAGE_BYTES = 4096
_HEADER_BYTES = 100


class Outcome(NamedTuple):
    """What became of a damaged database."""

    was_set_aside: bool
    was_ok_before: bool
    was_ok_after_a_sync: bool


def endure(scene: Scene, *, edits: bool = False) -> Outcome:
    """Run everything on a vault whose database was damaged; fail for whatever must not be."""
    vault = scene.vault
    damaged, stands_alone = vault.database_path.read_bytes(), not list(vault.state_path.glob("entities.db-*"))
    was_ok_before = vault.project.verify().ok
    look_up(scene)
    assert not stands_alone or vault.database_path.read_bytes() == damaged, "a reader wrote"
    assert scene.run("status") == 0, "status asks the files and the index alone"
    if edits:
        vault.write("notes/2.md", "---\ntitle: Edited\n---\n- [new] fact #x\n- follows [[Note 3]]\n")
    assert scene.run("sync") == 0
    was_ok_after = vault.project.verify().ok
    if not was_ok_after:
        assert scene.run("sync", "--paranoid") == 0
        assert vault.project.verify().ok, "what verify advises does not mend it"
    kept = scene.set_aside("entities.db")
    if not edits:
        assert vault.meaning() == scene.meaning, "verify says ok, and it is not"
        assert scene.files_are_untouched
    assert look_up(scene) == len(scene.files)
    return Outcome(bool(kept), was_ok_before, was_ok_after)


def look_up(scene: Scene) -> int:
    """Ask for every entity, and return how many there are; there may be errors, but of ours alone."""

    async def ask() -> int:
        async with scene.vault.project.entities() as entities:
            paths = [path.relative_to(scene.vault.root) for path in scene.files]
            return sum([await entities.get(str(path)) is not None for path in paths])

    try:
        return asyncio.run(ask())
    except (DatabaseDamagedError, NotFoundError):
        return 0


# --- bytes -----------------------------------------------------------------------------------------------------------


def flips_of_the_header(data: bytes) -> Iterator[bytes]:
    for at in range(_HEADER_BYTES):
        for mask in (0x01, 0x08, 0x80, 0xFF):
            yield flipped(data, at, mask)


def flips_of_pages(data: bytes) -> Iterator[bytes]:
    """Yield flips at the places of each page where SQLite keeps its numbers, and in its content."""
    for start in range(0, len(data), _PAGE_BYTES):
        for at in (0, 2, 4, 6, 9, 13, 100, 1000, 2000, 3000, 3500, 3900, 4000, 4090, 4095):
            yield flipped(data, start + at, 0x41 if at % 2 else 0x81)


def lost_pages(data: bytes) -> Iterator[bytes]:
    """Yield pages overwritten: with zeros, with each other, to the half."""
    for start in range(0, len(data), _PAGE_BYTES):
        end = start + _PAGE_BYTES
        other = data[end : end + _PAGE_BYTES] or data[:_PAGE_BYTES]
        for page in (bytes(_PAGE_BYTES), other, data[start : start + 2048] + bytes(2048), b"\xa5" * _PAGE_BYTES):
            yield data[:start] + page + data[end:]


def truncations(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _PAGE_BYTES):
        for length in (start, start + 1, start + 17, start + 2048, start + 4095):
            yield data[:length]


DAMAGES: list[tuple[Callable[[bytes], Iterator[bytes]], int]] = [
    (flips_of_the_header, 5),
    (flips_of_pages, 8),
    (lost_pages, 6),
    (truncations, 4),
]


@pytest.mark.parametrize(("damages", "count"), DAMAGES, ids=[damages.__name__ for damages, _ in DAMAGES])
@pytest.mark.parametrize("edits", [False, True], ids=["nothing to sync", "an edit to sync"])
def test_damaged_bytes_end_no_run_and_are_mended(
    scene: Scene, damages: Callable[[bytes], Iterator[bytes]], count: int, edits: bool
) -> None:
    outcomes = set()
    every = list(damages(scene.vault.database_path.read_bytes()))
    for damaged in sample(every[edits:], count):
        scene.vault.database_path.write_bytes(damaged)
        outcomes.add(endure(scene, edits=edits))
        scene.restore()
    assert any(outcome.was_set_aside for outcome in outcomes)
    assert any(not outcome.was_ok_before for outcome in outcomes)


@pytest.mark.parametrize("content", [b"", b"text\n" * 1000, b"\xff" * 8192, bytes(8192), b"SQLite format 3\0", b"S"])
def test_a_file_of_other_content_is_kept_aside_and_built_anew_in_one_sync(
    scene: Scene, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.vault.database_path.write_bytes(content)
    outcome = endure(scene)
    assert not outcome.was_ok_before
    assert outcome.was_ok_after_a_sync
    assert outcome.was_set_aside is bool(content)
    assert ("entities.db.corrupt-1" in capsys.readouterr().err) is bool(content)
    assert scene.set_aside("entities.db") == ([content] if content else [])


def test_a_folder_in_its_place_is_named_and_nothing_is_lost(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    database = scene.vault.database_path
    database.unlink()
    database.mkdir()
    for command in ("sync", "verify", "show notes/1.md"):
        assert scene.run(*command.split()) == 6
        assert str(database) in capsys.readouterr().err
    assert scene.run("status") == 0
    database.rmdir()
    assert scene.run("sync") == 0
    assert scene.vault.project.verify().ok
    assert scene.files_are_untouched


def test_a_link_in_its_place_is_not_followed(scene: Scene, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    shutil.move(scene.vault.database_path, elsewhere)
    before = elsewhere.read_bytes()
    scene.vault.database_path.symlink_to(elsewhere)
    assert scene.run("sync") == 6
    assert scene.run("show", "notes/1.md") == 6
    assert elsewhere.read_bytes() == before


# --- files beside it -------------------------------------------------------------------------------------------------


def left_behind(database: Path, statement: str, mode: str) -> dict[str, bytes]:
    """Return the database and what is beside it as a crash in the middle of a transaction of its own leaves them."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("BEGIN")
        connection.execute(statement)
        if mode == "wal":
            connection.execute("COMMIT")
        files = {path.name: path.read_bytes() for path in database.parent.glob("entities.db*")}
        if mode != "wal":
            connection.execute("ROLLBACK")
    return files


CHANGE = "UPDATE entity SET title = title || ' changed', metadata = json_object('long', hex(randomblob(20000)))"


@pytest.mark.parametrize("lost", [(), ("-shm",), ("-wal",), ("-wal", "-shm")], ids=repr)
def test_a_wal_that_is_lost_is_noticed_by_the_tie(scene: Scene, lost: tuple[str, ...]) -> None:
    database = scene.vault.database_path
    files = left_behind(database, "UPDATE project SET tie_closed = 0", "wal")
    for name, data in files.items():
        database.with_name(name).write_bytes(data)
    for ending in lost:
        database.with_name(database.name + ending).unlink()
    assert endure(scene).was_set_aside is False
    assert scene.vault.ids() == scene.ids


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("content", [b"", b"garbage " * 4000, bytes(40_000)], ids=["empty", "garbage", "zeros"])
def test_garbage_beside_it_costs_nothing(scene: Scene, ending: str, content: bytes) -> None:
    database = scene.vault.database_path
    database.with_name(database.name + ending).write_bytes(content)
    endure(scene)
    assert scene.vault.ids() == scene.ids


@pytest.mark.parametrize(("mode", "ending"), [("wal", "-wal"), ("delete", "-journal")])
def test_the_wal_or_journal_of_another_state_is_mended(scene: Scene, mode: str, ending: str) -> None:
    """A copy of the database was put back, and what belonged to the newer one stayed."""
    database = scene.vault.database_path
    whole = database.read_bytes()
    files = left_behind(database, CHANGE, mode)
    database.write_bytes(whole)
    for name, data in files.items():
        if name.endswith(ending):
            database.with_name(name).write_bytes(data)
    endure(scene)


def test_the_wal_of_another_vault_is_mended(scene: Scene, tmp_path: Path) -> None:
    database = scene.vault.database_path
    other = tmp_path / "entities.db"
    shutil.copy(database, other)
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("DELETE FROM entity")
        connection.execute("VACUUM")
    wal = left_behind(other, "CREATE TABLE more AS SELECT hex(randomblob(9000))", "wal")["entities.db-wal"]
    database.with_name("entities.db-wal").write_bytes(wal)
    endure(scene)


# --- schema and rows -------------------------------------------------------------------------------------------------


def change(scene: Scene, *statements: str) -> None:
    """Run statements that nothing keeps from making nonsense."""
    with closing(sqlite3.connect(scene.vault.database_path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)


NULLABLE = "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = '{}'"
NONSENSE = {
    "a table is gone": ["DROP TABLE relation"],
    "all tables are gone": [
        "DELETE FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'",
    ],
    "a column is gone": ["ALTER TABLE entity DROP COLUMN content_type"],
    "a column is renamed": ["ALTER TABLE observation RENAME COLUMN context TO remark"],
    "the schema has no revision": ["DELETE FROM alembic_version"],
    "the schema is another's": ["UPDATE alembic_version SET version_num = 'd7a1b2c3e4f5'"],
    "the schema is two": ["INSERT INTO alembic_version VALUES ('0000')"],
    "there is no project": ["DELETE FROM project"],
    "there are two projects": [
        "INSERT INTO project SELECT 7, 'other', 1, index_trailer, '', 0, 0, NULL, NULL FROM project"
    ],
    "the project is another": ["UPDATE project SET id = 7"],
    "there are no entities": ["DELETE FROM entity"],
    "no observation has an entity": ["UPDATE observation SET entity_id = entity_id + 100"],
    "links lead nowhere": ["UPDATE relation SET to_id = 100"],
    "links lead elsewhere": ["UPDATE relation SET to_id = 1"],
    "links are pending": ["UPDATE relation SET pending = 1"],
    "a date is a number": ["UPDATE entity SET updated_at = x'00'"],
    "a title is another": ["UPDATE entity SET title = 'Other' WHERE file_path = 'notes/1.md'"],
    "a title is no text": ["UPDATE entity SET title = x'ff00'"],
    "a title is not UTF-8": ["UPDATE entity SET title = CAST(x'ff' AS TEXT)"],
    "a fact is another": ["UPDATE observation SET content = 'Other'"],
    "facts are lost": ["DELETE FROM observation WHERE id % 2"],
    "links are lost": ["DELETE FROM relation WHERE id % 2"],
    "a file is another's": ["UPDATE entity SET content_type = 'x/y', title = 'x' WHERE file_path = 'small.png'"],
    "a large file is another's": ["UPDATE entity SET size_bytes = 7 WHERE file_path = 'large.pdf'"],
    "an id is another": ["UPDATE entity SET blob_id = replace(blob_id, '1', '2')"],
    "an id is none": ["UPDATE entity SET blob_id = 'x'"],
    "a kind is none": ["UPDATE entity SET kind = 'thing'"],
    "a kind is another": ["UPDATE entity SET kind = 'stat-only' WHERE file_path = 'notes/1.md'"],
    "a size is none": ["UPDATE entity SET size_bytes = 'many'"],
    "a path is another": ["UPDATE entity SET file_path = 'notes/9.md' WHERE file_path = 'notes/1.md'"],
    "a date is none": ["UPDATE entity SET created_at = 'x'"],
    "tags are no JSON": ["UPDATE entity SET tags = '[', metadata = ''"],
    "tags are null": ["UPDATE entity SET tags = 'null'"],
    "warnings are a truth": ["UPDATE entity SET warnings = 'true'"],
    "tags of facts are null": ["UPDATE observation SET tags = 'null'"],
    "a link is no text": ["UPDATE relation SET target = x'ff00'"],
    "a relation is no text": ["UPDATE relation SET type = x'ff00'"],
    "tags are another JSON": ["UPDATE entity SET tags = '7', metadata = '[]'"],
    "columns are NULL": [NULLABLE.format("entity"), "PRAGMA writable_schema = RESET", "UPDATE entity SET title = NULL"],
    "an entity's parser is another": ["UPDATE entity SET parsed_by = 'x' WHERE file_path = 'notes/1.md'"],
    "an entity's parser is no text": ["UPDATE entity SET parsed_by = CAST(x'ff' AS TEXT)"],
    "a date is from nowhere": ["UPDATE entity SET updated_at_from_note = 'x'"],
    "the tie is open": ["UPDATE project SET tie_closed = 0"],
    "the tie is another's": ["UPDATE project SET index_trailer = '" + "0" * 40 + "'"],
    "the tie is none": ["UPDATE project SET index_trailer = 'x'"],
    "numbers are none": ["UPDATE project SET entries_at_full_sync = 'x'"],
    "the parser is another": ["UPDATE project SET parsed_by = ''"],
    "runs are nonsense": ["UPDATE sync_run SET counts = '{', started_at = ''"],
    "failures are nonsense": [
        "INSERT INTO file_failure VALUES (1, 1, 'notes/1.md', 'x', 1, 'x', 'x', 0, 0, 0)",
    ],
    "an index is gone": ["DROP INDEX ix_relation_pending", "DROP INDEX ix_entity_project_id_title"],
}


HARMLESS = {"an index is gone", "an entity's parser is another"}


@pytest.mark.parametrize(("name", "edits"), sample([(name, edits) for name in NONSENSE for edits in (False, True)], 45))
def test_rows_of_nonsense_end_no_run_and_are_mended(scene: Scene, name: str, edits: bool) -> None:
    change(scene, *NONSENSE[name])
    outcome = endure(scene, edits=edits)
    assert outcome.was_ok_before is (name in HARMLESS)


QUESTIONS = ("find", "find --json", "links --unresolved", "links --orphans", "links notes/1.md", "show notes/1.md")
UNREADABLE = {
    "a date is a number": {"find", "find --json", "links notes/1.md", "show notes/1.md"},
    "a title is no text": {"find", "find --json", "links notes/1.md", "show notes/1.md"},
    "a kind is none": {"find", "find --json", "links notes/1.md", "show notes/1.md"},
    "tags are null": {"find", "find --json", "links notes/1.md", "show notes/1.md"},
    "warnings are a truth": {"find", "find --json", "links notes/1.md", "show notes/1.md"},
    "tags of facts are null": {"links notes/1.md", "show notes/1.md"},
    "a link is no text": {"links --unresolved", "links notes/1.md", "show notes/1.md"},
    "a relation is no text": {"links --unresolved", "links notes/1.md", "show notes/1.md"},
}
"""Which questions meet the value: no note of the scene is an orphan."""


@pytest.mark.parametrize(("name", "unanswered"), UNREADABLE.items(), ids=UNREADABLE)
def test_a_question_that_meets_nonsense_says_that_the_database_is_damaged(
    scene: Scene, name: str, unanswered: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    change(scene, *NONSENSE[name])
    codes = {question: scene.run(*question.split()) for question in QUESTIONS}
    assert codes == {question: EXIT_DAMAGED if question in unanswered else 0 for question in QUESTIONS}
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == len(unanswered)
    assert all("damaged" in line and "sync --paranoid" in line for line in errors)


def test_silent_damage_to_a_value_is_found_by_verify_and_mended_with_every_id_kept(scene: Scene) -> None:
    change(scene, *NONSENSE["a title is another"], *NONSENSE["a fact is another"], *NONSENSE["links lead elsewhere"])
    assert {mismatch.kind for mismatch in scene.vault.project.verify().mismatches} >= {"title", "observations", "link"}
    assert scene.run("sync") == 0
    assert not scene.vault.project.verify().ok
    assert scene.run("sync", "--paranoid") == 0
    assert scene.vault.project.verify().ok
    assert (scene.vault.meaning(), scene.vault.ids()) == (scene.meaning, scene.ids)
    assert scene.set_aside("entities.db") == []


def test_verify_and_show_name_what_mends_it(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    change(scene, "UPDATE entity SET kind = 'thing'")
    assert scene.run("show", "notes/1.md") == 6
    captured = capsys.readouterr()
    assert "thing" in captured.err
    assert "`bm-gitindex sync --paranoid` keeps it aside" in captured.err
    assert scene.run("verify") == 1
    assert "bm-gitindex sync --paranoid" in capsys.readouterr().out
    assert scene.run("sync", "--paranoid") == 0
    assert "kept as entities.db.corrupt-1" in capsys.readouterr().err
    assert scene.run("verify") == 0
    assert scene.run("show", "notes/1.md") == 0


def test_a_newer_schema_is_refused_and_not_touched(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    change(scene, f"UPDATE alembic_version SET version_num = '{int(SCHEMA_HEAD) + 1:04}'")
    before = scene.vault.state_bytes()
    for command in ("sync", "sync --paranoid", "verify", "show notes/1.md"):
        assert scene.run(*command.split()) == 6
        assert "upgrade bm-gitindex" in capsys.readouterr().err
    assert scene.vault.state_bytes() == before


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE notes (id INTEGER)", "CREATE TABLE project (id INTEGER)", "CREATE TABLE alembic_version (x TEXT)"],
)
def test_the_database_of_another_program_is_kept_as_it_is(scene: Scene, statement: str) -> None:
    scene.vault.database_path.unlink()
    with closing(sqlite3.connect(scene.vault.database_path)) as connection, connection:
        connection.execute(statement)
    theirs = scene.vault.database_path.read_bytes()
    assert endure(scene).was_set_aside
    assert scene.set_aside("entities.db") == [theirs]


def test_what_was_beside_a_damaged_database_is_kept_with_it(scene: Scene) -> None:
    database = scene.vault.database_path
    database.write_bytes(b"no database" * 1000)
    database.with_name("entities.db-journal").write_bytes(b"journal")
    scene.vault.sync()
    assert sorted(path.name for path in database.parent.glob("*.corrupt-*")) == [
        "entities.db-journal.corrupt-1",
        "entities.db.corrupt-1",
    ]
