"""Making untrusted text harmless: control characters for terminals, workflow commands for CI."""

from __future__ import annotations

import re

# C0, DEL, C1, line separators, and the characters that turn the direction of writing.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_CONTROL_BUT_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# GitHub and Azure Pipelines read `##[` and `##vso[` anywhere in a line, `::` only at its beginning.
_ANYWHERE = re.compile(r"##(?=vso\[|\[)", re.IGNORECASE)
_AT_START = re.compile(r"^(\s*):(?=:)", re.MULTILINE)


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def escape_line(text: str) -> str:
    """`text` as one line: every control character, line breaks too, is written as `\\n`, `\\x1b`, ..."""
    return _CONTROL.sub(_visible, text)


def escape_lines(text: str) -> str:
    """As `escape_line`, but line breaks and tabs stay."""
    return _CONTROL_BUT_LINES.sub(_visible, text)


def escape_but_colour(text: str) -> str:
    """As `escape_lines`, but colour sequences stay."""
    pieces, position = [], 0
    for colour in _COLOUR.finditer(text):
        pieces += [escape_lines(text[position : colour.start()]), colour[0]]
        position = colour.end()
    return "".join(pieces) + escape_lines(text[position:])


def escape_json(document: str) -> str:
    """A JSON document whose strings hold no raw control character; it means the same."""
    return _CONTROL_BUT_LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def defuse(text: str) -> str:
    """`text` in which a CI runner finds no command."""
    return _AT_START.sub(r"\1\\:", _ANYWHERE.sub(r"#\\#", text))


def defuse_json(document: str) -> str:
    """A JSON document in which a CI runner finds no command; it means the same. (A JSON text never begins with `::`.)"""
    return _ANYWHERE.sub(r"#\\u0023", document)


def cells(text: str) -> int:
    """The columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` columns."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[:-1]
    return text + "…"
