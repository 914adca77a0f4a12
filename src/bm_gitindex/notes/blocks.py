"""The blocks of a Markdown body that hold inline text: paragraphs and headings.

pulldown-cmark finds the blocks, as plain CommonMark without extensions: a table is a paragraph here, and a
`[[link]]` is text. What is handed on is the source, with its markup, as basic-memory's parser sees it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pyromark

from bm_gitindex.notes.blanks import with_plain_blanks
from bm_gitindex.notes.prefixes import Container, without_prefixes
from bm_gitindex.notes.seams import Seams

if TYPE_CHECKING:
    from collections.abc import Iterator

# Text at this level and below is not read, as in markdown-it's CommonMark.
DEEPEST_LEVEL = 20
_LEVELS = {"BlockQuote": 1, "Item": 2}
_OPAQUE = frozenset({"CodeBlock", "HtmlBlock"})
_CONTAINERS = frozenset({"BlockQuote", "List", "Item"})
_BLOCKS = _OPAQUE | _CONTAINERS | {"Paragraph", "Heading", "Rule"}

# A bracket, or what could be white space before one.
_MAY_BEGIN_WITH_BRACKET = re.compile(rb"\[|[^!-~]")
_MOST_ROUNDS = 20
"""What is no longer part of a paragraph can have seams of its own."""
_FEWEST_ROUNDS = 2
_MOST_CHARACTERS = 1024 * 1024
"""In all rounds together, so that no long text takes many of them."""


class MarkdownUnreadableError(ValueError):
    """Nested deeper than the bound allows, or more than the parser itself can take."""


class TextBlock(NamedTuple):
    """The text of one paragraph or heading."""

    text: str | None
    """None: nested so deep that it is not read."""
    in_quote: bool
    in_item: bool
    """Inside a list item, and no item has ended since the last one began."""


def text_blocks(body: str, max_nesting: int) -> Iterator[TextBlock]:
    r"""Yield the blocks that could hold an observation or a link; those that surely do not are left out.

    `body` has `\n` as its only line end. Raises `MarkdownUnreadableError`.
    """
    given = 0
    rounds = min(_MOST_ROUNDS, max(_FEWEST_ROUNDS, _MOST_CHARACTERS // (len(body) + 1)))
    for is_last in (*[False] * (rounds - 1), True):
        source = body.encode()
        seams = Seams(source)
        for number, block in enumerate(_blocks(body, source, seams, max_nesting)):
            # From the first seam on the blocks are those of the next round.
            if number >= given and (is_last or not seams.are_found):
                given += 1
                yield block
        if not seams.are_found:
            return
        body = seams.parted()


def _blocks(body: str, source: bytes, seams: Seams, max_nesting: int) -> Iterator[TextBlock]:
    containers: list[Container] = []
    in_item = False
    for edge, block, start, end in _edges(body):
        if edge == "Text":
            seams.pass_text(start, end, containers)
            text_block = _text_block(source, slice(start, end), containers, in_item=in_item)
            if text_block is not None:
                yield text_block
            continue
        is_start = edge == "Start"
        if block == "Item":
            in_item = is_start
        if block in _LEVELS:
            _follow(containers, Container(block, start) if is_start else None, max_nesting)
        _show_edge(seams, block, start if is_start else None, end, containers)


def _show_edge(seams: Seams, block: str, start: int | None, end: int, containers: list[Container]) -> None:
    """Tell the seams what begins (`start`) or ends here."""
    if start is not None:
        if block in _LEVELS:
            seams.pass_by(start)
        elif block == "HtmlBlock":
            seams.pass_html(start, end)
    elif block == "BlockQuote":
        seams.pass_quote_end(end, containers)
    elif block not in _CONTAINERS:
        seams.pass_by(end)


def _edges(body: str) -> Iterator[tuple[str, str, int, int]]:
    """Yield `Start` or `End`, a block's name, and where it starts and ends; before an edge, `Text`, if some ends there.

    A rule only ends. What is verbatim is no text.
    """
    text_start = text_end = -1
    is_opaque = False
    for event, span in _events(body):
        edge, what = "End", event
        if "Text" in event:
            what = ""
        elif "Start" in event:
            edge, what = "Start", event["Start"]
        elif "End" in event:
            what = event["End"]
        block = what if isinstance(what, str) else next(iter(what))
        if block not in _BLOCKS:
            if text_start < 0 and not is_opaque:
                text_start = span["start"]
            text_end = span["end"]
            continue
        if text_start >= 0:
            yield "Text", "", text_start, text_end
            text_start = -1
        is_opaque = edge == "Start" and block in _OPAQUE
        yield edge, block, span["start"], span["end"]


def _events(body: str) -> Iterator[tuple[Any, Any]]:
    """Yield the parser's own events: a name, or a mapping of one name to what there is to say, each with its span."""
    try:
        yield from pyromark.events_with_range(with_plain_blanks(body), merge_text=True)
    except BaseException as error:
        # A panic in Rust is no Exception, and its class cannot be imported; one note must not end a whole run.
        if type(error).__name__ == "PanicException":
            raise MarkdownUnreadableError("the Markdown parser failed") from error
        raise


def _follow(containers: list[Container], opened: Container | None, max_nesting: int) -> None:
    if opened is None:
        containers.pop()
    elif len(containers) == max_nesting:
        raise MarkdownUnreadableError(f"nested deeper than {max_nesting}")
    else:
        containers.append(opened)


def _text_block(source: bytes, span: slice, containers: list[Container], *, in_item: bool) -> TextBlock | None:
    """Return a block of text; `None` for one without interest."""
    start: int = span.start
    if start > 0 and source.startswith(b"\\", start - 1):
        start -= 1
    raw = source[start : span.stop]
    if not (b"[[" in raw or b"#" in raw or _MAY_BEGIN_WITH_BRACKET.match(raw)):
        return None
    in_quote = any(container.kind == "BlockQuote" for container in containers)
    return TextBlock(_block_text(raw, containers, source), in_quote, in_item)


def _block_text(raw: bytes, containers: list[Container], source: bytes) -> str | None:
    """Return the text of a block without its containers' markers; `None` for one that is nested too deep."""
    if sum(_LEVELS[container.kind] for container in containers) >= DEEPEST_LEVEL:
        return None
    text = raw.decode()
    if containers and "\n" in text:
        text = without_prefixes(text, containers, source)
    return text.strip()
