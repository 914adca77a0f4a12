"""The body of a note: its observations and relations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from bm_gitindex.notes.blocks import MarkdownUnreadableError, TextBlock, text_blocks
from bm_gitindex.notes.observations import parse_observation
from bm_gitindex.notes.relations import find_links, parse_relation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bm_gitindex.notes.model import Observation, Relation
    from bm_gitindex.options import NoteBounds


@dataclass(frozen=True, slots=True)
class Body:
    """What the Markdown of a note says."""

    observations: tuple[Observation, ...] = ()
    relations: tuple[Relation, ...] = ()
    warnings: tuple[str, ...] = ()


def read_body(markdown: str, bounds: NoteBounds) -> Body:
    """Return observations and relations in the order of the text.

    What goes beyond a bound is left out, with a warning.
    """
    lines = markdown.replace("\r\n", "\n").replace("\r", "\n").strip()
    observations: list[Observation] = []
    relations: list[Relation] = []
    try:
        for block in text_blocks(lines, bounds.max_nesting):
            # One more than allowed is taken in, to tell "just enough" from "too many".
            if len(observations) <= bounds.max_items:
                observations += _observations_of(block)
            if len(relations) <= bounds.max_items:
                relations += islice(_relations_of(block), bounds.max_items + 1 - len(relations))
            if min(len(observations), len(relations)) > bounds.max_items:
                break
    except MarkdownUnreadableError as error:
        return Body(warnings=(f"observations and relations left out: {error}",))
    return Body(
        tuple(observations[: bounds.max_items]),
        tuple(relations[: bounds.max_items]),
        tuple(_overflow_warnings({"observations": observations, "relations": relations}, bounds)),
    )


def _observations_of(block: TextBlock) -> Iterable[Observation]:
    observation = None if block.in_quote else parse_observation(block.text)
    return () if observation is None else (observation,)


def _relations_of(block: TextBlock) -> Iterable[Relation]:
    relation = parse_relation(block.text) if block.in_item else None
    return find_links(block.text) if relation is None else (relation,)


def _overflow_warnings(found: dict[str, list[Observation] | list[Relation]], bounds: NoteBounds) -> Iterator[str]:
    for name, items in found.items():
        if len(items) > bounds.max_items:
            yield f"more than {bounds.max_items} {name}: the rest is left out"
