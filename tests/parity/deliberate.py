"""Where what we read is deliberately not what basic-memory's parser reads. docs/compatibility.md gives the reasons."""

from __future__ import annotations

DELIBERATE = {
    "deep": {
        "- - - - - - - - - - a\\n\\n[c] x": "observations",
        "- " * 30 + "a\\n\\n[c] x": "observations",
    },
    "header_dates": {
        "created: 0001-01-01T00:00:00+14:00": "metadata created",
        "created: 9999-12-31T23:59:59-14:00": "metadata created",
        'created: "0001-01-01T00:00:00+00:01"': "metadata created",
        'created: "9999-12-31T23:59:59-00:01"': "metadata created",
        "modified: 9999-12-31T23:59:59-14:00": "metadata modified",
    },
    "header_json": {
        '{\\n"a": "\\\\ud800"\\n}\\nx': "metadata",
        '{\\n"a": "\\\\u0000"\\n}\\nx': "metadata",
    },
    "header_tags": {
        "tags: [~]": "tags",
        'tags: [" "]': "tags",
        "tags: !!set {a}": "tags",
        "tags: '[\"\\\\ud800\"]'": "tags",
    },
    "header_title_type": {
        'title: "a\\\\0b"': "title",
        "title: !!binary aGk=": "title",
        "title: !!set {a}": "title",
        "type: !!set {a}": "type",
    },
    "header_values": {
        "a: {1: b, ~: c, true: d}": "metadata",
        "a: {~: b, 1: c}": "metadata",
        "a: !!omap [a: 1, b: 2]": "metadata",
        "a: !!pairs [a: 1, a: 2]": "metadata",
    },
}
"""By theme and line of the corpus: the fields that differ. Nothing else may, and each of these must."""


def fields(theme: str, key: str) -> set[str]:
    """Return the fields that may differ for a case."""
    for line, names in DELIBERATE.get(theme, {}).items():
        if key in (line, f"---\\n{line}\\n---\\nbody #z"):
            return set(names.split())
    return set()
