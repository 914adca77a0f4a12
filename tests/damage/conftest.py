from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bm_gitindex import Options
from support.damage import Scene
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTES = 4


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with pytest.MonkeyPatch.context() as patch:
        never_young(patch)
        vault = Vault(tmp_path_factory.mktemp("damage") / "vault")
        vault.write(".basic-memory/config.toml", "large_file_bytes = 100\n")
        vault.options = Options(large_file_bytes=100)
        for number in range(_NOTES):
            vault.write(f"notes/{number}.md", note(number))
        vault.write("small.png", b"small")
        vault.write("large.pdf", b"large" * 100)
        yield Scene(vault)


@pytest.fixture
def scene(prepared: Scene) -> Iterator[Scene]:
    """A small vault as a sync has left it, its large file known by its stat alone."""
    yield prepared
    prepared.restore()


def note(number: int) -> str:
    return (
        f"---\ntitle: Note {number}\ntags: [one, t{number}]\ncreated: 2024-01-0{number + 1}\nkey: value {number}\n---\n"
        f"# Heading\n\n- [fact] Observed {number} #seen (here)\n- follows [[Note {(number + 1) % _NOTES}]]\n"
        f"- part_of [[Nowhere {number}]]\n"
    )
