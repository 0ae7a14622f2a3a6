"""Alertmanager's matcher syntax: `name="value"`, `!=`, `=~`, `!~`, with quoted UTF-8 names.

Semantics follow Alertmanager: a missing label is the empty text, regular expressions are anchored on
both sides and run on RE2, which has no catastrophic backtracking.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

import msgspec
import re2

_BARE = r"[^\s{}!=~,\\\"'`]"
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_FORM = re.compile(rf"\s*(?:{_QUOTED}|({_BARE}+))\s*(=~|!~|!=|=)\s*(?:{_QUOTED}|({_BARE}*))\s*", re.DOTALL)
_SHOWN = 100  # characters of a text that is not what it should be
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
# Names every Prometheus had before UTF-8; Alertmanager reads their matchers by its classic rules.
_CLASSIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# Words that nothing is called by. A pattern that takes both of a pair was not written for a name.
_NOBODY = (("zqxjkvbw", "kwvbjxqz"), ("Zqxjkvbw", "Kwvbjxqz"), ("zqxj-17.vbw", "kwvb-42.xqz"))
# Texts that only a pattern without any demand takes: short and long, and every sign of ASCII.
_ALL_KINDS = ("0", "\n", "支付 \U0001f600", "".join(map(chr, range(128))) * 2, "x" * 2_000)


# PromQL's list of matchers: texts in three kinds of quotes with Go's escapes, commas between them.
_LISTED = re.compile(
    r"""[ \t\r\n]*(?:([a-zA-Z_]\w*)|("(?:[^"\\\n]|\\.)+"))[ \t\r\n]*(=~|!~|!=|=)[ \t\r\n]*"""
    r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)[ \t\r\n]*(?:,|\Z)""",
    re.ASCII,
)
_GO_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"'])|x([0-9a-fA-F]{2})|([0-3][0-7]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))"
)
_GO_LETTERS = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'", strict=True))


class BadMatcher(ValueError):
    """The text is not a matcher; the message says what is wrong and how to write it."""


class Matcher(msgspec.Struct, frozen=True, dict=True):
    """One comparison of a label with a value.

    `dict=True` is room for the compiled pattern, which is not compared, printed or stored.
    """

    name: str
    op: str
    value: str

    def __str__(self) -> str:
        name = self.name if _CLASSIC.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{self.op}{_quoted(self.value)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Does the comparison hold for these labels?"""
        value = labels.get(self.name, "")
        if self.op == "=":
            return value == self.value
        if self.op == "!=":
            return value != self.value
        found = self._pattern.fullmatch(value.encode("utf-8", "replace")) is not None
        return found if self.op == "=~" else not found

    @functools.cached_property
    def _pattern(self) -> re2._Regexp:
        return _compiled(self.value)


def parse(text: str) -> Matcher:
    """Read one matcher; raises BadMatcher."""
    _whole_characters(text)
    form = _FORM.fullmatch(text)
    if form is None:
        raise BadMatcher(f'{text!r} is not a matcher; write it like service="payments" or alertname=~"Pay.*"')
    quoted_name, bare_name, op, quoted, bare = form.groups()
    name = bare_name if quoted_name is None else _unescaped(quoted_name, text)
    classic = quoted_name is None and _CLASSIC.fullmatch(name) is not None
    value = bare if quoted is None else _unescaped(quoted, text, others_stay=classic)
    if not name:
        raise BadMatcher(f"{text!r} names no label")
    return _checked(Matcher(name, op, value), text)


def selector(text: str) -> tuple[Matcher, ...]:
    """Read what stands between the braces of a query, by PromQL's rules; raises BadMatcher.

    A comma at either end says nothing. Names in double quotes are for Prometheus 3.
    """
    _whole_characters(text)
    rest = text.strip().strip(",").strip()
    found: list[Matcher] = []
    at = 0
    while at < len(rest):
        one = _LISTED.match(rest, at)
        if one is None:
            raise BadMatcher(
                f"{_short(rest[at:])} is not a list of matchers such as "
                'client="acme", region=~"eu.*" with every value in quotes'
            )
        bare, quoted, op, value = one.groups()
        name = bare or _go(quoted)
        found.append(_checked(Matcher(name, op, _go(value)), rest[at : at + _SHOWN]))
        at = one.end()
    if rest.endswith(","):
        raise BadMatcher(f"{_short(text)} ends with two commas")
    return tuple(found)


def takes_any(matcher: Matcher) -> bool:
    """Does the matcher hold for every value that is not empty, as `.+` and `!=""` do?"""
    if matcher.op in ("!=", "!~"):
        return not matcher.value
    values = (*_ALL_KINDS, *_NOBODY[0])
    return matcher.op == "=~" and all(matcher.matches({matcher.name: value}) for value in values)


def takes_all(matcher: Matcher) -> bool:
    """Does the matcher hold for every alert, with the label and without it, as `.*` does?"""
    return matcher.matches({}) and takes_any(matcher)


def narrow(match: Sequence[Matcher]) -> bool:
    """Is there a matcher that names something? Then an alert about anything else does not meet them all.

    `.+`, `!=""`, `no_such_label=""` and `severity!="info"` name nothing: whatever happens may meet them.
    """
    return any(_names_something(matcher) for matcher in match)


def _names_something(matcher: Matcher) -> bool:
    return not matcher.matches({}) and not any(
        all(matcher.matches({matcher.name: value}) for value in pair) for pair in _NOBODY
    )


def _checked(matcher: Matcher, text: str) -> Matcher:
    """The matcher; its first use compiles its pattern, which is kept. Raises BadMatcher."""
    try:
        matcher.matches({})
    except re2.error as error:
        raise BadMatcher(f"{text!r}: not a regular expression: {_words(error)}") from error
    return matcher


def _whole_characters(text: str) -> None:
    half = next((char for char in text if "\ud800" <= char <= "\udfff"), "")
    if half:
        raise BadMatcher(f"{text!r} holds half a character, U+{ord(half):04X}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _unescaped(text: str, whole: str, *, others_stay: bool = False) -> str:
    r"""Undo the escapes. With a classic name `\.` and `\d` stay as they are, as Alertmanager has it."""

    def put(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            if others_stay:
                return match[0]
            raise BadMatcher(rf"{whole!r}: \{match[1]} is no escape; there are \n, \" and \\")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", put, text, flags=re.DOTALL)


def _go(literal: str) -> str:
    """The text of a literal of PromQL."""
    if literal[0] == "`":
        return literal[1:-1]

    def put(found: re.Match[str]) -> str:
        letter, byte, octal, short, long, other = found.groups()
        number = int(byte or short or long or "0", 16) or int(octal or "0", 8)
        wrong = other or (letter in ("'", '"') and letter != literal[0])
        if wrong or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise BadMatcher(f"{_short(literal)}: {found[0]} is no escape of PromQL")
        return _GO_LETTERS[letter] if letter else chr(number)

    return _GO_ESCAPE.sub(put, literal[1:-1])


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True  # Alertmanager compiles with (?s)
    options.never_capture = True  # nobody asks for groups, and without them RE2 is ten times as fast
    return re2.compile(pattern, options)
