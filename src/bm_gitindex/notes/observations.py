"""Observations: what a piece of text states about its note."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from bm_gitindex.notes.model import Observation

if TYPE_CHECKING:
    from collections.abc import Iterator

_TASK_MARKS = ("[ ]", "[x]", "[-]")
_CATEGORY = re.compile(r"\[([^\[\]()]*)\]\s+(.+)")
_TIME = r"\d{1,3}:\d{2}(?::\d{2})?(?:[.,]\d+)?"
_TIMESTAMP = re.compile(rf"{_TIME}(?:\s+-\s+{_TIME})?")
_TAG = re.compile(r"(?<!\S)#(\S*)")


def parse_observation(text: str, most_tags: int) -> Observation | None:
    """Return what a block of text says as an observation: `[category] content #tag (context)`.

    A category stands first and takes in its own line only; without one the whole block counts, if it has a tag.
    Tags beyond `most_tags` are not looked for.
    """
    text = text.strip()
    if text.startswith(_TASK_MARKS) or _is_link(text):
        return None
    category, content = _split_category(text)
    if category is None and not _TAG.search(text):
        return None
    content, context = _split_context(content.strip())
    if not content:
        return None
    return Observation(category, content, tuple(islice(_tags(content), most_tags)), context)


def _is_link(text: str) -> bool:
    """Whether a single line begins and ends as a link does, `[label](target)` or `[[target]]`."""
    if "\n" in text:
        return False
    is_wiki_link = text.startswith("[[") and text.endswith("]]")
    return is_wiki_link or (text.startswith("[") and text.endswith(")") and "](" in text)


def _split_category(text: str) -> tuple[str | None, str]:
    found = _CATEGORY.match(text)
    if found is None:
        return None, text
    brackets, content = found.groups()
    if not brackets:
        return None, content
    category = brackets.strip()
    return (None, text) if _is_mark(category) else (category, content)


def _is_mark(category: str) -> bool:
    """Tell a task's state (`[X]`, `[>]`) or a time stamp (`[00:00:11]`) from a category."""
    if len(category) == 1:
        return category in "xX" or not category.isalnum()
    return _TIMESTAMP.fullmatch(category) is not None


def _split_context(content: str) -> tuple[str, str | None]:
    opening = content.rfind("(")
    if opening < 0 or not content.endswith(")"):
        return content, None
    return content[:opening].strip(), content[opening + 1 : -1].strip()


def _tags(content: str) -> Iterator[str]:
    """Yield the tags in order: `#a#b` is two, `#` alone is an empty one, `##` is none."""
    return (tag for word in _TAG.finditer(content) for tag in _tags_of_word(word[1]))


def _tags_of_word(word: str) -> list[str]:
    return [tag for tag in word.split("#") if tag] if "#" in word else [word]
