from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, literal, select
from sqlalchemy.exc import StatementError

from bm_gitindex.entities.reader import open_reader
from bm_gitindex.entities.records import Delete, FileRecord, KnownFile, Refresh, Upsert
from bm_gitindex.entities.rows import note_rows
from bm_gitindex.entities.schema import HexId, KindText, Nanoseconds, PathText, UtcTime
from bm_gitindex.entities.store import REMEMBERED_RUNS, EntityStore, open_store
from bm_gitindex.errors import EntityMissingError
from bm_gitindex.notes.model import Observation, Relation
from bm_gitindex.rules import Kind
from entities.builders import (
    EPOCH,
    MTIME,
    MTIME_NS,
    attachment,
    fact,
    failure,
    file_record,
    ids,
    note,
    parsed,
    permalinks,
    rows,
    state,
    sync_run,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import TypeDecorator

    from bm_gitindex.entities.records import Entity


async def stored(database: Path, path: str) -> Entity:
    async with open_reader(database) as entities:
        found = await entities.get_by_path(path.encode())
    assert found is not None
    return found


async def test_note_is_stored_whole(store: EntityStore, database: Path) -> None:
    observations = (
        Observation("tech", "Use X #a", ("a",), "why"),
        Observation(None, "Something #tag", ("tag",), None),
    )
    written = await store.put(
        [
            note(
                "Specs/API (v2).md",
                type="spec",
                tags=("x", "ü"),
                metadata={"status": "draft", "list": ["1", {"a": None}]},
                observations=observations,
                relations=(Relation("implements", "Nothing|alias", "ctx"),),
                warnings=("bad date",),
            )
        ]
    )
    assert written == 1
    entity = await stored(database, "Specs/API (v2).md")
    assert (entity.title, entity.type, entity.permalink) == ("API (v2)", "spec", "specs/api-v2")
    assert (entity.kind, entity.content_type) == (Kind.NOTE, "text/markdown")
    assert (entity.tags, entity.warnings) == (("x", "ü"), ("bad date",))
    assert entity.metadata == {"status": "draft", "list": ["1", {"a": None}]}
    assert [(o.category, o.content, o.tags, o.context) for o in entity.observations] == [
        ("tech", "Use X #a", ("a",), "why"),
        ("note", "Something #tag", ("tag",), None),
    ]
    assert [(r.type, r.target, r.to_path, r.context) for r in entity.relations] == [
        ("implements", "Nothing|alias", None, "ctx")
    ]


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("a/paper.pdf", "application/pdf"),
        ("a/data:image.png", "image/png"),
        ("a/README", "application/octet-stream"),
    ],
)
async def test_other_file_is_an_entity_without_content(
    store: EntityStore, database: Path, path: str, content_type: str
) -> None:
    await store.put([attachment(path, kind=Kind.STAT_ONLY, size_bytes=2**40)])
    entity = await stored(database, path)
    assert (entity.title, entity.type, entity.permalink) == (path[2:], "file", None)
    assert (entity.kind, entity.content_type, entity.size_bytes) == (Kind.STAT_ONLY, content_type, 2**40)
    assert (entity.observations, entity.relations, entity.metadata) == ((), (), {})


async def test_note_beyond_its_bounds_is_an_entity_with_a_warning(store: EntityStore, database: Path) -> None:
    await store.put([Upsert(file_record("huge.md"), None, ("too large",))])
    entity = await stored(database, "huge.md")
    assert (entity.title, entity.type, entity.permalink) == ("huge", "note", None)
    assert (entity.content_type, entity.warnings) == ("text/markdown", ("too large",))


