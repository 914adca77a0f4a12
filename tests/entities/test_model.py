"""However a database came to hold a set of files, it says what one built from that set at once would say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex.entities.records import Delete, Move, Upsert
from bm_gitindex.entities.rows import note_rows
from bm_gitindex.entities.store import EntityStore, open_store
from bm_gitindex.rules import Kind
from entities.builders import fact, file_record, ids, links, parsed, permalinks, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from entities.builders import AnyDatabase

NAMES = ["a", "B", "x y", "x-y", "x_y"]
PATHS = [f"{folder}{name}.md" for folder in ("", "d/") for name in NAMES] + ["a", "d/f.pdf"]
TARGETS = [*NAMES, "X Y", "d/a", "d/a.md", "d/x-y", "title", "TITLE", "f.pdf", "d/f.pdf", "a-1", "none"]

notes = st.builds(
    parsed,
    title=st.sampled_from([None, None, "title", "Title", "a", "x y"]),
    permalink=st.sampled_from([None, None, None, "a", "x-y", "d/a", "title"]),
    observations=st.lists(st.sampled_from("pq").map(fact), max_size=2).map(tuple),
    links=st.lists(st.sampled_from(TARGETS), max_size=4),
)
puts = st.dictionaries(st.sampled_from(PATHS), st.none() | notes, min_size=1, max_size=6)
removals = st.sets(st.sampled_from(PATHS), min_size=1, max_size=3)
moves = st.permutations(PATHS).flatmap(
    lambda new: st.integers(1, 4).map(lambda count: dict(zip(PATHS[:count], new, strict=False)))
)
steps = st.lists(
    st.tuples(st.just("put"), puts)
    | st.tuples(st.just("remove"), removals)
    | st.tuples(st.just("move"), st.permutations(PATHS), st.permutations(PATHS), st.integers(1, 5)),
    min_size=1,
    max_size=8,
)


@dataclass
class Folder:
    """What the files are, and which ids their entities had when last seen."""

    files: dict[str, Upsert] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)

    def put(self, upserts: Iterable[Upsert]) -> None:
        self.files |= {upsert.file.path.decode(): upsert for upsert in upserts}

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.files.pop(path, None)
            self.ids.pop(path, None)

    def move(self, new_by_old: dict[str, str]) -> list[Move]:
        moved = []
        for old, new in new_by_old.items():
            upsert = self.files[old]
            moved.append((old, upsert._replace(file=upsert.file._replace(path=new.encode()))))
        moved_ids = {new: self.ids[old] for old, new in new_by_old.items()}
        self.remove([*new_by_old, *new_by_old.values()])
        self.put(upsert for _old, upsert in moved)
        self.ids |= moved_ids
        return [Move(old.encode(), upsert.file) for old, upsert in moved]


@settings(deadline=None, max_examples=60)
@given(history=steps, resolve_each_step=st.booleans())
def test_history_leaves_no_trace(
    new_database: Callable[[], AnyDatabase], history: list[Any], resolve_each_step: bool
) -> None:
    grown, built = new_database(), new_database()
    files = asyncio.run(_grow(grown, history, resolve_each_step))
    asyncio.run(_build(built, files, permalinks(grown)))
    assert _content(grown) == _content(built)
    assert links(grown) == links(built)
    assert rows(grown, "SELECT * FROM relation WHERE pending") == []


async def _grow(database: AnyDatabase, history: list[Any], resolve_each_step: bool) -> dict[str, Upsert]:
    model = Folder()
    async with open_store(database) as store:
        for step in history:
            await _take(store, model, step)
            if resolve_each_step:
                await store.resolve_links()
            present = ids(database)
            assert present.keys() == model.files.keys()
            assert {path: present[path] for path in model.ids} == model.ids
            model.ids = present
            assert _is_consistent(permalinks(database), model.files)
        await store.resolve_links()
    return model.files


async def _take(store: EntityStore, model: Folder, step: Any) -> None:
    if step[0] == "put":
        upserts = [_upsert(path, note) for path, note in sorted(step[1].items())]
        model.put(upserts)
        await store.put(upserts)
    elif step[0] == "remove":
        model.remove(step[1])
        await store.remove([Delete(path.encode()) for path in sorted(step[1])])
    else:
        _, old_paths, new_paths, count = step
        pairs = [(old, new) for old, new in zip(old_paths, new_paths, strict=True) if old in model.files and old != new]
        await store.move(model.move(dict(pairs[:count])))


async def _build(database: AnyDatabase, files: dict[str, Upsert], permalink_by_path: dict[str, str | None]) -> None:
    """Store all files at once. What they were called before is their history, which is given as front matter."""
    async with open_store(database) as store:
        await store.put([_called(upsert, permalink_by_path[path]) for path, upsert in sorted(files.items())])
        await store.resolve_links()


def _upsert(path: str, note: Any) -> Upsert:
    is_note = path.endswith(".md")
    return Upsert(
        file_record(path, kind=Kind.NOTE if is_note else Kind.FILE), note_rows(note) if is_note and note else None
    )


def _called(upsert: Upsert, permalink: str | None) -> Upsert:
    return upsert if upsert.note is None else upsert._replace(note=upsert.note._replace(permalink=permalink))


def _content(database: AnyDatabase) -> dict[str, list[tuple[Any, ...]]]:
    entities = "SELECT file_path, kind, content_type, blob_id, title, type, permalink, alias_key FROM entity ORDER BY 1"
    observations = (
        "SELECT file_path, position, category, content FROM observation JOIN entity ON entity.id = entity_id"
        " ORDER BY 1, 2"
    )
    relations = (
        "SELECT file_path, position, relation.type, target, target_key FROM relation"
        " JOIN entity ON entity.id = from_id ORDER BY 1, 2"
    )
    return {query: rows(database, query) for query in (entities, observations, relations)}


def _is_consistent(permalink_by_path: dict[str, str | None], files: dict[str, Upsert]) -> bool:
    """Every parsed note has a permalink of its own, and nothing else has one."""
    given = [permalink for permalink in permalink_by_path.values() if permalink is not None]
    return len(given) == len(set(given)) and all(
        (permalink_by_path[path] is None) == (upsert.note is None) for path, upsert in files.items()
    )
