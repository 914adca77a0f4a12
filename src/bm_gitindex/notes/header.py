"""YAML and JSON to JSON values, within bounds; as basic-memory does, every scalar but null becomes a string.

YAML is read as a stream of events, so that depth and size are known before anything is expanded: an alias shares
the value of its anchor, and counts with all that hangs below it.
"""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from bm_gitindex.notes.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bm_gitindex.notes.model import JsonValue
    from bm_gitindex.options import NoteBounds


class HeaderUnreadableError(ValueError):
    """The text is not YAML or JSON, or asks for something that is not data."""


class HeaderTooLargeError(ValueError):
    """The header goes beyond a bound; the message names it."""


_LIBYAML_TOO_DEEP = "exceeded maximum nesting depth"
"""What libyaml from 0.2.6 on says of what is nested thousands of times, before it has told of anything in it."""


def load_yaml(text: str, bounds: NoteBounds) -> JsonValue:
    """Return the single document in `text`, `None` for an empty one.

    Raises `HeaderUnreadableError` and `HeaderTooLargeError`.
    """
    try:
        return _YamlReader(text, bounds).document()
    except yaml.YAMLError as error:
        if getattr(error, "problem", None) == _LIBYAML_TOO_DEEP:
            raise HeaderTooLargeError(_depth_message(bounds)) from error
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "malformed"
        raise HeaderUnreadableError(str(problem)) from error


def load_json(text: str, bounds: NoteBounds) -> JsonValue:
    """Return the value in `text`.

    Raises `HeaderUnreadableError` and `HeaderTooLargeError`.
    """
    try:
        value = json.loads(text, parse_int=_int_text, parse_float=_float_text, parse_constant=_float_text)
    except RecursionError as error:
        raise HeaderTooLargeError(_depth_message(bounds)) from error
    except ValueError as error:
        raise HeaderUnreadableError(str(error)) from error
    return _json_part(value, bounds, 0).value


class _Part(NamedTuple):
    """A value, and what it costs when every alias below it is written out."""

    value: JsonValue
    nodes: int = 1
    depth: int = 0
    characters: int = 0
    is_merge_key: bool = False


class _Tally:
    """The cost of a collection while its parts come in."""

    def __init__(self, bounds: NoteBounds) -> None:
        self._bounds = bounds
        self._nodes = 1
        self._depth = 0
        self._characters = 0

    def add(self, part: _Part) -> None:
        self._nodes += part.nodes
        self._depth = max(self._depth, part.depth)
        self._characters += part.characters
        if self._nodes > self._bounds.front_matter_max_nodes:
            raise HeaderTooLargeError(f"more than {self._bounds.front_matter_max_nodes} values")
        if self._characters > self._bounds.front_matter_max_bytes:
            raise HeaderTooLargeError(f"more than {self._bounds.front_matter_max_bytes} characters")

    def part(self, value: JsonValue) -> _Part:
        return _Part(value, self._nodes, self._depth + 1, self._characters)


class _YamlReader:
    """One pass over the events of a document."""

    def __init__(self, text: str, bounds: NoteBounds) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._bounds = bounds
        self._anchors: dict[str, _Part | None] = {}

    def document(self) -> JsonValue:
        self._expect(yaml.StreamStartEvent)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._part(next(self._events), 0).value
        self._expect(yaml.DocumentEndEvent)
        self._expect(yaml.StreamEndEvent)
        return value

    def _expect(self, kind: type[yaml.Event]) -> None:
        if not isinstance(next(self._events), kind):
            raise HeaderUnreadableError("more than one document")

    def _part(self, event: Any, depth: int) -> _Part:
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event.anchor, depth)
        if event.anchor is None:
            return self._content(event, depth)
        if event.anchor in self._anchors:
            raise HeaderUnreadableError(f"anchor {event.anchor} is given twice")
        self._anchors[event.anchor] = None
        part = self._anchors[event.anchor] = self._content(event, depth)
        return part

    def _aliased(self, anchor: str | None, depth: int) -> _Part:
        part = self._anchors.get(anchor or "")
        if part is None:
            known = "contains itself" if anchor in self._anchors else "does not exist"
            raise HeaderUnreadableError(f"anchor {anchor} {known}")
        if depth + part.depth > self._bounds.front_matter_max_depth:
            raise HeaderTooLargeError(_depth_message(self._bounds))
        return part

    def _content(self, event: Any, depth: int) -> _Part:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar_part(event)
        if depth >= self._bounds.front_matter_max_depth:
            raise HeaderTooLargeError(_depth_message(self._bounds))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth)
        return self._mapping(event, depth)

    def _sequence(self, start: Any, depth: int) -> _Part:
        tally = _Tally(self._bounds)
        values: list[JsonValue] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth, tally))
        match start.tag:
            case None | "!" | "tag:yaml.org,2002:seq":
                return tally.part(values)
            case "tag:yaml.org,2002:omap" | "tag:yaml.org,2002:pairs":
                return tally.part([_pair(value) for value in values])
        raise HeaderUnreadableError(f"tag {start.tag} is not plain data")

    def _mapping(self, start: Any, depth: int) -> _Part:
        tally = _Tally(self._bounds)
        own: dict[str, JsonValue] = {}
        merged: dict[str, JsonValue] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._part(event, depth + 1)
            tally.add(key)
            value = self._value(next(self._events), depth, tally)
            if key.is_merge_key:
                merged |= _merged(value)
            else:
                own[_key_text(key.value)] = value
        match start.tag:
            case None | "!" | "tag:yaml.org,2002:map":
                return tally.part(merged | own)
            case "tag:yaml.org,2002:set":
                return tally.part([*merged, *own])
        raise HeaderUnreadableError(f"tag {start.tag} is not plain data")

    def _value(self, event: Any, depth: int, tally: _Tally) -> JsonValue:
        part = self._part(event, depth + 1)
        if part.is_merge_key:
            raise HeaderUnreadableError("a merge key is not a value")
        tally.add(part)
        return part.value


