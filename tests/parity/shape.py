"""Our answer in the words of basic-memory's, and what in them differs.

What is made equal before the comparison, and nothing else:

- no title of its own is the stem of the file's name, which basic-memory puts in its place at once;
- `tags` that are null and tags that are null are no tags; the times are compared in UTC, and only where stated;
- a permalink that is empty is none; one that is no text stays in the metadata with both;
- what the fields above hold is not compared a second time as metadata.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bm_gitindex.notes.parser import parse_note
from bm_gitindex.notes.permalink import title_from_path
from bm_gitindex.options import NoteBounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bm_gitindex.notes.model import ParsedNote
    from parity.oracle import Answer

BOUNDS = NoteBounds()
NO_KEYS = "front matter has no keys"
"""Our warning on a note that begins with a rule: it is text, where basic-memory's parser leaves out what stands between
the first two rules, and its indexing, in most cases, the whole note."""
READ_WHOLE = re.compile(
    r"ValidationError: .* EntityFrontmatter"  # a key that is no text: a number, a date, null
    r"|TypeError: Object of type (?:set|bytes) is not JSON serializable|TypeError: keys must be"
    r"|(?:Value|Key|Attribute|Index|Overflow)Error: (?!Invalid ISO 8601)"  # a scalar that is not what it looks like
    r"|ParseError: Invalid YAML in frontmatter: (?:while scanning for the next token|could not determine a constructor)"
)
"""Why basic-memory drops notes of which nothing is left out here, so that there is nothing to warn of."""


def our_answer(name: str, data: bytes) -> tuple[Answer, tuple[str, ...]]:
    """Return what we make of a note, and our warnings."""
    note = parse_note(data, BOUNDS)
    return _shape(name, note), note.warnings


def _shape(name: str, note: ParsedNote) -> Answer:
    stated = {"created": note.created, "modified": note.modified}
    return {
        "title": title_from_path(name.encode()) if note.title is None else note.title,
        "type": note.type,
        "permalink": note.permalink,
        "tags": list(note.tags),
        "metadata": dict(note.metadata),
        **{key: time.isoformat() for key, time in stated.items() if time is not None},
        "observations": [[one.category, one.content, list(one.tags), one.context] for one in note.observations],
        "relations": [[one.type, one.target, one.context] for one in note.relations],
    }


def differences(name: str, data: bytes, theirs: Answer) -> list[str]:
    """Return a line for each field that differs, and one for a note that is dropped there and has no warning here."""
    ours, warnings = our_answer(name, data)
    found = []
    if "dropped" in theirs and not warnings and not READ_WHOLE.match(theirs["dropped"]):
        found.append(f"no warning, and basic-memory drops it: {theirs['dropped']}")
    if is_parsed(theirs) and not any(warning.startswith(NO_KEYS) for warning in warnings):
        found += _field_differences(ours, theirs)
    return found


def is_parsed(theirs: Answer) -> bool:
    """Whether basic-memory takes the note in, so that ours must say what it says."""
    return "dropped" not in theirs


def _field_differences(ours: Answer, theirs: Answer) -> Iterator[str]:
    keys = ("title", "type", "permalink", "tags", "metadata", "created", "modified", "observations", "relations")
    for key in keys:
        one, other = ours.get(key), theirs.get(key)
        if one == other:
            continue
        if isinstance(one, list) and isinstance(other, list):
            one, other = _unshared(one, other), _unshared(other, one)
        yield f"{key}: ours {_shown(one)} theirs {_shown(other)}"


def _unshared(items: list[Any], others: list[Any]) -> list[Any]:
    return [item for item in items if item not in others] or items


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 300 else f"{text[:300]}..."
