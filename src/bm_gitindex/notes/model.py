"""What a note says, as plain values.

Every string can be stored as UTF-8 and holds neither NUL nor half a surrogate pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

JsonValue: TypeAlias = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None


class Observation(NamedTuple):
    """A fact about the note: `[category] content #tag (context)`."""

    category: str | None
    """`None`: the text carries a tag and no category."""
    content: str
    """The text with its tags, without category and context."""
    tags: tuple[str, ...]
    """In order of appearance, without `#`."""
    context: str | None
    """What stands in the last parentheses, if the text ends with them."""


class Relation(NamedTuple):
    """A link from the note: `type [[target]] (context)` in a list item, or a plain `[[target]]`."""

    type: str
    """`links_to` for a plain link."""
    target: str
    """As written, with alias and heading; only a project, as in `project::name`, becomes `project/name`."""
    context: str | None


class ParsedNote(NamedTuple):
    """Everything that is read from a single note."""

    title: str | None
    """As the front matter gives it; `None`: the file's stem serves (`permalink.title_from_path`)."""
    type: str
    """`note` unless the front matter says otherwise."""
    permalink: str | None
    """As the front matter gives it; `None` if it gives none that can be used."""
    tags: tuple[str, ...]
    created: datetime | None
    """In UTC; `None` if the front matter gives none that can be used."""
    modified: datetime | None
    """In UTC; `None` if the front matter gives none that can be used."""
    metadata: Mapping[str, JsonValue]
    """Front matter that no field above holds, unusable dates and permalinks included. Scalars are strings."""
    observations: tuple[Observation, ...]
    relations: tuple[Relation, ...]
    warnings: tuple[str, ...]
    """Problems of the content, one line each, in words for the user."""
