"""A vault of notes and PDFs that depends on its numbers alone, so that anyone can make the same one.

    python benchmarks/vault.py FOLDER [NOTES] [PDFS] [--note-size SIZE] [--folders LAYOUT] [--pdf-bytes N] [--seed N]

Writes 2,569 notes (some 15 MB) and 31 PDFs of 2.6 MB unless told otherwise, in folders two deep. The notes have what
notes have: front matter (one in ten has none), headings, paragraphs, lists, tables, code, observations with tags, and
links by title, by permalink, by path, with an alias, with a heading, and to nothing.

SIZE is `usual` (8 kB on the average), `short` (0.6 kB: a header, a paragraph, an observation, a relation) or `tiny` (a
title and a sentence). LAYOUT is `areas` (161 folders, two deep, whatever the number of notes), `flat` (one folder),
`wide` (50 notes a folder) or `deep` (10 notes a folder, the folders a tree: 10 levels for 10,000 notes).
"""

from __future__ import annotations

import argparse
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOTES = 2_569
PDFS = 31
PDF_BYTES = 2_600_000
SEED = 19

NoteSize = Literal["tiny", "short", "usual"]
Layout = Literal["areas", "flat", "wide", "deep"]

_AREAS = 23
_TOPICS = 7
_CATEGORIES = ("fact", "decision", "idea", "method", "question", "tech note")
_RELATIONS = ("relates_to", "implements", "part_of", "depends on", "uses", "inspired_by")
_TYPES = ("note", "note", "note", "person", "meeting", "guide")
_SYLLABLES = re.findall(
    "[bcdfghklmnprstvwyz]{0,2}[aeiou][lnrs]?", "banerikulanmesporvidrasoltenmichafegorhulipestatriulwenyoza"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a vault is like; equal shapes give equal vaults."""

    notes: int = NOTES
    pdfs: int = PDFS
    note_size: NoteSize = "usual"
    layout: Layout = "areas"
    pdf_bytes: int = PDF_BYTES
    seed: int = SEED

    @property
    def files(self) -> int:
        """How many files it has."""
        return self.notes + self.pdfs


class VaultMaker:
    """Notes by their number, and the PDFs beside them."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        words = random.Random(shape.seed)
        self._words = ["".join(words.choices(_SYLLABLES, k=words.randint(1, 4))) for _ in range(4_000)]
        self._text = {"tiny": self._tiny_text, "short": self._short_text, "usual": self._usual_text}[shape.note_size]

    def write(self, folder: Path) -> None:
        """Write the vault into a folder that is not there yet, or empty."""
        made: set[Path] = set()
        for number in range(self._shape.notes):
            _write(folder / self.path(number), self.text(number).encode(), made)
        for number in range(self._shape.pdfs):
            content = b"%PDF-1.4\n" + random.Random(number).randbytes(self._shape.pdf_bytes)
            _write(folder / f"papers/paper-{number:02}.pdf", content, made)

    def path(self, number: int) -> str:
        """Return where a note is."""
        return f"{self._folder(number)}{self._stem(number)}.md"

    def text(self, number: int) -> str:
        """Return a whole note."""
        return self._text(number, random.Random(self._shape.seed * 1_000_003 + number))

    def _folder(self, number: int) -> str:
        match self._shape.layout:
            case "areas":
                return f"area-{number % _AREAS:02}/topic-{number % _TOPICS}/"
            case "flat":
                return ""
            case "wide":
                return f"area-{number // 5_000:02}/topic-{number // 50:04}/"
            case "deep":
                return "".join(f"level-{digit}/" for digit in f"{number // 10:b}")

    def _tiny_text(self, number: int, chance: random.Random) -> str:
        return f"# {self._title(number)}\n\n{self._sentence(chance)}\n"

    def _short_text(self, number: int, chance: random.Random) -> str:
        relation = f"- {chance.choice(_RELATIONS[:3])} [[{self._target(chance)}]]"
        observation = f"- [{chance.choice(_CATEGORIES)}] {self._sentence(chance)} #{chance.choice(self._words)}"
        blocks = [f"# {self._title(number)}", self._paragraph(chance), observation, relation]
        return self._front_matter(number, chance) + "\n\n".join(blocks) + "\n"

    def _usual_text(self, number: int, chance: random.Random) -> str:
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
        number = chance.randrange(self._shape.notes)
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


def _write(path: Path, data: bytes, made: set[Path]) -> None:
    if path.parent not in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.add(path.parent)
    path.write_bytes(data)


def main() -> None:
    """Write the vault that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("notes", metavar="NOTES", type=int, nargs="?", default=NOTES)
    parser.add_argument("pdfs", metavar="PDFS", type=int, nargs="?", default=PDFS)
    parser.add_argument("--note-size", choices=get_args(NoteSize), default="usual")
    parser.add_argument("--folders", dest="layout", choices=get_args(Layout), default="areas")
    parser.add_argument("--pdf-bytes", type=int, default=PDF_BYTES)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = vars(parser.parse_intermixed_args())
    VaultMaker(Shape(**{name: value for name, value in arguments.items() if name != "folder"})).write(
        arguments["folder"]
    )


if __name__ == "__main__":
    main()
