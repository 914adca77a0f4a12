from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.entities.reader import open_reader
from bm_gitindex.entities.records import Move
from bm_gitindex.errors import EntityMissingError
from bm_gitindex.rules import Kind
from entities.builders import EPOCH, attachment, fact, file_record, ids, links, move, note, permalinks, rows

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex.entities.store import EntityStore


async def test_moved_row_keeps_id_permalink_and_content(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", observations=(fact("x"),), links=("a",))])
    [row_id] = ids(database).values()
    await store.move([move("a.md", "sub/b.md")])
    async with open_reader(database) as entities:
        entity = await entities.get(row_id)
    assert entity is not None
    assert (entity.file_path, entity.permalink, entity.title) == (b"sub/b.md", "a", "b")
    assert (len(entity.observations), len(entity.relations)) == (1, 1)


async def test_stated_title_stays(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", title="a"), attachment("x.pdf")])
    await store.move([move("a.md", "b.md"), move("x.pdf", "y.pdf")])
    assert rows(database, "SELECT title FROM entity ORDER BY id") == [("a",), ("y.pdf",)]


async def test_everything_that_the_file_shows_is_brought_up_to_date(store: EntityStore, database: Path) -> None:
    await store.put([attachment("a.txt")])
    record = file_record("a.pdf", kind=Kind.STAT_ONLY, size_bytes=7, mtime_ns=10**9, blob_id=bytes(20))
    await store.move([Move(b"a.txt", record)])
    async with open_reader(database) as entities:
        entity = await entities.get("a.pdf")
    assert entity is not None
    assert (entity.kind, entity.content_type, entity.blob_id) == (Kind.STAT_ONLY, "application/pdf", bytes(20))
    assert (entity.size_bytes, entity.mtime_ns) == (7, 10**9)
    assert entity.updated_at == EPOCH + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ({"a": "b", "b": "a"}, {"a": "b", "b": "a", "c": "c"}),
        ({"a": "b", "b": "c", "c": "a"}, {"a": "c", "b": "a", "c": "b"}),
        ({"a": "b", "b": "c", "c": "d"}, {"b": "a", "c": "b", "d": "c"}),
        ({"c": "d", "b": "c", "a": "b"}, {"b": "a", "c": "b", "d": "c"}),
    ],
)
async def test_swaps_and_chains(
    store: EntityStore, database: Path, moves: dict[str, str], expected: dict[str, str]
) -> None:
    await store.put([note("a.md"), note("b.md"), note("c.md")])
    before = ids(database)
    await store.move([move(f"{old}.md", f"{new}.md") for old, new in moves.items()])
    assert ids(database) == {f"{new}.md": before[f"{old}.md"] for new, old in expected.items()}
    assert permalinks(database) == {f"{new}.md": old for new, old in expected.items()}
    titles = dict(rows(database, "SELECT file_path, title FROM entity"))
    assert titles == {f"{name}.md": name for name in expected}


async def test_file_that_another_replaces_is_gone(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md"), note("b.md"), note("l.md", links=("b",))])
    before = ids(database)
    await store.resolve_links()
    await store.move([move("a.md", "b.md")])
    await store.resolve_links()
    assert ids(database) == {"b.md": before["a.md"], "l.md": before["l.md"]}
    assert links(database) == {("l.md", "b"): "b.md"}


async def test_move_of_an_unknown_path_says_so_and_changes_nothing(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md")])
    with pytest.raises(EntityMissingError, match=r"no entity for none\.md"):
        await store.move([move("a.md", "b.md"), move("none.md", "c.md")])
    assert list(ids(database)) == ["a.md"]


async def test_links_by_permalink_and_title_follow_those_by_path_do_not(store: EntityStore, database: Path) -> None:
    targets = ("a-name", "A Title", "dir/a.md", "dir/a")
    await store.put([note("dir/a.md", title="A Title", permalink="a-name"), note("l.md", links=targets)])
    assert await store.resolve_links() == 4
    await store.move([move("dir/a.md", "b.md")])
    await store.resolve_links()
    assert links(database) == {
        ("l.md", "a-name"): "b.md",
        ("l.md", "A Title"): "b.md",
        ("l.md", "dir/a.md"): None,
        ("l.md", "dir/a"): None,
    }


async def test_moved_folder_of_many_files(store: EntityStore, database: Path) -> None:
    await store.put([note(f"old/{number}.md") for number in range(1500)])
    before = ids(database)
    await store.move([move(f"old/{number}.md", f"new/{number}.md") for number in range(1500)])
    assert ids(database) == {path.replace("old", "new"): row_id for path, row_id in before.items()}
