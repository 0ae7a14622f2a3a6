"""Making text from outside harmless to show, without losing what it says.

Every label may hold newlines, escape sequences, direction overrides or a megabyte. Cleaning happens
before a message is built, so that an ugly alert is still paged.
"""

from __future__ import annotations

import unicodedata

_CUT = "…"
_JOINER = "\u200d"
# Direction marks, overrides and isolates, zero-width characters, separators that start a new line somewhere.
_INVISIBLE = frozenset("\u061c\u180e\u200b\u200e\u200f\u2028\u2029\ufeff") | {
    chr(code) for code in (*range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFFF9, 0xFFFC))
}
# How far back a cut looks for the beginning of a character made of many, before it cuts through it.
_LONGEST_CHARACTER = 64


def storable(text: str) -> str:
    """The text as both databases hold it: no NUL (PostgreSQL refuses it), no lone surrogates."""
    if "\x00" in text:
        text = text.replace("\x00", "\u2400")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if 0xD800 <= ord(char) < 0xE000 else char for char in text)
    return text


def visible(text: str) -> str:
    """Control and direction characters as visible marks; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char in "\n\t" else _mark(char) for char in text)


def one_line(text: str, limit: int = 200) -> str:
    """A single line of at most `limit` characters: for titles, mail headers and log fields."""
    line = " ".join(text.split())
    marked = visible(line[: limit + 1])
    if len(line) <= limit and len(marked) <= limit:
        return marked
    return marked[: _edge(marked, limit - 1)].rstrip() + _CUT


def clip_bytes(text: str, limit: int) -> str:
    """Cut to at most `limit` UTF-8 bytes on a character border, never inside a combined character."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return text
    room = limit - len(_CUT.encode())
    if room < 0:
        return ""
    kept = len(raw[:room].decode("utf-8", "ignore"))
    return text[: _edge(text, kept)] + _CUT


def _edge(text: str, end: int) -> int:
    """The last border at or before `end` between two characters as people see them."""
    for at in range(end, max(end - _LONGEST_CHARACTER, 0), -1):
        if at >= len(text) or not _joined(text[at - 1], text[at]):
            return at
    return end if end > _LONGEST_CHARACTER else 0


def _joined(left: str, right: str) -> bool:
    """Are the two shown as one: accents, emoji chains, skin tones, the letters of a flag?"""
    if unicodedata.category(right) in ("Mn", "Me", "Mc") or left == _JOINER:
        return True
    return "\U0001f3fb" <= right <= "\U0001f3ff" or (_is_flag(left) and _is_flag(right))


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _mark(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if char in _INVISIBLE or 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:
        return f"‹U+{code:04X}›"
    return char
