"""Who gets which name, against a plain model, for any number of entities that want each other's."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex.entities.records import Adoption
from bm_gitindex.entities.store import EntityStore, open_store
from bm_gitindex.notes.links import alias_key
from entities.builders import note, permalinks, rows
from support.profile import NIGHTLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from bm_gitindex.entities.records import Contested
    from entities.builders import AnyDatabase

FREE = 3
"""Names that nobody holds at first."""


def external_id(number: int) -> str:
    return str(UUID(int=number + 1, version=4))


def model(held: dict[int, str], wanted: dict[int, str | None]) -> dict[int, str]:
    """Return who has what in the end: try every set of refusals, the smallest first, until no two share a name."""
    changed = {number: name for number, name in wanted.items() if name not in {None, held[number]}}
    several = {number for number, name in changed.items() if list(changed.values()).count(name) > 1}
    able = sorted(changed.keys() - several)
    for count in range(len(able) + 1):
        for refused in itertools.combinations(able, count):
            final = {
                number: name
                if number not in changed or number in several or number in refused
                else changed[number] or ""
                for number, name in held.items()
            }
            if len(set(final.values())) == len(final):
                return final
    raise AssertionError


@st.composite
def wishes(draw: st.DrawFn) -> dict[int, int | None]:
    count = draw(st.integers(1, 6))
    names = st.none() | st.integers(0, count + FREE - 1)
    return dict(enumerate(draw(st.lists(names, min_size=count, max_size=count))))


async def adopt(store: EntityStore, adoptions: list[Adoption]) -> tuple[list[Contested], list[Contested], int]:
    async with store.adopting() as adopting:
        await adopting.stage(adoptions)
        external_ids, permalinks = await adopting.settle()
        return external_ids, permalinks, (await adopting.finish()).entities


@settings(max_examples=300 if NIGHTLY else 30)
@given(wishes())
async def test_names_go_to_those_who_can_have_them(
    new_database: Callable[[], AnyDatabase], wish: dict[int, int | None]
) -> None:
    database = new_database()
    async with open_store(database) as store:
        await store.put([note(f"{number}.md", links=[f"p{number}"]) for number in wish])
        held = await _held(store, len(wish))
        first = [Adoption(ids, external_id(number), f"p{number}", None) for number, ids in held.items()]
        await adopt(store, first)
        wanted = {held[number]: name for number, name in wish.items()}
        names = {entity_id: f"p{number}" for number, entity_id in held.items()}
        expected = model(names, {one: None if name is None else f"p{name}" for one, name in wanted.items()})
        changes = [
            Adoption(one, external_id(name), f"p{name}", None)
            for one, name in wanted.items()
            if name is not None and names[one] != f"p{name}"
        ]
        external_ids, refused, written = await adopt(store, changes)
    stored = {row[0]: row[1:] for row in rows(database, "SELECT id, permalink, alias_key, external_id FROM entity")}
    assert {one: row[0] for one, row in stored.items()} == expected
    assert all(row[1] == alias_key(str(row[0])) for row in stored.values())
    assert {one: row[2] for one, row in stored.items()} == {
        one: external_id(int(name[1:])) for one, name in expected.items()
    }
    assert written == sum(names[one] != name for one, name in expected.items())
    assert len(external_ids) == len(refused) == len(changes) - written
    aims = rows(database, "SELECT target, to_id FROM relation WHERE NOT pending")
    id_by_name = {name: one for one, name in expected.items()}
    assert dict(aims) == {f"p{number}": id_by_name.get(f"p{number}") for number in wish}


async def _held(store: EntityStore, count: int) -> dict[int, int]:
    async with store.adopting() as adopting:
        found = await adopting.held(b"%d.md" % number for number in range(count))
    return {int(path.partition(b".")[0]): held.id for path, held in found.items()}


@pytest.mark.parametrize(
    "count",
    [1_200, pytest.param(100_000, marks=pytest.mark.skipif(not NIGHTLY, reason="by night only: it takes minutes"))],
)
async def test_a_circle_of_all_entities_goes_round_in_bounded_memory(database: AnyDatabase, count: int) -> None:
    async with open_store(database) as store:
        for start in range(0, count, 400):
            await store.put([note(f"{number}.md") for number in range(start, min(start + 400, count))])
        held = await _held(store, count)
        tracemalloc.start()
        try:
            async with store.adopting() as adopting:
                for start in range(0, count, 400):
                    numbers = range(start, min(start + 400, count))
                    await adopting.stage(
                        [Adoption(held[one], external_id(one), str((one + 1) % count), None) for one in numbers]
                    )
                assert await adopting.settle() == ([], [])
                assert (await adopting.finish()).entities == count
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    stored = permalinks(database)
    assert stored == {f"{number}.md": str((number + 1) % count) for number in range(count)}
    # 500 rows at a time, and some numbers for each that wants what another one has.
    assert peak_bytes < 8_000_000 + 600 * count
