from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.dialects import sqlite

from bm_gitindex.entities.links import decide_some
from bm_gitindex.entities.records import Delete, Upsert
from bm_gitindex.entities.store import open_store
from entities.builders import attachment, file_record, links, move, note, rows

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex.entities.records import Refresh
    from bm_gitindex.entities.store import EntityStore


async def meant(store: EntityStore, database: Path, target: str, *others: Upsert | Refresh) -> str | None:
    """Store `others`, and a note that links to `target`; return where the link leads."""
    await store.put([*others, note("from/the link.md", links=(target,))])
    await store.resolve_links()
    return links(database)["from/the link.md", target]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("specs/api-v2", "Specs/API (v2).md"),  # permalink
        ("API (v2)", "Specs/API (v2).md"),  # title
        ("Specs/API (v2).md", "Specs/API (v2).md"),  # path
        ("Specs/API (v2)", "Specs/API (v2).md"),  # path without its suffix
        ("SPECS/api_v2", "Specs/API (v2).md"),  # alias
        ("API (v2)|the interface", "Specs/API (v2).md"),
        ("API (v2)#Errors", "Specs/API (v2).md"),
        ("a/paper.pdf", "a/paper.pdf"),
        ("paper.pdf", "a/paper.pdf"),
        ("the link", "from/the link.md"),  # itself
        ("nothing", None),
        ("", None),
        ("#heading", None),
    ],
)
async def test_rules(store: EntityStore, database: Path, target: str, path: str | None) -> None:
    others = (note("Specs/API (v2).md"), attachment("a/paper.pdf"))
    assert await meant(store, database, target, *others) == path


async def test_a_link_that_another_run_has_decided_is_decided_again(database: Path) -> None:
    async with open_store(database) as store:
        assert await meant(store, database, "later") is None
    async with open_store(database) as store:
        await store.put([note("later.md")])
        assert await store.resolve_links() == 1


async def test_earlier_rule_goes_first(store: EntityStore, database: Path) -> None:
    by_alias = note("alias.md", permalink="THE_Thing")
    by_path = note("the-thing.md", title="P", permalink="p")
    by_title = note("title.md", title="the-thing", permalink="t")
    by_permalink = note("permalink.md", title="L", permalink="the-thing")
    assert await meant(store, database, "the-thing", by_alias) == "alias.md"
    assert await meant(store, database, "the-thing", by_path) == "the-thing.md"
    assert await meant(store, database, "the-thing", by_title) == "title.md"
    assert await meant(store, database, "the-thing", by_permalink) == "permalink.md"


async def test_alias_forgets_case_and_underscores_and_nothing_else(store: EntityStore, database: Path) -> None:
    assert await meant(store, database, "Foo_Bar", note("a.md", permalink="foo-bar")) == "a.md"
    assert await meant(store, database, "fo-obar") is None


@pytest.mark.parametrize("target", ["beds/north-bed", "Beds/North_Bed", "garden/beds/north-bed"])
async def test_a_permalink_may_have_a_project_before_it_that_links_leave_away(
    store: EntityStore, database: Path, target: str
) -> None:
    stated = note("Beds/North Bed.md", permalink="garden/beds/north-bed")
    assert await meant(store, database, target, stated) == "Beds/North Bed.md"


async def test_a_note_that_is_moved_is_found_by_what_its_new_path_says(store: EntityStore, database: Path) -> None:
    assert await meant(store, database, "new/place", note("old.md")) is None
    await store.move([move("old.md", "New/Place.md")])
    await store.resolve_links()
    assert links(database) == {("from/the link.md", "new/place"): "New/Place.md"}
    await store.move([move("New/Place.md", "elsewhere.md")])
    await store.resolve_links()
    assert links(database) == {("from/the link.md", "new/place"): None}


async def test_what_two_paths_say_is_nobody(store: EntityStore, database: Path) -> None:
    both = [note("a b.md", permalink="x"), note("a-b.md", permalink="y")]
    assert await meant(store, database, "A-B", *both) is None


async def test_link_may_come_before_what_it_means(store: EntityStore, database: Path) -> None:
    assert await meant(store, database, "Later") is None
    await store.put([note("Later.md")])
    assert await store.resolve_links() == 1
    assert links(database) == {("from/the link.md", "Later"): "Later.md"}


async def test_title_of_two_is_unresolved_until_one_goes(store: EntityStore, database: Path) -> None:
    twins = (note("a/Twin.md"), note("b/Twin.md"))
    assert await meant(store, database, "Twin", *twins) is None
    await store.remove([Delete(b"a/Twin.md")])
    await store.resolve_links()
    assert links(database)["from/the link.md", "Twin"] == "b/Twin.md"
    await store.put([note("c/Twin.md")])
    await store.resolve_links()
    assert links(database)["from/the link.md", "Twin"] is None
    await store.move([move("c/Twin.md", "c/other.md")])
    await store.resolve_links()
    assert links(database)["from/the link.md", "Twin"] == "b/Twin.md"
    await store.put([note("b/Twin.md", title="Single")])
    await store.resolve_links()
    assert links(database)["from/the link.md", "Twin"] is None


async def test_alias_of_two_is_unresolved(store: EntityStore, database: Path) -> None:
    twins = (note("1.md", permalink="x_y"), note("2.md", permalink="X-y"))
    assert await meant(store, database, "X_Y", *twins) is None
    await store.remove([Delete(b"1.md")])
    await store.resolve_links()
    assert links(database)["from/the link.md", "X_Y"] == "2.md"


