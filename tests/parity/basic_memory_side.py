"""What basic-memory makes of notes: the other side of `oracle`, run by a Python that has basic-memory.

Reads requests from standard input, one JSON object a line, and writes one line for each:

    {"notes": [[NAME, BYTES IN BASE64], ...]}  ->  {"answers": [ANSWER, ...]}
    {"paths": [PATH, ...]}                     ->  {"permalinks": [PERMALINK, ...]}

The first line that is written says which version answers. An answer has what basic-memory's parser finds, in the words
of `shape`; a note that it would not take in has `dropped`, the reason in basic-memory's words: either its parser
refuses the note, and nothing else is said, or its indexing refuses the front matter that the parser has passed over.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from basic_memory import file_utils
from basic_memory.markdown.entity_parser import EntityParser
from basic_memory.utils import generate_permalink
from loguru import logger

OWN_KEYS = ("title", "type", "tags", "created", "modified")
MTIME_S = 1_000_000_007.0
CTIME_S = 1_000_000_009.0
"""Times of the file: a note that has another time states it."""


def main() -> None:
    """Answer until the input ends."""
    logger.remove()
    with tempfile.TemporaryDirectory() as folder:
        parser = EntityParser(Path(folder))
        _write({"version": version("basic-memory")})
        for line in sys.stdin:
            request = json.loads(line)
            if "paths" in request:
                _write({"permalinks": [generate_permalink(path) for path in request["paths"]]})
            else:
                _write({"answers": asyncio.run(_answers(parser, folder, request["notes"]))})


def _write(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


async def _answers(parser: EntityParser, folder: str, notes: list[list[str]]) -> list[dict[str, Any]]:
    answers = []
    for name, content in notes:
        answers.append(await _answer(parser, Path(folder) / name, base64.b64decode(content)))
    return answers


async def _answer(parser: EntityParser, path: Path, data: bytes) -> dict[str, Any]:
    try:
        text = data.decode()
        note = await parser.parse_markdown_content(path, text, MTIME_S, CTIME_S)
        answer = _shape(note)
        json.dumps(answer)
    except Exception as error:  # noqa: BLE001 - whatever it is, the note is not taken in
        return {"dropped": _words(error)}
    try:
        if file_utils.has_frontmatter(text):
            file_utils.parse_frontmatter(text)
    except Exception as error:  # noqa: BLE001 - as above
        answer["dropped"] = _words(error)
    return answer


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _shape(note: Any) -> dict[str, Any]:
    header = note.frontmatter
    metadata = {key: value for key, value in header.metadata.items() if key not in OWN_KEYS}
    permalink = metadata.get("permalink")
    if permalink is None or isinstance(permalink, str):
        metadata.pop("permalink", None)
    times = {"created": (note.created, CTIME_S), "modified": (note.modified, MTIME_S)}
    return {
        "title": header.title,
        "type": header.type,
        "permalink": permalink if isinstance(permalink, str) and permalink else None,
        "tags": header.tags,
        "metadata": metadata,
        **{key: _in_utc(time) for key, (time, file_s) in times.items() if time.timestamp() != file_s},
        "observations": [[one.category, one.content, one.tags or [], one.context] for one in note.observations],
        "relations": [[one.type, one.target, one.context] for one in note.relations],
    }


def _in_utc(time: datetime) -> str:
    try:
        return time.astimezone(UTC).isoformat()
    except OverflowError:
        return time.isoformat()


if __name__ == "__main__":
    main()