def _scalar_part(event: Any) -> _Part:
    text: str = event.value
    tag: str | None = event.tag
    if tag is None or tag == "!":
        tag = str(_RESOLVER.resolve(yaml.ScalarNode, text, event.implicit))  # type: ignore[no-untyped-call]
    if tag in _TEXT_TAGS:
        return _Part(clean_text(text), characters=len(text))
    if tag == "tag:yaml.org,2002:null":
        return _Part(None)
    if tag == "tag:yaml.org,2002:merge":
        return _Part(text, is_merge_key=True)
    construct = _SCALARS.get(tag)
    if construct is None:
        raise HeaderUnreadableError(f"tag {tag} is not plain data")
    return _Part(_constructed_text(construct, yaml.ScalarNode(tag, text)), characters=len(text))


def _constructed_text(construct: Callable[[yaml.ScalarNode], object], node: yaml.ScalarNode) -> str:
    """Return the text of what the scalar means, or its own text where it means nothing (the 31st of June)."""
    try:
        value = construct(node)
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, bytes):
            return clean_text(value.decode(errors="replace"))
        return str(value)
    except (yaml.YAMLError, ValueError, LookupError, ArithmeticError, AttributeError):
        return clean_text(str(node.value))


def _key_text(key: JsonValue) -> str:
    if isinstance(key, list | dict):
        raise HeaderUnreadableError("a key is not a scalar")
    return str(key)


def _pair(value: JsonValue) -> JsonValue:
    if not isinstance(value, dict) or len(value) != 1:
        raise HeaderUnreadableError("an ordered map is a list of single pairs")
    return [*value.keys(), *value.values()]


def _merged(value: JsonValue) -> dict[str, JsonValue]:
    """Return what a merge key adds: of several mappings the first has the last word."""
    merged: dict[str, JsonValue] = {}
    for mapping in reversed(value) if isinstance(value, list) else [value]:
        if not isinstance(mapping, dict):
            raise HeaderUnreadableError("only a mapping can be merged")
        merged |= mapping
    return merged


def _json_part(value: Any, bounds: NoteBounds, depth: int) -> _Part:
    if value is None:
        return _Part(None)
    if not isinstance(value, list | dict):
        text = clean_text(str(value))
        return _Part(text, characters=len(text))
    if depth >= bounds.front_matter_max_depth:
        raise HeaderTooLargeError(_depth_message(bounds))
    tally = _Tally(bounds)
    parts = [_json_part(item, bounds, depth + 1) for item in (value if isinstance(value, list) else value.values())]
    for part in parts:
        tally.add(part)
    if isinstance(value, list):
        return tally.part([part.value for part in parts])
    return tally.part({clean_text(key): part.value for key, part in zip(value, parts, strict=True)})


def _int_text(text: str) -> str:
    return "0" if text == "-0" else text


def _float_text(text: str) -> str:
    return str(float(text))


def _depth_message(bounds: NoteBounds) -> str:
    return f"nested deeper than {bounds.front_matter_max_depth}"


# A plain `=` resolves to a tag of its own, for which YAML never found a use.
_TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:value")
_RESOLVER = Resolver()
_CONSTRUCTOR = SafeConstructor()
_SCALARS: Mapping[str, Callable[[yaml.ScalarNode], object]] = {
    "tag:yaml.org,2002:bool": _CONSTRUCTOR.construct_yaml_bool,
    "tag:yaml.org,2002:int": _CONSTRUCTOR.construct_yaml_int,
    "tag:yaml.org,2002:float": _CONSTRUCTOR.construct_yaml_float,
    "tag:yaml.org,2002:binary": _CONSTRUCTOR.construct_yaml_binary,
    "tag:yaml.org,2002:timestamp": _CONSTRUCTOR.construct_yaml_timestamp,
}
