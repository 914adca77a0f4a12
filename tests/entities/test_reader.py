from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bm_gitindex.entities.reader import open_reader
from bm_gitindex.entities.records import EntityRelation, IncomingRelation
from bm_gitindex.entities.store import open_store
from bm_gitindex.errors import DatabaseDamagedError, NotFoundError, SchemaUnsupportedError
from bm_gitindex.notes.model import Relation
from entities.builders import attachment, contents, damage, fact, ids, note, rows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def filled(database: Path) -> Path:
    async with open_store(database) as store:
        await store.put(
            [
                note("hub.md", permalink="the hub", links=("hub", "z")),
                note("z.md", relations=(Relation("uses", "the hub|Hub", "why"), Relation("uses", "a.pdf", None))),
                attachment("a.pdf"),
                note("odd.md", permalink="z.md"),
            ]
        )
        await store.resolve_links()
    return database


async def test_entity_by_id_permalink_and_path(filled: Path) -> None:
    number = ids(filled)["hub.md"]
    async with open_reader(filled) as entities:
        by_id = await entities.get(number)
        assert by_id is not None
        assert (by_id.id, by_id.file_path) == (number, b"hub.md")
        assert await entities.get("the hub") == by_id
        assert await entities.get("hub.md") == by_id
        assert await entities.get_by_path(b"hub.md") == by_id


async def test_permalink_goes_before_path(filled: Path) -> None:
    async with open_reader(filled) as entities:
        by_key, by_path = await entities.get("z.md"), await entities.get_by_path(b"z.md")
    assert by_key is not None
    assert by_path is not None
    assert (by_key.file_path, by_path.file_path) == (b"odd.md", b"z.md")


async def test_relations_in_and_out(filled: Path) -> None:
    async with open_reader(filled) as entities:
        hub, z, pdf = await entities.get("hub.md"), await entities.get("z"), await entities.get("a.pdf")
    assert hub is not None
    assert z is not None
    assert pdf is not None
    assert z.relations == (
        EntityRelation("uses", "the hub|Hub", "the hub", b"hub.md", "why"),
        EntityRelation("uses", "a.pdf", None, b"a.pdf", None),
    )
    assert hub.incoming == (
        IncomingRelation("links_to", "the hub", b"hub.md", None),
        IncomingRelation("uses", "z", b"z.md", "why"),
    )
    assert pdf.incoming == (IncomingRelation("uses", "z", b"z.md", None),)


@pytest.mark.parametrize("key", ["none", "", "caf\udce9", "\ud800", "nul\0", 0, -1, 2**70])
async def test_unknown_key_is_none(filled: Path, key: str | int) -> None:
    async with open_reader(filled) as entities:
        assert await entities.get(key) is None


async def test_count(filled: Path) -> None:
    async with open_reader(filled) as entities:
        assert await entities.count() == 4


@pytest.mark.sqlite_file
@pytest.mark.parametrize("content", [None, b""])
async def test_before_the_first_sync_it_says_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "entities.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotFoundError, match=r"entities\.db: .*run `bm-gitindex sync` first"):
        async with open_reader(path):
            pass
    assert contents(tmp_path) == ({} if content is None else {"entities.db": content})


@pytest.mark.sqlite_file
async def test_damage_and_newer_schema_are_refused(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged.db").write_bytes(b"not a database " * 1000)
    with pytest.raises(DatabaseDamagedError):
        async with open_reader(tmp_path / "damaged.db"):
            pass
    async with open_store(filled) as store, store._database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaUnsupportedError):
        async with open_reader(filled):
            pass


@pytest.mark.sqlite_file
async def test_damage_deep_inside_is_reported_as_such(database: Path) -> None:
    async with open_store(database) as store:
        await store.put([note(f"{number}.md", observations=(fact("x" * 2000),)) for number in range(100)])
    damage(database)

    async def look_up() -> None:
        async with open_reader(database) as entities:
            await entities.get("99.md")

    with pytest.raises(DatabaseDamagedError, match="keeps it aside"):
        await look_up()


@pytest.mark.sqlite_file
async def test_reading_leaves_every_byte_as_it_was(filled: Path) -> None:
    before = contents(filled.parent)
    async with open_reader(filled) as entities:
        await entities.get("the hub")
        await entities.count()
        assert contents(filled.parent)[filled.name] == before[filled.name]
    assert contents(filled.parent) == before
    assert list(before) == ["entities.db"]


@pytest.mark.sqlite_file
async def test_reading_a_wal_database_that_nobody_has_open_leaves_nothing_behind(filled: Path) -> None:
    rows(filled, "PRAGMA journal_mode = WAL")
    before = contents(filled.parent)
    async with open_reader(filled) as entities:
        assert await entities.count() == 4
    assert contents(filled.parent) == before
    assert list(before) == ["entities.db"]


async def test_reader_sees_what_a_writer_commits_meanwhile(filled: Path) -> None:
    async with open_reader(filled) as entities:
        async with open_store(filled) as store:
            await store.put([note("new.md")])
            assert await entities.count() == 5
            await store.put([note("newer.md")])
        assert await entities.count() == 6
        assert await entities.get("newer") is not None


async def test_reading_cannot_write(filled: Path) -> None:
    async with open_reader(filled) as entities:
        with pytest.raises(Exception, match=r"read-?only"):
            async with entities._database.transaction() as connection:
                await connection.exec_driver_sql("DELETE FROM entity")
