"""Relations: links to other notes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bm_gitindex.notes.model import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN_LINK_TYPE = "links_to"

_BRACKETS = re.compile(r"\[\[|\]\]")
_PARENTHESES = re.compile(r"[()]")


def parse_relation(text: str) -> Relation | None:
    """Return the relation that the text of a list item is: `label [[target]] (context)`.

    The label is one word, or in quotes. Any other text is none, whatever links it has.
    """
    label, opened, rest = text.partition("[[")
    target, closed, rest = rest.partition("]]")
    relation_type = _label_text(label.strip())
    target = _target_text(target)
    rest = rest.strip()
    if not (opened and closed and relation_type and target) or (rest and not _is_one_group(rest)):
        return None
    return Relation(relation_type, target, rest[1:-1].strip() or None)


def find_links(text: str) -> Iterator[Relation]:
    """Yield every `[[target]]`. Brackets nest; after one that is never closed there is nothing more."""
    depth = target_start = 0
    for bracket in _BRACKETS.finditer(text):
        if bracket[0] == "[[":
            depth += 1
            if depth == 1:
                target_start = bracket.end()
        elif depth:
            depth -= 1
            if depth == 0 and (target := _target_text(text[target_start : bracket.start()])):
                yield Relation(PLAIN_LINK_TYPE, target, None)


def _label_text(label: str) -> str:
    """Return the relation's type, empty for a label that is neither one word nor quoted."""
    if label and label[0] in "\"'" and label[-1] == label[0]:
        return label[1:-1].strip()
    return label if len(label.split(maxsplit=1)) == 1 else ""


def _target_text(target: str) -> str:
    """Return a target as it is stored: `project::name` is `project/name`."""
    return target.strip().replace("::", "/", 1)


def _is_one_group(text: str) -> bool:
    """Whether the first parenthesis is closed by the last character."""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth = 0
    for parenthesis in _PARENTHESES.finditer(text):
        depth += 1 if parenthesis[0] == "(" else -1
        if depth == 0:
            return parenthesis.end() == len(text)
    return False
