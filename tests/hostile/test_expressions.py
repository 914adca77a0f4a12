"""Every regular expression against texts made to let it search back and forth.

Nothing is measured. A search that takes exponential time does not end before it is killed; nor does one that takes
quadratic time, on the long texts of the nightly profile.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import bm_gitindex
from support.child import environment
from support.profile import NIGHTLY

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH = 300_000 if NIGHTLY else 15_000
PATTERN_LENGTH = 4_096
NAME_LENGTH = 255

USES = {
    # expression: its method that is used, or the function of its module that calls it; and how long a text it gets
    "cli.find._AGO": ("fullmatch", LENGTH),
    "entities.pathtext._ESCAPED_BYTE": ("findall", LENGTH),
    "entities.pathtext._SURROGATE": ("findall", LENGTH),
    "entities.tie._REVISION_FORM": ("fullmatch", LENGTH),
    "ignore._WILD": ("search", LENGTH),
    "notes.blanks._BLANK_LABEL": ("findall", LENGTH),
    "notes.blanks._HTML_LINE": ("findall", LENGTH),
    "notes.blanks._SPACE": ("findall", LENGTH),
    "notes.blocks._MAY_BEGIN_WITH_BRACKET": ("match", LENGTH),
    "notes.frontmatter._JSON_CLOSING": ("search", LENGTH),
    "notes.frontmatter._JSON_OPENING": ("match", LENGTH),
    "notes.frontmatter._YAML_FENCE": ("search", LENGTH),
    "notes.links._NOT_LETTERS": ("findall", LENGTH),
    "notes.observations._CATEGORY": ("match", LENGTH),
    "notes.observations._TAG": ("findall", LENGTH),
    "notes.observations._TIMESTAMP": ("fullmatch", LENGTH),
    "notes.permalink._SEAMS[0]": ("findall", LENGTH),
    "notes.permalink._SEAMS[1]": ("findall", LENGTH),
    "notes.permalink._SEAMS[2]": ("findall", LENGTH),
    "notes.permalink._SEPARATORS": ("findall", LENGTH),
    "notes.prefixes._BEFORE_ITEM": ("match", LENGTH),
    "notes.prefixes._GAP": ("match", LENGTH),
    "notes.prefixes._ITEM_MARKER": ("match", LENGTH),
    "notes.prefixes._QUOTE_MARKER": ("match", LENGTH),
    "notes.relations._BRACKETS": ("findall", LENGTH),
    "notes.relations._PARENTHESES": ("findall", LENGTH),
    "notes.seams._LIST": ("match", LENGTH),
    "notes.seams._OTHER_BLOCK": ("match", LENGTH),
    "notes.seams._QUOTE_MARKERS": ("match", LENGTH),
    "notes.seams._RAW_HTML": ("match", LENGTH),
    "notes.seams._RAW_HTML_END": ("search", LENGTH),
    "notes.sketch._SPAN": ("findall", LENGTH),
    "notes.text._NOT_STORABLE": ("findall", LENGTH),
    "notes.transliteration._GREEK": ("match", LENGTH),
    "notes.transliteration._INDIC": ("fullmatch", LENGTH),
    "notes.transliteration._LENGTH_MARK": ("fullmatch", LENGTH),
    "notes.transliteration._NOT_SPELLED": ("findall", LENGTH),
    "notes.transliteration._OTHER_SCRIPT": ("findall", LENGTH),
    "notes.transliteration._SYLLABLE": ("fullmatch", LENGTH),
    "oracle.database._ESCAPED_BYTE": ("findall", LENGTH),
    "rules._temporary_names()": ("fullmatch", NAME_LENGTH),
    "wildmatch._MEMBERS": ("_members", PATTERN_LENGTH),
    "wildmatch._TOKENS": ("translate", PATTERN_LENGTH),
}
UNITS = [
    *("a", "A", "aA", " ", "\t", "\n", "\r", " \n", "\v", "\u00a0", "\u4e00", "\u4e00a", "\u0436", "\uff21", "\x00"),
    *("-", "---\n", "--- \n", "---x\n", "{\n", "}\n", "} \n", "    a\n", "    \n", "\t\n", "> ", "- ", "1", "1.", "/"),
    *("[", "]", "[[", "]]", "[]", "[[]]", "[:", "[[:", "[:a", "[:a:", ":]", "[a-", "[^", "\\", "\\\\", "(", ")", "()"),
    *("#", "# ", "#a", "##", " #a", "1:00", "1:00 - ", "1:00.1", "1:0", "[a] ", "[a]\n", "_", "_-", ".", "*", "**"),
    *("**/", "?", "~", "//", "//ff", "'", "<pre", "</pre>"),
]
COMPILED_WHEN_NEEDED = ["rules._temporary_names()"]
STARTS = ["", "---", "["] if NIGHTLY else [""]
ENDS = ["", "x", "\n", "] x"] if NIGHTLY else ["", "x"]

_ATTACK = """
import importlib, json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1])))
task = json.load(sys.stdin)
count = 0
for name, (use, length) in task["uses"].items():
    module, _, variable = name.rpartition(".")
    names = vars(importlib.import_module("bm_gitindex." + module))
    expression = eval(variable, names)
    search = getattr(expression, use, None) or names[use]
    for start, unit, end in task["texts"]:
        text = start + (unit * length)[: length - len(start) - len(end)] + end
        search(text.encode() if isinstance(expression.pattern, bytes) else text)
        count += 1
print(count)
"""
_CPU_S = 3600 if NIGHTLY else 40


def expressions() -> Iterator[str]:
    """Name every expression that a module holds."""
    for module in pkgutil.walk_packages(bm_gitindex.__path__, "bm_gitindex."):
        if "migrations" in module.name or module.name.endswith("__main__"):
            continue
        for variable, value in vars(importlib.import_module(module.name)).items():
            name = f"{module.name.removeprefix('bm_gitindex.')}.{variable}"
            if isinstance(value, re.Pattern):
                yield name
            elif isinstance(value, tuple):
                yield from (f"{name}[{n}]" for n, part in enumerate(value) if isinstance(part, re.Pattern))


def test_every_expression_is_attacked() -> None:
    assert sorted([*expressions(), *COMPILED_WHEN_NEEDED]) == sorted(USES)


def test_no_expression_searches_for_long() -> None:
    texts = [(start, unit, end) for start in STARTS for unit in UNITS for end in ENDS]
    line = [sys.executable, "-c", _ATTACK, str(_CPU_S)]
    task = json.dumps({"uses": USES, "texts": texts}).encode()
    done = subprocess.run(line, input=task, capture_output=True, check=False, env=environment(), timeout=2 * _CPU_S)
    assert (done.returncode, done.stdout.strip()) == (0, b"%d" % (len(USES) * len(texts)))
