"""What links mean, resolved in memory, for `verify` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.notes.permalink import generate_permalink
from bm_gitindex.notes.text import cut_to_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bm_gitindex.oracle.database import EntityRow


class LinkTable:
    """Every name that an entity answers to. A name that two share by the same rule means neither of them."""

    def __init__(self, rows: Iterable[EntityRow]) -> None:
        self._permalinks: dict[str, int | None] = {}
        self._titles: dict[str, int | None] = {}
        self._paths: dict[str, int | None] = {}
        self._aliases: dict[str, int | None] = {}
        self._path_keys: dict[str, int | None] = {}
        for row in rows:
            _claim(self._titles, row.title, row.id)
            _claim(self._paths, row.path_text, row.id)
            if row.kind == "note":
                _claim(self._path_keys, key_of(row.path), row.id)
            if row.permalink is not None:
                _claim(self._permalinks, row.permalink, row.id)
                _claim(self._aliases, alias_of(row.permalink), row.id)

    def resolve(self, target: str) -> int | None:
        """Return the id of the entity that a link with this text means, None where it means none or several."""
        return next((found for found in self._candidates(name_of(target)) if found is not None), None)

    def _candidates(self, name: str) -> Iterator[int | None]:
        yield self._permalinks.get(name)
        yield self._titles.get(name)
        yield self._paths.get(name)
        yield self._paths.get(f"{name}.md")
        yield self._aliases.get(alias_of(name))
        yield self._path_keys.get(alias_of(name))


def name_of(target: str) -> str:
    """Return what of a link names an entity: what precedes `|alias` and `#heading`."""
    return target.split("|", 1)[0].split("#", 1)[0].strip()


def alias_of(name: str) -> str:
    """Return the name without what an alias may change of it: case, and which of `_` and `-` it has."""
    return name.replace("_", "-").lower()


def key_of(path: bytes) -> str:
    """Return the permalink that a note would have by its path."""
    return cut_to_index(generate_permalink(path.decode("utf-8", "replace")))


def _claim(names: dict[str, int | None], name: str, entity_id: int) -> None:
    names[name] = None if name in names else entity_id
