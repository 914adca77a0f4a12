"""Notes made by a grammar: headers and blocks as people write them, as they mistype them, and as nobody would.

A note is made of its seed alone. What is deliberately read otherwise than by basic-memory (docs/compatibility.md) is
not in the grammar, so that every difference is a finding.
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Choice = TypeVar("_Choice")

# fmt: off
WORDS = ("word", "Use", "x", "the thing", "don't", "C++", "a_b", "1.", "12:30", "(", ")", "*em*", "**strong**", "`code`",
         "`` a ` b ``", "~~no~~", "&amp;", "&#35;", "\\#", "\\[", "\\*", "é", "中文", "тест", "🎉", "\u3000", "\u00a0", "—",
         "“q”", "<b>", "</b>", "<br/>", "<!-- c -->", "<a@b.c>", "https://a.b/c#d", "|", "=", "-", "+", "!", "::", "\\",
         "  ", "[", "]", "{x}", "$a$", "@me", "%", "^1", "...", "\"q r\"", "'s t'", ":", ";", ",", ".")
TAGS = ("#tag", "#a-b", "#a/b", "#tag,", "#", "##", "#a#b", "#中文", "#1", "(#t)", "#t.", "x#y", "#t`", "#🎉", "#é")
LINKS = ("[[Note]]", "[[Note|alias]]", "[[Note#Heading]]", "![[image.png]]", "[[proj::Note]]", "[[a/b c]]", "[[ N ]]",
         "[[]]", "[[", "]]", "[[A [[B]]", "[[[A]]]", "[[A]b]]", "[A]]", "[[A]](u)", "[[A\\|b]]", "[[::a]]", "[[ a :: b ]]",
         "[[中文]]", "[[A^b]]")
PLAIN_LINKS = ("[t](u)", "![t](u)", "[t][r]", "[t #a](u)", "<http://a.b>", "[t](<u v> \"w\")", "[^1]", "[r]", "[](u)")
CATEGORIES = ("[fact]", "[tech]", "[ c ]", "[c d]", "[C-1]", "[é]", "[ ]", "[x]", "[X]", "[-]", "[>]", "[/]", "[!]", "[1]",
              "[^1]", "[a]", "[]", "[00:00:11]", "[12:34 - 12:35]", "[2024-01-02]", "[a(b)]", "[a[b]]", "[c]:", "[#t]", "[?]")
LABELS = ("implements", "depends on", "\"depends on\"", "'part of'", "relates_to:", "[fact]", "->", "**bold**", "`c`", "\"a",
          "", "[ ]", "[x]", "中文", "“q r”", "a/b", "\"\"", "uses \"x\"")
CONTEXTS = ("(why)", "(a (b))", "(a) (b)", "()", "( )", "(a", "a)", "((a))", "(see [[B]])", "(#t)", "（全）", "(a\\))")
BULLETS = ("- ", "* ", "+ ", "1. ", "2) ", "10. ", "-\t", "-  ", "-   ", "-     ", "-", "- - ", "1. - ", "- > ")
INDENTS = ("", "", "", " ", "  ", "   ", "    ", "\t", "     ", "      ", " \t")
RULES = ("---", "***", "___", "- - -", "* * *", "----", "--", "===", "=", "-", "  ---", "---  ")
HTML = ("<div>\n{}\n</div>", "<div>\n\n{}\n\n</div>", "<!-- {} -->", "<!--\n{}\n-->", "<!--\n\n{}\n\n-->", "<b>\n{}\n</b>",
        "<details><summary>s</summary>\n\n{}\n\n</details>", "<pre>\n{}\n\n{}\n</pre>", "<script>\n{}\n</script>",
        "<?x {} ?>", "<x-y>\n{}", "<img src=\"#a\"> {}", "<table><tr><td>{}</td></tr></table>", "</div> {}", "<!X {}>")
FENCES = ("```", "~~~", "````", "```py", "~~~ x `y`", "``` a`b", "  ```", "   ~~~", "    ```")
DEFINITIONS = ("[r]: /u", "[r]: /u \"t\"", "[r]:\n/u", "[r]: <a b>", "[^1]: note", "[^1]: /u", "[r]: /u 't\nu'", "[a b]: /u",
               "[r]: /u x", "[]: /u", "   [r]: /u", "[r\ns]: /u", "[c]: /u", "[r]: /u\n\"t\"", "[r]:", "[[r]]: /u")
YAML_KEYS = ("title", "type", "tags", "permalink", "created", "modified", "status", "aliases", "a b", "x-1", "é", "date",
             "Title", "\"q\"", "n.1", "nested", "url")
YAML_TEXTS = ("Plain", "two words", "a: b", "a #b", "#b", "[a, b]", "[a, '#b', \"c d\"]", "{a: 1, b: [2]}", "[]", "{}", "~",
              "null", "None", "''", "\" q \"", "'it''s'", "\"a\\tb\"", "\"\\u00e9\"", "2024", "1.50", "0x1F", "0o17", "017", "1_000", "1e3",
              "1.0e+3", ".5", ".inf", "-.nan", "true", "No", "on", "y", "12:30", "12:30:45", "2024-01-02", "2024-01-02 03:04:05",
              "2024-01-02T03:04:05Z", "2024-01-02T03:04:05+02:00", "'2024-01-02'", "!!str 5", "!!int '5'", "!!float 5", "! x",
              "|\n  a\n  b", ">-\n  a\n  b", "\n  - a\n  - b: c\n    d: e", "\n- a\n- '#b'", "\n  k: v\n  l: [1, ~]", "&x y",
              "https://a.b/#c", "a, b , #c", "'#a, #b'", "'[\"a\", \"b\"]'", "中文", "🎉", "- x", "%a", "-1", "+12e03", "1:99",
              "99999999999999999999", "'yes'", "a\n  b", "[a,\n  b]", "!!null ''", "@a", "*nowhere", "[a", "\"a", "a: b: c")
DATES = ("2024-01-02", "2024-01-02 03:04:05", "'2024-01-02T03:04'", "2024-01-02T03:04:05.678Z", "20240102", "yesterday", "''",
         "2024-13-45", "2024", "~", "\"2024-01-02T03:04:05-0500\"", "5", "[2024-01-02]", "2024-W01-1", "'2024-01-02 '")
FRAGMENTS = ("\n", "\n\n", "  ", "    ", "\t", "> ", "- ", "# ", "[", "]", "(", ")", "`", "```\n", "---\n", "===\n", "<div>\n",
             "[[", "]]", "#t ", "[c] ", "\\", "[r]: /u\n", "|", "*", "1) ", "<!--", "-->", ">", "    - ", "\n2. ", "\n\n    ")
# fmt: on


_QUOTE_IN_QUOTE = re.compile(r"^(?:[ \t]|[-+*]|\d+[.)])*>(?:[ \t]|[-+*]|\d+[.)])*>.*", re.MULTILINE)


def note(seed: int) -> bytes:
    """Return the note of a seed."""
    text = _Maker(Random(seed)).note()
    return _QUOTE_IN_QUOTE.sub(lambda found: found[0].replace("\t", " "), text).encode()


class _Maker:
    """What chance makes of the grammar."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def note(self) -> str:
        text = self._maybe(0.6, self._header) + self._body()
        if self._is(0.15):
            text = self._mistyped(text)
        if self._is(0.1):
            text = text.replace("\n", "\r\n")
        if self._is(0.03):
            text = "\ufeff" + text
        return text

    def _header(self) -> str:
        lines = [f"{self._of(YAML_KEYS)}: {self._of(YAML_TEXTS)}" for _ in range(self._random.randint(0, 5))]
        if self._is(0.2):
            lines.append(f"{self._of(('created', 'modified'))}: {self._of(DATES)}")
        if self._is(0.05):
            lines.append(
                self._of(("# comment", "", "  indented: x", "- a", "plain", "<<: {m: 1}", "? k\n: v", "k:v", "..."))
            )
        if self._is(0.05):
            pairs = (f'"{key}": {value}' for key, value in zip("abc", ('"x"', "[1, null, true]", "1.5e3"), strict=True))
            return "{\n" + ",\n".join(pairs) + "\n}\n"
        fence = self._of(("---", "---", "---", "---", "----", "--- "))
        return f"{fence}\n" + "".join(f"{line}\n" for line in lines) + f"{fence}\n"

    def _body(self) -> str:
        seams = self._random.choice([["\n\n"], ["\n\n", "\n"], ["\n\n", "\n", "\n\n\n", "\n \n"]])
        text = ""
        for _ in range(self._random.randint(1, 6)):
            text += self._block(0) + self._of(seams)
        return text

    def _block(self, depth: int) -> str:
        makers: Sequence[Callable[[int], str]] = (
            *(self._paragraph, self._paragraph, self._list, self._list, self._list, self._heading, self._quote),
            *(self._fence, self._html, self._table, self._definition, self._rule, self._code),
        )
        return self._of(makers)(depth)

    def _paragraph(self, _depth: int) -> str:
        lines = [self._of(INDENTS[:6]) + self._line() for _ in range(self._of((1, 1, 2, 3)))]
        return self._of(("\n", "\n", "  \n", "\\\n")).join(lines)

    def _heading(self, _depth: int) -> str:
        if self._is(0.3):
            return f"{self._line()}\n{self._of(RULES)}"
        return f"{'#' * self._random.randint(1, 7)}{self._of((' ', ' ', ' ', '', '  '))}{self._line()}{self._of(('', '', ' #', ' ##', '#'))}"

    def _list(self, depth: int) -> str:
        bullet = self._of(BULLETS[:5]) if self._is(0.7) else self._of(BULLETS)
        items = []
        for _ in range(self._random.randint(1, 4)):
            content = self._item(depth)
            if self._is(0.1):
                bullet = self._of(BULLETS)
            items.append(self._indented(content, bullet, self._continuation(bullet)))
        return self._of(("\n", "\n", "\n", "\n\n")).join(items)

    def _item(self, depth: int) -> str:
        content = self._relation() if self._is(0.4) else self._line()
        while depth < 3 and self._is(0.3):
            content += self._of(("\n", "\n", "\n\n")) + self._block(depth + 1)
        return content

    def _continuation(self, bullet: str) -> str:
        return " " * len(bullet.expandtabs(4)) if self._is(0.8) else self._of(INDENTS)

    def _quote(self, depth: int) -> str:
        content = self._block(depth + 1) if depth < 3 else self._line()
        while self._is(0.3):
            content += self._of(("\n", "\n\n")) + (self._block(depth + 1) if depth < 3 else self._line())
        marker = self._of(("> ", "> ", "> ", ">", ">  ", " > "))
        return self._indented(content, marker, marker if self._is(0.85) else "")

    def _fence(self, _depth: int) -> str:
        fence = self._of(FENCES)
        end = fence.strip().split(" ")[0].rstrip("py") if self._is(0.85) else self._of(("", "``", "~~~"))
        return f"{fence}\n{self._line()}\n{self._maybe(0.3, lambda: chr(10))}{end}"

    def _html(self, _depth: int) -> str:
        return self._of(HTML).replace("{}", self._line())

    def _table(self, _depth: int) -> str:
        rows = [f"| {self._line()} | {self._line()} |" for _ in range(self._random.randint(1, 2))]
        return "\n".join([rows[0], "|---|---|", *rows[1:]])

    def _definition(self, _depth: int) -> str:
        return "\n".join(self._of(DEFINITIONS) for _ in range(self._of((1, 1, 2))))

    def _rule(self, _depth: int) -> str:
        return self._of(RULES)

    def _code(self, _depth: int) -> str:
        return "\n".join(self._of(("    ", "\t")) + self._line() for _ in range(self._of((1, 2))))

    def _relation(self) -> str:
        gap = self._of((" ", " ", " ", "", "  ", "\n  "))
        return f"{self._of(LABELS)}{gap}{self._of(LINKS)}{self._maybe(0.4, lambda: ' ' + self._of(CONTEXTS))}"

    def _line(self) -> str:
        parts = [self._of(WORDS) for _ in range(self._random.randint(0, 3))]
        for share, choices in ((0.35, TAGS), (0.25, LINKS), (0.1, PLAIN_LINKS)):
            if self._is(share):
                parts.insert(self._random.randint(0, len(parts)), self._of(choices))
        if self._is(0.3):
            parts.insert(0, self._of(CATEGORIES))
        if self._is(0.2):
            parts.append(self._of(CONTEXTS))
        return self._of((" ", " ", " ", " ", "")).join(parts) or "x"

    def _mistyped(self, text: str) -> str:
        for _ in range(self._random.randint(1, 4)):
            place = self._random.randint(0, len(text))
            cut = self._random.choice((0, 0, 1, 2, 8))
            text = text[:place] + self._maybe(0.7, lambda: self._of(FRAGMENTS)) + text[place + cut :]
        return text

    def _indented(self, content: str, first: str, other: str) -> str:
        lines = content.split("\n")
        is_bare = self._is(0.7)
        others = [line if not line and is_bare else other + line for line in lines[1:]]
        return "\n".join([first + lines[0], *others])

    def _is(self, share: float) -> bool:
        return self._random.random() < share

    def _maybe(self, share: float, make: Callable[[], str]) -> str:
        return make() if self._is(share) else ""

    def _of(self, choices: Sequence[_Choice]) -> _Choice:
        return self._random.choice(choices)
