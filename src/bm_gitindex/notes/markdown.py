"""The body of a note: its observations and relations."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.notes.blocks import DEEPEST_LEVEL, MarkdownUnreadableError, text_blocks
from bm_gitindex.notes.observations import parse_observation
from bm_gitindex.notes.relations import find_links, parse_relation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bm_gitindex.notes.blocks import TextBlock
    from bm_gitindex.notes.model import Observation, Relation
    from bm_gitindex.options import NoteBounds


class Body(NamedTuple):
    """What the Markdown of a note says."""

    observations: tuple[Observation, ...] = ()
    relations: tuple[Relation, ...] = ()
    warnings: tuple[str, ...] = ()


def read_body(markdown: str, bounds: NoteBounds) -> Body:
    """Return observations and relations in the order of the text.

    What goes beyond a bound is left out, with a warning.
    """
    lines = markdown.replace("\r\n", "\n").replace("\r", "\n").strip()
    items = _Items(bounds.max_items)
    try:
        for block in text_blocks(lines, bounds.max_nesting):
            if block.text is None:
                items.has_deep_text = True
            else:
                items.take(block.text, block)
            if items.is_full:
                break
    except MarkdownUnreadableError as error:
        return Body(warnings=(f"observations and relations left out: {error}",))
    return items.body()


class _Items:
    """What was found so far, and no more than a bound allows."""

    def __init__(self, most: int) -> None:
        self.has_deep_text = False
        self._most = most
        # One more than allowed is taken in, to tell "just enough" from "too many".
        self._observations: list[Observation] = []
        self._relations: list[Relation] = []
        self._tag_count = 0

    @property
    def is_full(self) -> bool:
        return min(len(self._observations), len(self._relations)) > self._most

    def take(self, text: str, block: TextBlock) -> None:
        if len(self._observations) <= self._most and not block.in_quote:
            observation = parse_observation(text, max(self._most + 1 - self._tag_count, 0))
            if observation is not None:
                self._observations.append(self._counted(observation))
        if len(self._relations) <= self._most:
            relations = _relations_of(text, block)
            self._relations += islice(relations, self._most + 1 - len(self._relations))

    def _counted(self, observation: Observation) -> Observation:
        self._tag_count += len(observation.tags)
        if observation.tags and self._tag_count > self._most:
            return observation._replace(tags=observation.tags[:-1])
        return observation

    def body(self) -> Body:
        counts = {
            "observations": len(self._observations),
            "relations": len(self._relations),
            "tags": self._tag_count,
        }
        warnings = [
            f"more than {self._most} {name}: the rest is left out" for name in counts if counts[name] > self._most
        ]
        if self.has_deep_text:
            warnings.append(f"text below {DEEPEST_LEVEL} levels of quotes and lists left out")
        return Body(tuple(self._observations[: self._most]), tuple(self._relations[: self._most]), tuple(warnings))


def _relations_of(text: str, block: TextBlock) -> Iterable[Relation]:
    relation = parse_relation(text) if block.in_item else None
    return find_links(text) if relation is None else (relation,)
