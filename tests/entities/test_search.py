"""Looking for entities, against a model of them in memory."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from bm_gitindex.entities import assembly, chunks, reader, search
from bm_gitindex.entities.reader import open_reader
from bm_gitindex.entities.records import MOST_TAGS, Delete, Filter, Neighbourhood
from bm_gitindex.entities.search import matching_ids, orphan_ids, unresolved_ids
from bm_gitindex.entities.store import EntityStore, open_store
from bm_gitindex.notes.model import Observation
from entities.builders import MTIME, attachment, note, rows, state, sync_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from bm_gitindex.entities.records import EntitySummary, Upsert

DAY = timedelta(days=1)


@pytest.fixture
async def store(database: Path) -> AsyncIterator[EntityStore]:
    async with open_store(database) as store:
        yield store


async def fill(store: EntityStore, *upserts: Upsert) -> None:
    await store.put(upserts)
    await store.resolve_links()
    await store.close_tie(state(), sync_run())


async def paths(found: AsyncIterator[EntitySummary]) -> list[str]:
    return [one.file_path.decode() async for one in found]


async def found_paths(database: Path, **conditions: object) -> list[str]:
    async with open_reader(database) as entities:
        return await paths(entities.find(Filter(**conditions)))  # type: ignore[arg-type]


@pytest.fixture
async def filled(store: EntityStore, database: Path) -> Path:
    await fill(
        store,
        note("b.md", type="spec", tags=("red", "blue"), metadata={"status": "done", "owner": {"name": "Ann"}}),
        note("a.md", tags=("red",), modified=MTIME + DAY, metadata={"status": ["draft", "done"], "a.b": "dotted"}),
        note("c.md", observations=(Observation("fact", "x #blue", ("blue", ""), None),), warnings=("bad YAML",)),
        attachment("d.pdf"),
    )
    return database


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, ["a.md", "b.md", "c.md", "d.pdf"]),
        ({"type": "spec"}, ["b.md"]),
        ({"type": "file"}, ["d.pdf"]),
        ({"type": "Spec"}, []),
        ({"tags": ("red",)}, ["a.md", "b.md"]),
        ({"tags": ("blue",)}, ["b.md", "c.md"]),
        ({"tags": ("red", "blue")}, ["b.md"]),
        ({"tags": ("",)}, []),
        ({"metadata": {"status": "done"}}, ["a.md", "b.md"]),
        ({"metadata": {"status": "draft"}}, ["a.md"]),
        ({"metadata": {"owner.name": "Ann"}}, ["b.md"]),
        ({"metadata": {"a.b": "dotted"}}, ["a.md"]),
        ({"metadata": {"owner": "Ann"}}, []),
        ({"metadata": {"status.x": "done"}}, []),
        ({"metadata": {"nothing": "done"}}, []),
        ({"changed_since": MTIME}, ["a.md", "b.md", "c.md", "d.pdf"]),
        ({"changed_since": MTIME + DAY}, ["a.md"]),
        ({"changed_since": MTIME + 2 * DAY}, []),
        ({"has_warnings": True}, ["c.md"]),
        ({"type": "note", "tags": ("red",), "metadata": {"status": "done"}, "changed_since": MTIME + DAY}, ["a.md"]),
        ({"type": "spec", "has_warnings": True}, []),
    ],
    ids=str,
)
async def test_find_meets_every_condition(filled: Path, conditions: Mapping[str, object], expected: list[str]) -> None:
    assert await found_paths(filled, **conditions) == expected


@pytest.mark.parametrize("condition", [{"type": "\udcff"}, {"type": "a\0"}, {"tags": ("red", "\ud800")}], ids=ascii)
async def test_what_no_database_can_hold_is_found_nowhere(filled: Path, condition: Mapping[str, object]) -> None:
    assert await found_paths(filled, **condition) == []


def test_a_time_without_a_zone_names_no_moment() -> None:
    with pytest.raises(ValueError, match="no time zone: 2023-11-14"):
        Filter(changed_since=MTIME.replace(tzinfo=None))


async def test_as_many_tags_as_may_be_asked_for_are_looked_up_and_one_more_is_refused(
    store: EntityStore, database: Path
) -> None:
    tags = tuple(f"tag-{number}" for number in range(MOST_TAGS + 1))
    await fill(store, note("all.md", tags=tags), note("most.md", tags=tags[1:]))
    assert await found_paths(database, tags=tags[:MOST_TAGS]) == ["all.md"]
    assert await found_paths(database, tags=tags[1:]) == ["all.md", "most.md"]
    with pytest.raises(ValueError, match="more than 50 tags"):
        Filter(tags=tags)


async def test_an_id_that_is_none_has_no_neighbours(filled: Path) -> None:
    async with open_reader(filled) as entities:
        for entity_id in (0, -1, 99, 2**63):
            assert await entities.neighbours(entity_id) == Neighbourhood((), is_cut=False)


KINDS = st.sampled_from(["note", "spec", "Spec"])
TAGS = st.lists(st.sampled_from(["red", "blue", "Red", "", "a%b", "é"]), max_size=3).map(tuple)
DAYS = st.integers(0, 3)
VALUES = st.sampled_from(["done", "draft", ""])
METADATA = st.dictionaries(
    st.sampled_from(["status", "a.b"]), VALUES | st.lists(VALUES, max_size=2) | st.fixed_dictionaries({"b": VALUES})
)
NOTES = st.lists(st.tuples(KINDS, TAGS, TAGS, DAYS, METADATA, st.booleans()), max_size=6)
FILTERS = st.builds(
    Filter,
    type=st.none() | KINDS,
    tags=TAGS,
    metadata=st.dictionaries(st.sampled_from(["status", "a.b", "status.b"]), VALUES, max_size=2),
    changed_since=st.none() | DAYS.map(lambda days: MTIME + days * DAY),
    has_warnings=st.booleans(),
)


def has_value(metadata: Mapping[str, object], key: str, value: str) -> bool:
    """Whether front matter has this value: `status.b` is what `b` says in what `status` says."""
    outer, _, inner = key.partition(".")
    found = metadata.get(key)
    if found is None and inner and isinstance(nested := metadata.get(outer), dict):
        found = nested.get(inner)
    return value in found if isinstance(found, list) else found == value


@pytest.mark.both_by_night
@settings(max_examples=25)
@given(NOTES, st.lists(FILTERS, min_size=1, max_size=8))
async def test_find_finds_what_a_model_finds(
    new_database: Callable[[], Path], notes: list[tuple[Any, ...]], filters: list[Filter]
) -> None:
    database = new_database()
    async with open_store(database) as store:
        await fill(
            store,
            *(
                note(
                    f"{number}.md",
                    type=kind,
                    tags=tags,
                    observations=(Observation("fact", "x", more_tags, None),),
                    modified=MTIME + days * DAY,
                    metadata=metadata,
                    warnings=("bad YAML",) * is_bad,
                )
                for number, (kind, tags, more_tags, days, metadata, is_bad) in enumerate(notes)
            ),
        )
    async with open_reader(database) as entities:
        for wanted in filters:
            expected = [
                f"{number}.md"
                for number, (kind, tags, more_tags, days, metadata, is_bad) in enumerate(notes)
                if wanted.type in {None, kind}
                and set(wanted.tags) <= {*tags, *more_tags}
                and "" not in wanted.tags
                and all(has_value(metadata, key, value) for key, value in wanted.metadata.items())
                and (wanted.changed_since is None or wanted.changed_since <= MTIME + days * DAY)
                and is_bad >= wanted.has_warnings
            ]
            assert await paths(entities.find(wanted)) == expected


async def test_a_summary_says_what_the_entity_says(filled: Path) -> None:
    async with open_reader(filled) as entities:
        async for summary in entities.find(Filter()):
            entity = await entities.get(summary.id)
            assert entity is not None
            for name in summary.__slots__:
                assert getattr(summary, name) == getattr(entity, name)


async def test_an_entity_is_found_by_its_external_id_after_permalink_and_path(filled: Path) -> None:
    (external_id,) = (row[0] for row in rows(filled, "SELECT external_id FROM entity WHERE file_path = 'b.md'"))
    async with open_reader(filled) as entities:
        found = await entities.get(external_id)
        assert found is not None
        assert (found.file_path, found.external_id) == (b"b.md", external_id)


async def test_all_yields_every_entity_as_get_does(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "ENTITY_PAGE", 3)
    async with open_reader(filled) as entities:
        found = [entity async for entity in entities.all()]
        assert found == [await entities.get(entity.id) for entity in found]
        assert [entity.file_path for entity in found] == [b"a.md", b"b.md", b"c.md", b"d.pdf"]


async def test_what_is_deleted_while_a_reader_takes_his_time_is_left_out(
    filled: Path, store: EntityStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "QUERY_CHUNK", 1)
    async with open_reader(filled) as entities:
        found = []
        async for one in entities.find(Filter()):
            found.append(one.file_path)
            await store.remove([Delete(b"c.md")])
        assert found == [b"a.md", b"b.md", b"d.pdf"]


QUERIES = {
    "type": (matching_ids(1, Filter(type="a")), "ix_entity_project_id_type"),
    "tag": (matching_ids(1, Filter(tags=("a",))), "ix_entity_tag_project_id_tag"),
    "changed since": (matching_ids(1, Filter(changed_since=MTIME)), "ix_entity_project_id_updated_at"),
    "several tags": (matching_ids(1, Filter(tags=("a", "b"))), "ix_entity_tag_project_id_tag"),
    "tag and type": (matching_ids(1, Filter(type="a", tags=("b",))), "ix_entity_tag_project_id_tag"),
    "tag, type, time and warnings": (
        matching_ids(1, Filter(type="a", tags=("b",), changed_since=MTIME, has_warnings=True)),
        "ix_entity_tag_project_id_tag",
    ),
    "type and time": (matching_ids(1, Filter(type="a", changed_since=MTIME)), "ix_entity_project_id_updated_at"),
    "all": (matching_ids(1, Filter()), "sqlite_autoindex_entity_1"),
    "orphans": (orphan_ids(1), "ix_relation_to_id"),
    "unresolved": (unresolved_ids(1), "ix_relation_to_id"),
    "neighbours out": (search.OUTGOING.query([1, 2]), "sqlite_autoindex_relation_1"),
    "neighbours in": (search.INCOMING.query([1, 2]), "ix_relation_to_id"),
}
PASSES = {"all", "orphans"}
"""Those that have to look at every entity."""


@pytest.mark.sqlite_file
@pytest.mark.parametrize("name", QUERIES)
def test_queries_use_their_index(database: Path, name: str) -> None:
    query, index = QUERIES[name]
    statement = query.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    text = str(statement).replace("?", "'1'")
    plan = [step[-1] for step in rows(database, f"EXPLAIN QUERY PLAN {text}")]
    assert any(f"INDEX {index}" in step for step in plan), plan
    assert not any(step.startswith("SCAN") for step in plan), plan
    # A search by the project alone is a pass over everything that it has.
    assert any(step.endswith("(project_id=?)") for step in plan) is (name in PASSES), plan


# --- relations, against a model --------------------------------------------------------------------------------------


class Graph(NamedTuple):
    """Notes 0 to n, which link to each other, and to notes that there are not."""

    links: list[list[int]]

    def upserts(self) -> list[Upsert]:
        return [note(f"{n}.md", links=tuple(f"{aim}" for aim in aims)) for n, aims in enumerate(self.links)]

    def pairs(self) -> set[tuple[int, int]]:
        return {(n, aim) for n, aims in enumerate(self.links) for aim in aims if aim < len(self.links)}

    def distances(self, start: int, depth: int, *, is_out: bool, is_in: bool) -> dict[int, int]:
        found = {start: 0}
        for distance in range(1, depth + 1):
            edge = {n for n, known in found.items() if known == distance - 1}
            out = {aim for n, aim in self.pairs() if n in edge} if is_out else set()
            back = {n for n, aim in self.pairs() if aim in edge} if is_in else set()
            found |= dict.fromkeys((out | back) - found.keys(), distance)
        return {n: distance for n, distance in found.items() if n != start}


graphs = st.integers(1, 7).flatmap(
    lambda notes: st.lists(st.lists(st.integers(0, notes + 2), max_size=4), min_size=notes, max_size=notes)
)


@settings(max_examples=40, deadline=None)
@given(graphs.map(Graph), st.integers(1, 4))
async def test_relations_are_followed_as_a_model_follows_them(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, graph: Graph, depth: int
) -> None:
    database = tmp_path_factory.mktemp("graph") / "entities.db"
    shutil.copy(empty_database, database)
    async with open_store(database) as store:
        await fill(store, *graph.upserts())
    numbers = {
        row_id: int(str(path).removesuffix(".md"))
        for row_id, path in rows(database, "SELECT id, file_path FROM entity")
    }
    ids = {number: row_id for row_id, number in numbers.items()}
    async with open_reader(database) as entities:
        for direction, is_out, is_in in (("both", True, True), ("out", True, False), ("in", False, True)):
            around = await entities.neighbours(ids[0], depth, direction=direction)  # type: ignore[arg-type]
            found = {numbers[one.entity.id]: one.distance for one in around.neighbours}
            assert found == graph.distances(0, depth, is_out=is_out, is_in=is_in)
            assert not around.is_cut
            for one in around.neighbours:
                pair = (numbers[one.via_id], numbers[one.entity.id])
                assert (pair[::-1] if one.is_incoming else pair) in graph.pairs()
        unresolved = [(link.from_path.decode(), link.target) async for link in entities.unresolved()]
        assert sorted(unresolved) == sorted(
            (f"{n}.md", str(aim)) for n, aims in enumerate(graph.links) for aim in aims if aim >= len(graph.links)
        )
        connected = {n for pair in graph.pairs() if pair[0] != pair[1] for n in pair}
        assert await paths(entities.orphans()) == sorted(f"{n}.md" for n in set(numbers.values()) - connected)


async def test_no_more_neighbours_than_asked_for_and_it_says_so(store: EntityStore, database: Path) -> None:
    await fill(store, note("hub.md"), *(note(f"{n:04}.md", links=("hub",)) for n in range(1_200)))
    async with open_reader(database) as entities:
        hub = await entities.get("hub")
        assert hub is not None
        cut = await entities.neighbours(hub.id, 3, limit=1_000)
        assert (len(cut.neighbours), cut.is_cut) == (1_000, True)
        whole = await entities.neighbours(hub.id, 3, limit=1_200)
        assert (len(whole.neighbours), whole.is_cut) == (1_200, False)
        for bad in ({"depth": 0}, {"limit": 0}):
            with pytest.raises(ValueError, match="at least 1"):
                await entities.neighbours(hub.id, **bad)  # type: ignore[arg-type]


async def test_a_file_that_no_note_links_to_is_no_orphan(filled: Path) -> None:
    async with open_reader(filled) as entities:
        assert await paths(entities.orphans()) == ["a.md", "b.md", "c.md"]


async def test_pages_make_no_difference(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_reader(filled) as entities:
        at_once = [entity async for entity in entities.all()]
        for module in (reader, assembly, search, chunks):
            if hasattr(module, "QUERY_CHUNK"):
                monkeypatch.setattr(module, "QUERY_CHUNK", 1)
        monkeypatch.setattr(reader, "ENTITY_PAGE", 1)
        assert [entity async for entity in entities.all()] == at_once
        assert await paths(entities.find(Filter())) == [entity.file_path.decode() for entity in at_once]
