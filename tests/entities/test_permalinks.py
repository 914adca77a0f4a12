from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import event

from bm_gitindex.entities.permalinks import _FIRST_NUMBERS_TRIED
from bm_gitindex.entities.records import Delete, Upsert
from entities.builders import attachment, file_record, move, note, permalinks

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from bm_gitindex.entities.store import EntityStore


async def test_front_matter_states_it_verbatim(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", permalink="My/Own Name")])
    assert permalinks(database) == {"a.md": "My/Own Name"}


async def test_path_gives_it_otherwise(store: EntityStore, database: Path) -> None:
    await store.put([note("Specs/API (v2).md")])
    assert permalinks(database) == {"Specs/API (v2).md": "specs/api-v2"}


async def test_what_the_row_has_is_kept(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", permalink="stated")])
    await store.put([note("a.md")])
    assert permalinks(database) == {"a.md": "stated"}
    await store.put([note("a.md", permalink="other")])
    assert permalinks(database) == {"a.md": "other"}


async def test_stated_one_that_is_taken_is_not_used(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", permalink="x")])
    await store.put([note("b.md", permalink="x"), note("c.md", permalink="c1")])
    await store.put([note("c.md", permalink="x")])
    assert permalinks(database) == {"a.md": "x", "b.md": "b", "c.md": "c1"}


async def test_collisions_are_numbered_in_the_order_given(store: EntityStore, database: Path) -> None:
    await store.put([note("A b.md"), note("a b.md"), note("a-b.md"), note("a_b.md")])
    assert permalinks(database) == {"A b.md": "a-b", "a b.md": "a-b-1", "a-b.md": "a-b-2", "a_b.md": "a-b-3"}
    await store.remove([Delete(b"a b.md")])
    await store.put([note("a+b.md"), note("a&b.md")])
    assert permalinks(database)["a+b.md"] == "a-b-1"
    assert permalinks(database)["a&b.md"] == "a-b-4"


async def test_number_that_is_somebodys_name_is_passed_over(store: EntityStore, database: Path) -> None:
    await store.put([note("a-1.md"), note("b.md", permalink="a")])
    await store.put([note("a.md")])
    assert permalinks(database) == {"a-1.md": "a-1", "b.md": "a", "a.md": "a-2"}


async def test_one_given_up_in_a_batch_is_free_for_the_next_of_it(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", permalink="x"), note("b.md", permalink="y")])
    changes = [note("a.md", permalink="z"), note("b.md", permalink="x"), note("c.md", permalink="y")]
    await store.put(changes)
    assert permalinks(database) == {"a.md": "z", "b.md": "x", "c.md": "y"}


async def test_one_given_up_later_in_a_batch_is_not_free_yet(store: EntityStore, database: Path) -> None:
    await store.put([note("b.md", permalink="x")])
    await store.put([note("a.md", permalink="x"), note("b.md", permalink="y")])
    assert permalinks(database) == {"a.md": "a", "b.md": "y"}


async def test_file_that_is_no_note_any_more_gives_its_own_up(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", permalink="x")])
    await store.put([Upsert(file_record("a.md"), None), note("b.md", permalink="x")])
    assert permalinks(database) == {"a.md": None, "b.md": "x"}


async def test_other_files_have_none(store: EntityStore, database: Path) -> None:
    await store.put([attachment("a.pdf"), attachment("b.pdf"), note("a.md")])
    assert permalinks(database) == {"a.pdf": None, "b.pdf": None, "a.md": "a"}


async def test_moved_note_keeps_it_and_the_path_gets_another(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md")])
    await store.move([move("a.md", "b.md")])
    await store.put([note("a.md")])
    assert permalinks(database) == {"b.md": "a", "a.md": "a-1"}


async def test_many_collisions_in_several_batches(store: EntityStore, database: Path) -> None:
    names = [f"{'+' * count}x.md" for count in range(1200)]
    for start in range(0, 1200, 400):
        await store.put([note(name) for name in names[start : start + 400]])
    given = permalinks(database)
    first = given[names[0]]
    assert first is not None
    assert [given[name] for name in names] == [first, *(f"{first}-{number}" for number in range(1, 1200))]


async def test_numbers_that_are_all_taken_are_passed_over(store: EntityStore, database: Path) -> None:
    taken = [f"a-{number}" for number in range(1, 2 * _FIRST_NUMBERS_TRIED)]
    await store.put([note(f"{name}.md", permalink=name) for name in ["a", *taken]])
    await store.put([note("A.md")])
    assert permalinks(database)["A.md"] == f"a-{len(taken) + 1}"


async def test_ordinary_batch_asks_once(store: EntityStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT entity.permalink"):
            asked.append(statement)

    engine = store._database._connection.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    await store.put([note(f"{number}.md") for number in range(400)])
    event.remove(engine, "before_cursor_execute", count)
    assert len(asked) == 1
