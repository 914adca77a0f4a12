"""Readers beside a writer on a server, and in an event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex import Filter
from bm_gitindex.entities.location import location_of
from bm_gitindex.entities.store import EntityStore, open_store
from bm_gitindex.errors import StateWriteError
from bm_gitindex.oracle import servercopy

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex.entities.server import Server
    from support.postgresql import Database
    from support.vault import Vault


def test_a_sync_while_verify_looks_is_no_mismatch(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.settled_sync()
    ordinary = servercopy.copy_project
    syncs = 0

    def copy(server: Server, project: str, path: Path) -> None:
        nonlocal syncs
        syncs += 1
        if syncs == 1:
            vault.write("new.md", "[[a]]\n")
            vault.sync()
        ordinary(server, project, path)

    monkeypatch.setattr(servercopy, "copy_project", copy)
    assert vault.project.verify().ok
    assert syncs == 2


def test_what_verify_sees_is_one_moment(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two tables a sync replaces everything: no row of the one then refers to nothing in the other."""
    vault.settled_sync()
    ordinary = servercopy._copy_table
    tables = 0

    async def copy(*arguments: Any) -> None:
        nonlocal tables
        tables += 1
        if tables == 3:
            await asyncio.to_thread(vault.execute, "DELETE FROM entity")
        await ordinary(*arguments)

    monkeypatch.setattr(servercopy, "_copy_table", copy)
    assert vault.project.verify().ok
    assert tables > 3
    assert not vault.project.verify().ok


async def test_what_a_sync_changes_can_be_told(vault: Vault) -> None:
    await vault.project.sync()
    location = location_of(vault.project.state, vault.options)
    before = location.marks()
    assert location.marks() == before != (None,)
    async with open_store(location) as store:
        await store.open_tie()
        assert location.marks() != before


def test_a_damaged_row_is_found(vault: Vault) -> None:
    vault.settled_sync()
    vault.execute("UPDATE entity SET title = 'wrong' WHERE file_path = 'a.md'")
    assert [(one.path, one.kind) for one in vault.project.verify().mismatches] == [(b"a.md", "title")]
    vault.sync(paranoid=True)
    assert vault.project.verify().ok


def test_a_row_that_leads_into_another_project_is_found(vault: Vault) -> None:
    vault.settled_sync()
    vault.execute(
        "INSERT INTO project (name, tie_closed, parsed_by, entries_at_full_sync, deleted_since_full_sync)"
        " VALUES ('other', true, '', 0, 0)"
    )
    vault.execute("UPDATE relation SET project_id = (SELECT max(id) FROM project) WHERE target = 'b'")
    kinds = {mismatch.kind for mismatch in vault.project.verify().mismatches}
    assert "database" in kinds


def test_whoever_has_an_event_loop_may_call_what_blocks(vault: Vault) -> None:
    async def in_loop() -> None:
        assert (await vault.project.sync()).added == 3
        assert vault.project.verify().ok
        assert vault.project.rehearse_sync().unchanged == 3
        async with vault.project.entities() as entities:
            assert await entities.count() == 3
            assert [found.file_path async for found in entities.find(Filter(tags=("tag",)))] == [b"a.md"]
            assert [found.file_path async for found in entities.find(Filter(tags=("nul\0",)))] == []

    asyncio.run(in_loop())


async def test_a_reader_sees_one_moment_and_keeps_no_writer_waiting(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await vault.project.sync()
    async with vault.project.entities() as entities, entities._database.transaction() as connection:
        before = (await connection.exec_driver_sql("SELECT count(*) FROM entity")).scalar_one()
        vault.write("new.md")
        await vault.project.sync()
        assert (await connection.exec_driver_sql("SELECT count(*) FROM entity")).scalar_one() == before == 3


async def test_a_cancelled_sync_leaves_the_connection_closed(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()
    ordinary = EntityStore.put

    async def put(self: EntityStore, *arguments: Any) -> Any:
        begun.set()
        await asyncio.sleep(0)
        return await ordinary(self, *arguments)

    monkeypatch.setattr(EntityStore, "put", put)
    task = asyncio.create_task(vault.project.sync())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bm-gitindex' AND state <> 'idle'"
    assert vault.rows(ours) == [(0,)]
    await vault.project.sync()
    assert vault.project.verify().ok


def test_rows_that_the_server_lost_are_found_missing(vault: Vault) -> None:
    vault.settled_sync()
    for loss in ("DELETE FROM project", "DROP SCHEMA public CASCADE; CREATE SCHEMA public"):
        assert vault.database is not None
        vault.database.execute(loss)
        assert [mismatch.kind for mismatch in vault.project.verify().mismatches] == ["tie"]
        vault.sync()
        assert vault.project.verify().ok


def test_a_copy_has_this_projects_rows_and_no_table_of_another_program(vault: Vault, tmp_path: Path) -> None:
    for number in range(600):
        vault.write(f"many/{number}.md", "[[a]]\n")
    vault.sync()
    assert vault.database is not None
    vault.execute("CREATE TABLE theirs (id int)")
    (name,) = vault.rows("SELECT name FROM project")[0]
    servercopy.copy_project(vault.database.at, str(name), tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM entity").fetchone() == (603,)
        assert copy.execute("SELECT count(*) FROM sqlite_master WHERE name = 'theirs'").fetchone() == (0,)
    with pytest.raises(StateWriteError, match=r"copy\.db"):
        servercopy.copy_project(vault.database.at, str(name), tmp_path / "absent" / "copy.db")


def test_of_no_project_there_is_no_copy(vault: Vault, blank: Database, tmp_path: Path) -> None:
    vault.sync()
    assert vault.database is not None
    for number, database in enumerate((blank, vault.database)):
        path = tmp_path / f"{number}.db"
        servercopy.copy_project(database.at, "nobody", path)
        with closing(sqlite3.connect(path)) as copy:
            assert copy.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
