"""What it costs to parse a note: ours against basic-memory's parser and the libraries below both.

    python benchmarks/parse.py FOLDER... [--oracle PYTHON]

Reads every note below the folders and prints milliseconds for each of them, the best of five rounds, in one run. With a
PYTHON in which basic-memory and markdown-it-py are installed, those are measured too, by that interpreter.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyromark
import yaml

from bm_gitindex.notes.frontmatter import split_front_matter
from bm_gitindex.notes.header import load_yaml
from bm_gitindex.notes.parser import parse_note
from bm_gitindex.notes.sketch import sketch
from bm_gitindex.options import NoteBounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    T = TypeVar("T")

_ROUNDS = 5
_BOUNDS = NoteBounds()
_PEERS = """
import asyncio, json, logging, sys, time
from pathlib import Path
logging.disable(logging.CRITICAL)
from loguru import logger
logger.remove()
from basic_memory.markdown.entity_parser import EntityParser
from markdown_it import MarkdownIt

texts = json.load(sys.stdin)
parser, markdown = EntityParser(Path("/notes")), MarkdownIt()

async def parse_all():
    for text in texts:
        try:
            await parser.parse_markdown_content(Path("/notes/a.md"), text, 1e9, 1e9)
        except Exception:
            pass

def best(work):
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times) * 1000 / len(texts)

print(json.dumps({
    "basic-memory's parser": best(lambda: asyncio.run(parse_all())),
    "markdown-it-py alone": best(lambda: [markdown.parse(text) for text in texts]),
}))
"""


def headers_of(texts: Sequence[str]) -> list[str]:
    """Return what stands between the first two lines of hyphens of each text that has both."""
    parts = (text.split("---\n", 2) for text in texts if text.startswith("---\n"))
    return [part[1] for part in parts if len(part) == 3]


def main() -> None:
    """Print the table."""
    arguments = _arguments()
    contents = [path.read_bytes() for folder in arguments.folders for path in sorted(Path(folder).rglob("*.md"))]
    texts = [content.decode("utf-8", "replace") for content in contents]
    headers = headers_of(texts)
    notes = f"{len(contents)} notes, {sum(map(len, contents)) / len(contents) / 1000:.1f} kB each on the average"
    print(f"{notes}, {len(headers)} with a header\n")
    own = _best_ms(lambda content: parse_note(content, _BOUNDS), contents)
    rows = {
        "parse_note: a note, whole": own,
        "  of that, header and body parted": _best_ms(lambda text: split_front_matter(text, _BOUNDS), texts),
        "sketch of a note": _best_ms(sketch, contents),
        "pyromark alone, as Python objects": _best_ms(lambda text: list(pyromark.events(text)), texts),
    }
    if arguments.oracle:
        rows |= _peers(arguments.oracle, texts)
    _print(rows, own)
    libyaml = _best_ms(_load_safely, headers)
    print()
    _print(
        {
            "a header, bounded, by libyaml's events": libyaml,
            "yaml.CSafeLoader, without bounds": _best_ms(lambda text: _load(text, yaml.CSafeLoader), headers),
            "yaml.SafeLoader, in Python": _best_ms(lambda text: _load(text, yaml.SafeLoader), headers),
        },
        libyaml,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument("--oracle", metavar="PYTHON")
    return parser.parse_args()


def _peers(python: str, texts: Sequence[str]) -> dict[str, float]:
    done = subprocess.run(
        [python, "-c", _PEERS],
        input=json.dumps(texts),
        text=True,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _load_safely(text: str) -> object:
    try:
        return load_yaml(text, _BOUNDS)
    except ValueError:
        return None


def _load(text: str, loader: type[yaml.CSafeLoader | yaml.SafeLoader]) -> object:
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError:
        return None


def _best_ms(work: Callable[[T], object], items: Sequence[T]) -> float:
    """Return milliseconds for each item, in the quickest of some rounds."""
    seconds = []
    for _ in range(_ROUNDS):
        started_s = time.perf_counter()
        for item in items:
            work(item)
        seconds.append(time.perf_counter() - started_s)
    return min(seconds) * 1000 / len(items)


def _print(rows: dict[str, float], own: float) -> None:
    for name, milliseconds in rows.items():
        print(f"{name:<40} {milliseconds:8.3f} ms {milliseconds / own:8.2f}")


if __name__ == "__main__":
    main()
