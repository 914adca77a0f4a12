"""What an entity must say, given its file, for `verify` alone."""

from __future__ import annotations

import json
import mimetypes
from typing import TYPE_CHECKING

from bm_gitindex.notes.links import link_key
from bm_gitindex.notes.parser import parse_note
from bm_gitindex.notes.permalink import title_from_path
from bm_gitindex.notes.sketch import sketch
from bm_gitindex.notes.text import fits_index
from bm_gitindex.oracle.links import alias_of, key_of, name_of
from bm_gitindex.rules import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bm_gitindex.notes.model import ParsedNote
    from bm_gitindex.options import NoteBounds
    from bm_gitindex.oracle.database import ContentRow, EntityRow
    from bm_gitindex.oracle.tree import FoundFile

_SHOWN_CHARACTERS = 80


def differences(
    found: FoundFile, entity: EntityRow, content: ContentRow, bounds: NoteBounds
) -> Iterator[tuple[str, str]]:
    """Yield kind and detail of everything that an entity says otherwise than its file does."""
    if found.kind is not Kind.NOTE:
        yield from _of_file(found, entity, content)
    elif found.data is None:
        yield from _of_unparsed(found, entity, content)
    else:
        yield from _of_note(found, parse_note(found.data, bounds), entity, content)
        yield from _difference("sketch", content.sketch, sketch(found.data))
    expected = None if entity.permalink is None else alias_of(entity.permalink)
    yield from _difference("permalink", entity.alias_key, expected)
    yield from _difference("path-key", content.path_key, key_of(found.path) if found.kind is Kind.NOTE else None)


def shown_difference(stored: object, expected: object) -> str:
    """Return both values in a line, cut to a length that can be read."""
    return f"stored is {_cut(stored)}, expected {_cut(expected)}"


def _of_file(found: FoundFile, entity: EntityRow, content: ContentRow) -> Iterator[tuple[str, str]]:
    name = found.path.rpartition(b"/")[2].decode("utf-8", "replace")
    # The folder keeps a name such as "data:a.png" from being taken for a URL.
    media_type = mimetypes.guess_type(f"./{name}")[0] or "application/octet-stream"
    yield from _difference("title", (entity.title, content.title_from_path), (name, 1))
    yield from _difference("type", content.type, "file")
    yield from _difference("content-type", content.content_type, media_type)
    yield from _difference("warnings", content.warnings, [])
    yield from _without_content(entity, content)


def _of_unparsed(found: FoundFile, entity: EntityRow, content: ContentRow) -> Iterator[tuple[str, str]]:
    yield from _difference("title", (entity.title, content.title_from_path), (title_from_path(found.path), 1))
    yield from _difference("type", content.type, "note")
    yield from _difference("content-type", content.content_type, "text/markdown")
    if not isinstance(content.warnings, list) or len(content.warnings) != 1:
        yield "warnings", shown_difference(content.warnings, "one warning: the note is larger than note_max_bytes")
    yield from _without_content(entity, content)


def _without_content(entity: EntityRow, content: ContentRow) -> Iterator[tuple[str, str]]:
    yield from _difference("permalink", entity.permalink, None)
    yield from _difference("tags", (content.tags, content.all_tags), ([], set()))
    yield from _difference("metadata", content.metadata, {})
    yield from _difference("sketch", content.sketch, None)
    yield from _difference("observations", content.observations, [])
    yield from _difference("relations", content.relations, [])


def _of_note(found: FoundFile, note: ParsedNote, entity: EntityRow, content: ContentRow) -> Iterator[tuple[str, str]]:
    title = title_from_path(found.path) if note.title is None else note.title
    yield from _difference("title", (entity.title, content.title_from_path), (title, int(note.title is None)))
    yield from _difference("type", content.type, note.type)
    yield from _difference("content-type", content.content_type, "text/markdown")
    yield from _difference("tags", content.tags, list(note.tags))
    yield from _difference("tags", content.all_tags, _all_tags(note))
    yield from _difference("metadata", _canonical(content.metadata), _canonical(dict(note.metadata)))
    yield from _difference("warnings", content.warnings, list(note.warnings))
    yield from _permalink_difference(note.permalink, entity.permalink)
    yield from _list_difference("observations", content.observations, _observations(note))
    yield from _list_difference("relations", content.relations, _relations(note))


def _permalink_difference(stated: str | None, stored: str | None) -> Iterator[tuple[str, str]]:
    # Which one it is depends on history: what a note states may have been another's when it was taken in, and a note
    # that was moved keeps its own.
    if stored is None:
        yield "permalink", shown_difference(stored, "a permalink" if stated is None else stated)


def _all_tags(note: ParsedNote) -> set[object]:
    tags: set[object] = set(note.tags)
    for fact in note.observations:
        tags.update(fact.tags)
    return {tag for tag in tags - {""} if fits_index(str(tag))}


def _observations(note: ParsedNote) -> list[tuple[object, ...]]:
    return [
        (position, "note" if fact.category is None else fact.category, fact.content, list(fact.tags), fact.context)
        for position, fact in enumerate(note.observations)
    ]


def _relations(note: ParsedNote) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for position, link in enumerate(note.relations):
        name = name_of(link.target)
        rows.append((position, link.type, link.target, name, link_key(name), alias_of(name), link.context))
    return rows


def _difference(kind: str, stored: object, expected: object) -> Iterator[tuple[str, str]]:
    if stored != expected:
        yield kind, shown_difference(stored, expected)


def _list_difference(
    kind: str, stored: list[tuple[object, ...]], expected: list[tuple[object, ...]]
) -> Iterator[tuple[str, str]]:
    if len(stored) != len(expected):
        yield kind, f"{len(stored)} are stored, {len(expected)} expected"
    else:
        pairs = zip(stored, expected, strict=True)
        yield from ((kind, shown_difference(have, want)) for have, want in pairs if have != want)


def _canonical(value: object) -> str:
    """Return JSON text that is the same for the same value, NaN included."""
    return json.dumps(value, sort_keys=True)


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