async def test_removed_entity_leaves_the_link_to_the_next_candidate(store: EntityStore, database: Path) -> None:
    candidates = (note("a.md", permalink="name"), note("b.md", title="name"))
    assert await meant(store, database, "name", *candidates) == "a.md"
    await store.remove([Delete(b"a.md")])
    assert links(database) == {("from/the link.md", "name"): None}
    assert await store.resolve_links() == 1
    assert links(database) == {("from/the link.md", "name"): "b.md"}


async def test_better_candidate_takes_the_link(store: EntityStore, database: Path) -> None:
    assert await meant(store, database, "name", note("a.md", title="name")) == "a.md"
    await store.put([note("b.md", permalink="name")])
    await store.resolve_links()
    assert links(database)["from/the link.md", "name"] == "b.md"


async def test_renamed_title_frees_and_takes_links(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", title="Old"), note("l.md", links=("Old", "New"))])
    await store.resolve_links()
    await store.put([note("a.md", title="New")])
    await store.resolve_links()
    assert links(database) == {("l.md", "Old"): None, ("l.md", "New"): "a.md"}


async def test_title_that_changes_in_case_alone_is_noticed(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md", title="word", permalink="p"), note("l.md", links=("word", "WORD"))])
    await store.resolve_links()
    await store.put([note("a.md", title="WORD", permalink="p")])
    await store.resolve_links()
    assert links(database) == {("l.md", "word"): None, ("l.md", "WORD"): "a.md"}


async def test_note_that_became_a_file_loses_links_by_permalink(store: EntityStore, database: Path) -> None:
    assert await meant(store, database, "perma", note("a.md", permalink="perma")) == "a.md"
    await store.put([Upsert(file_record("a.md"), None)])
    await store.resolve_links()
    assert links(database) == {("from/the link.md", "perma"): None}


async def test_only_what_may_have_changed_is_decided_again(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md"), note("b.md"), note("l.md", links=("a", "b", "c"))])
    await store.resolve_links()
    await store.put([note("a.md", tags=("new",))])
    assert _pending(database) == []
    await store.put([note("c.md")])
    assert _pending(database) == ["c"]
    await store.move([move("b.md", "d.md")])
    assert _pending(database) == ["b", "c"]


async def test_title_shared_by_thousands_costs_two_rows(store: EntityStore, database: Path) -> None:
    await store.put([note(f"{number}/Same.md") for number in range(3000)])
    assert await meant(store, database, "Same") is None


async def test_more_links_than_one_step_decides(store: EntityStore, database: Path) -> None:
    await store.put([note("hub.md")])
    spokes = [note(f"{number}.md", links=("hub", f"{number + 1}", "nowhere")) for number in range(3000)]
    await store.put(spokes)
    assert await store.resolve_links() == 3000 + 2999
    assert await store.resolve_links() == 0
    assert _pending(database) == []


async def test_interrupted_resolution_goes_on_where_it_was(database: Path) -> None:
    async with open_store(database) as store:
        await store.put([note("a.md"), note("l.md", links=("a",))])
    async with open_store(database) as store:
        assert await store.resolve_links() == 1
    assert links(database) == {("l.md", "a"): "a.md"}


async def test_same_link_twice_is_two_relations(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md"), note("l.md", links=("a", "a"))])
    assert await store.resolve_links() == 2
    assert rows(database, "SELECT position, target FROM relation") == [(0, "a"), (1, "a")]


@pytest.mark.sqlite_file
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT id FROM relation WHERE project_id = 1 AND pending = 1 ORDER BY id LIMIT 9", "ix_relation_pending"),
        (
            "UPDATE relation SET pending = 1 WHERE project_id = 1 AND target_key IN ('a', 'b') AND pending = 0",
            "ix_relation_project_id_target_key",
        ),
        ("UPDATE relation SET to_id = NULL WHERE to_id IN (1, 2)", "ix_relation_to_id"),
    ],
)
def test_queries_of_every_sync_use_their_index(database: Path, query: str, index: str) -> None:
    plan = rows(database, f"EXPLAIN QUERY PLAN {query}")
    assert any(f"INDEX {index}" in step[-1] for step in plan)


@pytest.mark.sqlite_file
def test_a_link_is_decided_by_look_ups_in_indexes_alone(database: Path) -> None:
    statement = decide_some(1).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    steps = [step[-1] for step in rows(database, f"EXPLAIN QUERY PLAN {statement}")]
    look_ups = [step for step in steps if " entity USING " in step]
    # SQLite makes the indexes of the two constraints itself: file_path, then permalink.
    assert [step.partition("INDEX ")[2].partition(" (")[0] for step in look_ups] == [
        "sqlite_autoindex_entity_2",
        "ix_entity_project_id_title",
        "sqlite_autoindex_entity_1",
        "sqlite_autoindex_entity_1",
        "ix_entity_project_id_alias_key",
        "ix_entity_project_id_path_key",
    ]
    assert [step for step in steps if step.startswith("SCAN") and "entity" in step] == []


def _pending(database: Path) -> list[str]:
    return [target for (target,) in rows(database, "SELECT target FROM relation WHERE pending ORDER BY target")]