async def test_row_that_is_no_note_any_more_loses_what_the_note_said(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", observations=(fact("x"),), links=("b",))])
    await store.put([Upsert(file_record("a.md", kind=Kind.STAT_ONLY), None)])
    entity = await stored(database, "a.md")
    assert (entity.permalink, entity.type, entity.title) == (None, "file", "a.md")
    assert (entity.observations, entity.relations) == ((), ())


async def test_changed_content_keeps_the_id_and_replaces_the_rest(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", observations=(fact("old"), fact("older")), links=("x",))])
    before = ids(database)
    await store.put([note("a.md", title="New", observations=(fact("new"),), links=("y", "z"))])
    entity = await stored(database, "a.md")
    assert {"a.md": entity.id} == before
    assert entity.title == "New"
    assert [o.content for o in entity.observations] == ["new"]
    assert [r.target for r in entity.relations] == ["y", "z"]


async def test_ids_are_never_given_twice(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md")])
    first = ids(database)["a.md"]
    await store.remove([Delete(b"a.md")])
    await store.put([note("a.md")])
    assert ids(database)["a.md"] > first


async def test_created_is_birth_then_mtime_and_then_kept(store: EntityStore, database: Path) -> None:
    day_ns = 86_400 * 10**9
    born = Upsert(file_record("born.md", birth_ns=day_ns), note_rows(parsed()))
    await store.put([born, note("unborn.md")])
    assert (await stored(database, "born.md")).created_at == EPOCH + timedelta(days=1)
    assert (await stored(database, "unborn.md")).created_at == MTIME

    again = Upsert(file_record("born.md", birth_ns=2 * day_ns, mtime_ns=3 * day_ns), note_rows(parsed()))
    await store.put([again])
    entity = await stored(database, "born.md")
    assert (entity.created_at, entity.updated_at) == (EPOCH + timedelta(days=1), EPOCH + timedelta(days=3))


async def test_front_matter_states_created_and_modified(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md")])
    await store.put([note("a.md", created=EPOCH, modified=EPOCH + timedelta(days=1))])
    entity = await stored(database, "a.md")
    assert (entity.created_at, entity.updated_at) == (EPOCH, EPOCH + timedelta(days=1))
    await store.put([Refresh(file_record("a.md", mtime_ns=5))])
    assert (await stored(database, "a.md")).updated_at == EPOCH + timedelta(days=1)


async def test_refresh_brings_size_and_times_up_to_date_alone(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", title="T", observations=(fact("x"),))])
    assert await store.put([Refresh(file_record("a.md", size_bytes=9, mtime_ns=1_000))]) == 1
    entity = await stored(database, "a.md")
    assert (entity.size_bytes, entity.mtime_ns, entity.title) == (9, 1_000, "T")
    assert entity.updated_at == EPOCH + timedelta(microseconds=1)
    assert len(entity.observations) == 1


async def test_refresh_of_an_unknown_path_says_so_and_stores_nothing(store: EntityStore, database: Path) -> None:
    with pytest.raises(EntityMissingError, match=r"no entity for b\.md"):
        await store.put([note("a.md"), Refresh(file_record("b.md"))])
    assert ids(database) == {}


@pytest.mark.parametrize("mtime_ns", [-(2**70), -1, 0, 2**63, 2**70])
async def test_impossible_times_are_stored_as_the_nearest(store: EntityStore, database: Path, mtime_ns: int) -> None:
    await store.put([attachment("a.pdf", mtime_ns=mtime_ns)])
    entity = await stored(database, "a.pdf")
    assert entity.mtime_ns == max(-(2**63 - 1), min(mtime_ns, 2**63 - 1))
    assert entity.updated_at.year in {1, 1969, 1970, 2262, 9999}


@pytest.mark.parametrize("sort", [HexId, KindText, Nanoseconds, PathText, UtcTime])
def test_null_stays_null(sort: type[TypeDecorator[Any]]) -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        assert connection.execute(select(literal(None, sort()))).scalar_one() is None
    engine.dispose()


async def test_time_without_a_zone_is_refused(store: EntityStore, database: Path) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        await store.put([note("a.md", created=EPOCH.replace(tzinfo=None))])
    assert ids(database) == {}


async def test_paths_that_are_not_utf8_and_long_titles_are_stored(store: EntityStore, database: Path) -> None:
    latin = FileRecord(b"caf\xe9.md", Kind.NOTE, bytes(20), 1, MTIME_NS, None)
    long_title = "t" * 100_000
    await store.put(
        [Upsert(latin, note_rows(parsed())), note("long.md", title=long_title), note("l.md", links=(long_title,))]
    )
    assert await store.resolve_links() == 1
    async with open_reader(database) as entities:
        found = await entities.get_by_path(b"caf\xe9.md")
        assert found is not None
        assert (found.file_path, found.title) == (b"caf\xe9.md", "caf\N{REPLACEMENT CHARACTER}")
    assert (await stored(database, "long.md")).title == long_title


async def test_known_files_come_in_path_order_over_many_pages(store: EntityStore) -> None:
    paths = sorted(f"{number:04x}/ü {number}.md".encode() for number in range(0, 65536, 50))
    await store.put([note(path.decode()) for path in reversed(paths)])
    assert [known.path async for known in store.known_files()] == paths


async def test_known_files_can_be_changed_while_they_are_read(store: EntityStore) -> None:
    await store.put([note(f"{number:04}.md") for number in range(1200)])
    seen = []
    async for known in store.known_files():
        seen.append(known.path)
        if len(seen) % 40 == 0:
            await store.remove([Delete(path) for path in seen[-40:]])
    assert seen == [b"%04d.md" % number for number in range(1200)]
    assert [known async for known in store.known_files()] == []


async def test_known_tells_what_is_stored_and_leaves_out_the_rest(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md"), attachment("b.pdf", kind=Kind.SAMPLE)])
    a, b = file_record("a.md"), file_record("b.pdf")
    assert await store.known([b"a.md", b"b.pdf", b"none"]) == {
        b"a.md": KnownFile(b"a.md", Kind.NOTE, a.blob_id, a.size_bytes, MTIME_NS, ""),
        b"b.pdf": KnownFile(b"b.pdf", Kind.SAMPLE, b.blob_id, b.size_bytes, MTIME_NS, ""),
    }


async def test_more_paths_than_a_statement_takes(store: EntityStore) -> None:
    paths = [f"{number}.md" for number in range(3000)]
    assert await store.put([note(path) for path in paths]) == 3000
    assert len(await store.known([path.encode() for path in paths])) == 3000
    await store.remove([Delete(path.encode()) for path in paths])
    assert await store.known([path.encode() for path in paths]) == {}


async def test_nothing_to_do_is_allowed(store: EntityStore) -> None:
    assert await store.put([]) == 0
    await store.move([])
    await store.remove([])
    await store.record_failures([])
    await store.clear_failures([])
    assert await store.resolve_links() == 0


async def test_batch_that_fails_stores_nothing(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", observations=(fact("kept"),))])
    with pytest.raises(StatementError, match=r"CHECK constraint failed|violates check constraint"):
        await store.put([note("a.md"), note("b.md"), attachment("c.pdf", size_bytes=-1)])
    assert list(ids(database)) == ["a.md"]
    assert rows(database, "SELECT content FROM observation") == [("kept",)]


async def test_removed_entity_takes_its_content_along(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", observations=(fact("x"),), links=("b",))])
    await store.remove([Delete(b"a.md"), Delete(b"never there.md")])
    for table in ("entity", "observation", "relation"):
        assert rows(database, f"SELECT * FROM {table}") == []


async def test_state_survives_reopening(database: Path) -> None:
    async with open_store(database) as store:
        await store.open_tie()
        await store.close_tie(state(), sync_run(added=2))
        assert await store.state() == state()
    async with open_store(database) as store:
        assert await store.state() == state()
        await store.open_tie()
        await store.open_tie()
        assert await store.state() == state(tie_closed=False)
    assert rows(database, 'SELECT "full", counts FROM sync_run') == [(1, '{"added": 2}')]


@pytest.mark.parametrize("impossible", [{"tie_closed": False}, {"index_trailer": None}])
async def test_tie_is_closed_with_a_trailer_or_not_at_all(store: EntityStore, impossible: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="trailer"):
        await store.close_tie(state(**impossible), sync_run())
    assert not (await store.state()).tie_closed


async def test_last_hundred_runs_are_kept(store: EntityStore, database: Path) -> None:
    for number in range(REMEMBERED_RUNS + 3):
        await store.close_tie(state(), sync_run(number=number))
    counts = rows(database, "SELECT counts FROM sync_run ORDER BY id")
    assert len(counts) == REMEMBERED_RUNS
    assert counts[0] == ('{"number": 3}',)


async def test_failure_replaces_that_of_its_path(store: EntityStore) -> None:
    await store.record_failures([failure("a.md"), failure("b.md")])
    again = failure("a.md", failures=2, error="caf\udce9: gone")
    await store.record_failures([again])
    assert await store.failures() == {
        b"a.md": failure("a.md", failures=2, error="caf\\udce9: gone"),
        b"b.md": failure("b.md"),
    }
    await store.clear_failures([b"a.md", b"none.md"])
    assert await store.failures() == {b"b.md": failure("b.md")}


async def test_hundred_failures_are_remembered_the_oldest_go(store: EntityStore) -> None:
    def failed(number: int) -> str:
        return f"{number}.md"

    failures = [failure(failed(n), last_failed_at=MTIME + timedelta(seconds=n)) for n in range(160)]
    await store.record_failures(failures[:60])
    await store.record_failures(failures[60:90])
    await store.record_failures(failures[90:])
    assert set(await store.failures()) == {failed(n).encode() for n in range(60, 160)}
    await store.record_failures([failure(failed(n)) for n in range(60, 62)])
    assert len(await store.failures()) == 100


async def test_database_reads_kindly_by_hand(store: EntityStore, database: Path) -> None:
    await store.put([note("Ü/a.md", tags=("ü",))])
    [(path, kind, blob_id, tags)] = rows(database, "SELECT file_path, kind, blob_id, tags FROM entity")
    assert (path, kind, tags) == ("Ü/a.md", "note", '["ü"]')
    assert bytes.fromhex(blob_id) == file_record("Ü/a.md").blob_id
    assert permalinks(database) == {"Ü/a.md": "u/a"}


async def test_reader_is_not_blocked_by_an_unfinished_transaction(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md")])
    async with open_reader(database) as entities:
        async with store._database.transaction() as connection:
            await connection.exec_driver_sql("DELETE FROM entity")
            assert await entities.count() == 1
        assert await entities.count() == 0


@pytest.mark.sqlite_file
async def test_second_writer_is_told(store: EntityStore, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with store._database.transaction():
        other = sqlite3.connect(database, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("DELETE FROM entity")
        other.close()
