"""Making text from outside harmless to show, without losing what it says.

Every label may hold newlines, escape sequences, direction overrides or a megabyte. Cleaning happens
before a message is built, so that an ugly alert is still paged.
"""

from __future__ import annotations

import unicodedata

_CUT = "…"
# Direction overrides and isolates, zero-width characters, and separators that start a new line somewhere.
_INVISIBLE = frozenset("\u061c\u200b\u200e\u200f\u2028\u2029\u2060\ufeff") | {
    chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def storable(text: str) -> str:
    """The text as both databases hold it: no NUL (PostgreSQL refuses it), no lone surrogates."""
    if "\x00" in text:
        text = text.replace("\x00", "\u2400")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text


def visible(text: str) -> str:
    """Control and direction characters as visible marks; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char in "\n\t" else _mark(char) for char in text)


def one_line(text: str, limit: int = 200) -> str:
    """A single line of at most `limit` characters: for titles, mail headers and log fields."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1].rstrip() + _CUT


def clip_bytes(text: str, limit: int) -> str:
    """Cut to at most `limit` UTF-8 bytes on a character border, never inside a combined character."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return text
    if limit < len(_CUT.encode()):
        return ""
    kept = raw[: limit - len(_CUT.encode())].decode("utf-8", "ignore")
    while kept and unicodedata.combining(text[len(kept)] if len(kept) < len(text) else "a"):
        kept = kept[:-1]
    return kept.rstrip("\u200d") + _CUT


def _mark(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if char in _INVISIBLE or 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:
        return f"‹U+{code:04X}›"
    return char
