"""basic-memory's own parser, asked over a pipe: one JSON object a line in, one out.

Run by a Python in which basic-memory is installed, and so without anything of this project. A question has `path` and
`content` (base64); the answer is what basic-memory stores of such a file, or `{"dropped": why}` where it leaves it out.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path("/notes")
TIME_S = 1_000_000_000.0


class Oracle:
    """The parser, as basic-memory's indexing uses it."""

    def __init__(self) -> None:
        from basic_memory import file_utils, utils  # type: ignore[import-not-found]
        from basic_memory.markdown.entity_parser import EntityParser  # type: ignore[import-not-found]

        self._files = file_utils
        self._parser = EntityParser(ROOT)
        self._generate_permalink = utils.generate_permalink

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return what basic-memory makes of a note, or the permalink that it makes of a path."""
        if "content" not in question:
            return {"permalink": self._generate_permalink(question["path"])}
        try:
            text = base64.b64decode(question["content"]).decode()
            if self._files.has_frontmatter(text):
                self._files.parse_frontmatter(text)  # indexing asks for this first, and gives up where it fails
            parsed = asyncio.run(self._parser.parse_markdown_content(ROOT / question["path"], text, TIME_S, TIME_S))
        except Exception as error:  # noqa: BLE001 - whatever it is, the note is left out
            return {"dropped": type(error).__name__}
        return _normal(parsed.model_dump(mode="json"))


def _normal(parsed: dict[str, Any]) -> dict[str, Any]:
    metadata = dict(parsed["frontmatter"]["metadata"])
    title, note_type, tags = metadata.pop("title"), metadata.pop("type"), metadata.pop("tags", None)
    permalink = metadata.get("permalink")
    if permalink is None or isinstance(permalink, str):
        metadata.pop("permalink", None)
    times = {key: parsed[key] for key in ("created", "modified") if metadata.pop(key, None)}
    answer = {
        "title": title,
        "type": note_type,
        "tags": [tag for tag in tags if tag is not None] if isinstance(tags, list) else [],
        "permalink": permalink if isinstance(permalink, str) and permalink else None,
        "metadata": metadata,
        "observations": [
            [one["category"], one["content"], one["tags"] or [], one["context"]] for one in parsed["observations"]
        ],
        "relations": [[one["type"], one["target"], one["context"]] for one in parsed["relations"]],
    }
    return {key: value for key, value in (answer | times).items() if value or key in {"title", "type"}}


def main() -> None:
    """Say which version answers, then answer until the questions end."""
    logging.disable(logging.CRITICAL)
    try:
        from loguru import logger  # type: ignore[import-not-found]
    except ImportError:
        pass
    else:
        logger.remove()
    oracle = Oracle()
    print(json.dumps({"basic-memory": version("basic-memory")}), flush=True)
    for line in sys.stdin:
        print(json.dumps(oracle.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
