"""Bytes to a `ParsedNote`: what basic-memory's own parser finds in a note, and a warning where it would give up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.notes.fields import DateUnusableError, permalink_of, tags_of, time_of, title_of, type_of
from bm_gitindex.notes.frontmatter import split_front_matter
from bm_gitindex.notes.markdown import read_body
from bm_gitindex.notes.model import ParsedNote
from bm_gitindex.notes.text import cut_to_index, decode_note, fits_index
from bm_gitindex.options import NAME_MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bm_gitindex.notes.model import JsonValue
    from bm_gitindex.options import NoteBounds


def parse_note(data: bytes, bounds: NoteBounds) -> ParsedNote:
    """Return what the note says. No content is an error: what cannot be read is left out, with a warning.

    `data` is at most `bounds.note_max_bytes` long; the caller sees to that.
    """
    text, encoding_warnings = decode_note(data)
    header = split_front_matter(text, bounds)
    body = read_body(header.body, bounds)
    fields = _Fields(header.values, bounds.name_max_characters)
    return ParsedNote(
        title=fields.take_title(),
        type=fields.take_type(),
        permalink=fields.take_permalink(),
        tags=tags_of(fields.take("tags")),
        created=fields.take_time("created"),
        modified=fields.take_time("modified"),
        metadata=fields.rest,
        observations=body.observations,
        relations=body.relations,
        warnings=tuple(
            warning for warning in (*encoding_warnings, header.warning, *fields.warnings, *body.warnings) if warning
        ),
    )


def parse_identity(data: bytes, bounds: NoteBounds) -> tuple[str | None, datetime | None]:
    """Return the permalink and the time of creation that `parse_note` finds in the same note."""
    text, _warnings = decode_note(data)
    fields = _Fields(split_front_matter(text, bounds).values, bounds.name_max_characters)
    return fields.take_permalink(), fields.take_time("created")


class _Fields:
    """The keys of a header; those that are taken, and can be used, leave the rest."""

    def __init__(self, values: Mapping[str, JsonValue], name_max_characters: int) -> None:
        self.rest = dict(values)
        self._most = name_max_characters
        self.warnings: list[str] = []

    def take(self, key: str) -> JsonValue:
        return self.rest.pop(key, None)

    def take_title(self) -> str | None:
        title = title_of(self.take("title"))
        return None if title is None else self._shortened("title", title)

    def take_type(self) -> str:
        return self._shortened("type", type_of(self.take("type")))

    def _shortened(self, key: str, name: str) -> str:
        cut = cut_to_index(name[: self._most])
        if cut != name:
            self.warnings.append(f"{key} cut: longer than {self._bound(name)}")
        return cut

    def _bound(self, name: str) -> str:
        """Return which bound a name is beyond."""
        return f"{self._most} characters" if len(name) > self._most else f"{NAME_MAX_BYTES} bytes"

    def take_permalink(self) -> str | None:
        stated = self.rest.get("permalink")
        if isinstance(stated, list | dict):
            self.warnings.append("permalink ignored: not a text")
            return None
        if isinstance(stated, str) and (len(stated) > self._most or not fits_index(stated)):
            self.warnings.append(f"permalink ignored: longer than {self._bound(stated)}")
            return None
        return permalink_of(self.take("permalink"))

    def take_time(self, key: str) -> datetime | None:
        try:
            time = time_of(self.rest.get(key))
        except DateUnusableError as error:
            self.warnings.append(f"{key} ignored: {error}")
            return None
        self.rest.pop(key, None)
        return time
