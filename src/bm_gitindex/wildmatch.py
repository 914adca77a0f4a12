"""wildmatch: the patterns by which git names paths, as regular expressions over bytes.

The part of a pattern between two asterisks has a fixed length. So the first place where it matches leaves the most to
what follows, and is taken for good, by an atomic group; likewise the first folder where what is between two `**/`
matches. Only what is after the last of them has to be at the end, and no pattern makes the search explode.
"""

from __future__ import annotations

import re

_MEMBER = rb"(?> \[:(?P<name>[^]]*):\] | (?P<first>\\.|[^\\]) (?:-(?P<last>\\.|[^]\\]))? )"
_MEMBERS = re.compile(_MEMBER, re.VERBOSE | re.DOTALL)
_TOKENS = re.compile(
    rb"""
      (?P<folders>(?<![^/])\*\*+(?:/|(?=\\/)|\Z))       # two asterisks or more, where a name would be
    | (?P<asterisk>\*+)                                 # as documented; older git lets `foo**/bar` match `foobar`
    | (?P<any>\?)
    | (?P<set>\[(?P<negation>(?>[!^]?))(?P<members>(?:%b)+?)\])     # what comes first may be a closing bracket
    | (?P<byte>\\.|[^\\[])
    | (?P<invalid>.)
    """
    % _MEMBER,
    re.VERBOSE | re.DOTALL,
)
_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb"\x20\x09",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb"\x20\x09\x0a\x0d",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}
"""As git has them: of ASCII alone, and without the vertical tab and the form feed among the spaces."""


def translate(pattern: bytes) -> bytes | None:
    """Return an expression for the paths that a pattern matches, to be followed by an end; None if it is invalid."""
    blocks = [[b""]]  # what stands between `**/`, each as the parts between its asterisks
    for token in _TOKENS.finditer(pattern):
        kind, text = token.lastgroup, token[0]
        if kind == "folders":
            # Without its slash it stands for one name or more: `a/**` is `a/**/*`, and `**\/a` is `**/*/a`.
            blocks.append([b""] if text.endswith(b"/") else [b"", b""])
        elif kind == "asterisk":
            blocks[-1].append(b"")
        elif kind == "any":
            blocks[-1][-1] += b"[^/]"
        elif kind == "byte":
            blocks[-1][-1] += re.escape(text[-1:])
        elif kind == "set" and (members := _members(token["members"])) is not None:
            blocks[-1][-1] += (b"[^/%b]" if token["negation"] else b"(?!/)[%b]") % members
        else:
            return None
    first, *others = blocks
    if not others:
        return _at_the_end(first)
    skips = b"".join(b"(?>(?:.*?/)??%b)" % _at_once(block) for block in others[:-1])
    return _at_once(first) + skips + b"(?:.*/)?" + _at_the_end(others[-1])


def _at_once(parts: list[bytes]) -> bytes:
    """Return an expression for parts with an asterisk before all but the first, each where it first matches."""
    return parts[0] + b"".join(b"(?>[^/]*?%b)" % part for part in parts[1:])


def _at_the_end(parts: list[bytes]) -> bytes:
    """Return an expression for the same parts, the last of them where the end can follow."""
    *others, last = parts
    return _at_once(others) + b"[^/]*" + last if others else last


def _members(text: bytes) -> bytes | None:
    """Return what is between the brackets of a set, for a set of Python's; None if there is no such class."""
    found = b""
    for member in _MEMBERS.finditer(text):
        if member["first"] is None:
            if member["name"] not in _CLASSES:
                return None
            found += _CLASSES[member["name"]]
        else:
            first = member["first"][-1]
            last = member["last"][-1] if member["last"] else first
            # A range that runs backwards is allowed by git, and holds its first byte alone.
            found += b"\\x%02x-\\x%02x" % (first, max(first, last))
    return found
