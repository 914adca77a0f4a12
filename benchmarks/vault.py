"""A vault of notes and PDFs that depends on its numbers alone, so that anyone can make the same one.

    python benchmarks/vault.py FOLDER [NOTES] [PDFS]

Writes 2,569 notes (some 15 MB) and 31 PDFs of 2.6 MB unless told otherwise, in folders two deep. The notes have what
notes have: front matter (one in ten has none), headings, paragraphs, lists, tables, code, observations with tags, and
links by title, by permalink, by path, with an alias, with a heading, and to nothing.
"""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOTES = 2_569
PDFS = 31
PDF_BYTES = 2_600_000

_SEED = 19
_AREAS = 23
_TOPICS = 7
_CATEGORIES = ("fact", "decision", "idea", "method", "question", "tech note")
_RELATIONS = ("relates_to", "implements", "part_of", "depends on", "uses", "inspired_by")
_TYPES = ("note", "note", "note", "person", "meeting", "guide")
_SYLLABLES = re.findall(
    "[bcdfghklmnprstvwyz]{0,2}[aeiou][lnrs]?", "banerikulanmesporvidrasoltenmichafegorhulipestatriulwenyoza"
)


class VaultMaker:
    """Notes by their number, and the PDFs beside them."""

    def __init__(self, notes: int = NOTES, pdfs: int = PDFS) -> None:
        self._notes = notes
        self._pdfs = pdfs
        words = random.Random(_SEED)
        self._words = ["".join(words.choices(_SYLLABLES, k=words.randint(1, 4))) for _ in range(4_000)]

    def write(self, folder: Path) -> None:
        """Write the vault into a folder that is not there yet, or empty."""
        for number in range(self._notes):
            _write(folder / self.path(number), self.text(number).encode())
        for number in range(self._pdfs):
            content = b"%PDF-1.4\n" + random.Random(number).randbytes(PDF_BYTES)
            _write(folder / f"papers/paper-{number:02}.pdf", content)

    def path(self, number: int) -> str:
        """Return where a note is."""
        return f"area-{number % _AREAS:02}/topic-{number % _TOPICS}/{self._stem(number)}.md"

    def text(self, number: int) -> str:
        """Return a whole note."""
        chance = random.Random(_SEED * 1_000_003 + number)
        blocks = [f"# {self._title(number)}"]
        makers: tuple[Callable[[random.Random], str], ...] = (
            *[self._paragraph] * 8,
            *[self._list] * 3,
            *(self._table, self._code, self._quote, self._heading, self._heading),
        )
        blocks += [chance.choice(makers)(chance) for _ in range(chance.randint(4, 36))]
        blocks.append("## Observations\n\n" + "\n".join(self._observations(chance)))
        blocks.append("## Relations\n\n" + "\n".join(self._relations(chance)))
        return self._front_matter(number, chance) + "\n\n".join(blocks) + "\n"

    def _stem(self, number: int) -> str:
        return f"{self._words[number % len(self._words)].capitalize()} {number:05}"

    def _title(self, number: int) -> str:
        return f"{self._stem(number)} {self._words[number * 7 % len(self._words)]}"

    def _permalink(self, number: int) -> str:
        return self.path(number).removesuffix(".md").lower().replace(" ", "-")

    def _front_matter(self, number: int, chance: random.Random) -> str:
        if number % 10 == 9:
            return ""
        lines = [f"title: {self._title(number)}", f"type: {chance.choice(_TYPES)}"]
        lines.append(f"tags: [{', '.join(chance.sample(self._words[:200], 3))}]")
        if number % 5 == 1:
            lines.append(f"permalink: kept/{self._stem(number).lower().replace(' ', '-')}")
        if number % 7 == 2:
            lines.append(f"created: 2023-{1 + number % 12:02}-{1 + number % 28:02}T08:{number % 60:02}:00+00:00")
        if number % 11 == 3:
            lines += [f"status: {chance.choice(('draft', 'done'))}", f"priority: {chance.randint(1, 5)}"]
        return "---\n" + "\n".join(lines) + "\n---\n\n"

    def _sentence(self, chance: random.Random) -> str:
        return " ".join(chance.choices(self._words, k=chance.randint(6, 18))).capitalize() + "."

    def _paragraph(self, chance: random.Random) -> str:
        sentences = [self._sentence(chance) for _ in range(chance.randint(2, 6))]
        if chance.random() < 0.2:
            sentences.append(f"See [[{self._target(chance)}]] and **{chance.choice(self._words)}**.")
        return " ".join(sentences)

    def _list(self, chance: random.Random) -> str:
        return "\n".join(f"- {self._sentence(chance)}" for _ in range(chance.randint(2, 6)))

    def _table(self, chance: random.Random) -> str:
        rows = ["| " + " | ".join(chance.choices(self._words, k=3)) + " |" for _ in range(chance.randint(2, 5))]
        return "\n".join([rows[0], "|---|---|---|", *rows[1:]])

    def _code(self, chance: random.Random) -> str:
        return (
            "```python\n" + "\n".join(f"{word} = '[[{word}]]'" for word in chance.choices(self._words, k=4)) + "\n```"
        )

    def _quote(self, chance: random.Random) -> str:
        return f"> {self._sentence(chance)}"

    def _heading(self, chance: random.Random) -> str:
        return f"## {' '.join(chance.choices(self._words, k=3)).capitalize()}"

    def _observations(self, chance: random.Random) -> Iterator[str]:
        for _ in range(chance.randint(1, 9)):
            tags = "".join(f" #{word}" for word in chance.sample(self._words[:200], chance.randint(0, 2)))
            context = f" ({chance.choice(self._words)})" if chance.random() < 0.3 else ""
            yield f"- [{chance.choice(_CATEGORIES)}] {self._sentence(chance)}{tags}{context}"

    def _relations(self, chance: random.Random) -> Iterator[str]:
        for _ in range(chance.randint(1, 9)):
            relation, target = chance.choice(_RELATIONS), self._target(chance)
            context = f" ({chance.choice(self._words)})" if chance.random() < 0.2 else ""
            yield f'- "{relation}" [[{target}]]{context}' if " " in relation else f"- {relation} [[{target}]]{context}"

    def _target(self, chance: random.Random) -> str:
        number = chance.randrange(self._notes)
        ways = (
            self._title(number),
            self._title(number),
            self._permalink(number),
            self.path(number),
            f"{self._title(number)}|{chance.choice(self._words)}",
            f"{self._title(number)}#{chance.choice(self._words)}",
            f"Nothing {number}",
        )
        return chance.choice(ways)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def main() -> None:
    """Write the vault that the command line asks for."""
    folder, *counts = sys.argv[1:]
    VaultMaker(*map(int, counts)).write(Path(folder))


if __name__ == "__main__":
    main()
