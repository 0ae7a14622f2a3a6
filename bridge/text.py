"""Making text from outside harmless to show, without losing what it says.

Every label may hold newlines, escape sequences, direction overrides or a megabyte. Cleaning happens
before a message is built, so that an ugly alert is still paged.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

_CUT = "…"
_JOINER = "\u200d"
# Direction marks, overrides and isolates, zero-width characters, separators that start a new line somewhere,
# and what Unicode calls Default_Ignorable_Code_Point: fillers that look like nothing, and the tag characters,
# which can spell a whole text that nobody sees.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    "\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
# Joiners and variation selectors belong to emoji and to some scripts, one after a character that is seen.
# Elsewhere, and in runs, they only hide something.
_JOINERS = "\u200c\u200d"
_SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
# The only sequences of tag characters that Unicode recommends: the flags of England, Scotland and Wales.
_TAGGED_FLAGS = tuple(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in place) + "\U000e007f"
    for place in ("gbeng", "gbsct", "gbwls")
)
_UNSEEN = re.compile(
    rf"{'|'.join(_TAGGED_FLAGS)}|[{_CONTROL}{_INVISIBLE}]"
    rf"|(?<![^\sA-Za-z{_JOINERS}{_SELECTORS}])[{_SELECTORS}]|(?<![^\0-\x7f\s{_JOINERS}])[{_JOINERS}]"
)
# A host as a browser would ask for it: no name and password before it, no backslash, no letters that
# look like others, no percent signs that spell it differently.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d*)?")
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
    """Control, direction and unseen characters as visible marks; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(_mark, text)


def one_line(text: str, limit: int = 200) -> str:
    """A single line of at most `limit` characters: for titles, mail headers and log fields."""
    line = " ".join(text.split())
    marked = visible(line[: limit + _LONGEST_CHARACTER])
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


def web_link(text: str) -> str:
    """The text when it may become a link, else nothing.

    Links begin with http or https (`javascript:` arrives in annotations), name a host in ASCII, which
    cannot pass for another, and hold no password and nothing unseen.
    """
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return ""
    fine = fine and _HOST.fullmatch(parts.netloc) and text.isprintable() and visible(text) == text
    return text if fine else ""


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
    if "\U000e0020" <= right <= "\U000e007f":  # only those of a flag are still there
        return True
    return "\U0001f3fb" <= right <= "\U0001f3ff" or (_is_flag(left) and _is_flag(right))


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _mark(found: re.Match[str]) -> str:
    text = found[0]
    if len(text) > 1:
        return text  # a flag
    code = ord(text)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"‹U+{code:04X}›"
