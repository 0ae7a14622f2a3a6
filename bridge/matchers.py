"""Alertmanager's matcher syntax: `name="value"`, `!=`, `=~`, `!~`, with quoted UTF-8 names.

Semantics follow Alertmanager: a missing label is the empty text, regular expressions are anchored on
both sides and run on RE2, which has no catastrophic backtracking.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

import msgspec
import re2

_BARE = r"[^\s{}!=~,\\\"'`]"
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_FORM = re.compile(rf"\s*(?:{_QUOTED}|({_BARE}+))\s*(=~|!~|!=|=)\s*(?:{_QUOTED}|({_BARE}*))\s*", re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
# Names every Prometheus had before UTF-8; Alertmanager reads their matchers by its classic rules.
_CLASSIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class BadMatcher(ValueError):
    """The text is not a matcher; the message says what is wrong and how to write it."""


class Matcher(msgspec.Struct, frozen=True):
    """One comparison of a label with a value."""

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
        found = _compiled(self.value).fullmatch(value) is not None
        return found if self.op == "=~" else not found


def parse(text: str) -> Matcher:
    """Read one matcher; raises BadMatcher."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise BadMatcher(f'{text!r} is not a matcher; write it like service="payments" or alertname=~"Pay.*"')
    quoted_name, bare_name, op, quoted, bare = form.groups()
    name = bare_name if quoted_name is None else _unescaped(quoted_name, text)
    classic = quoted_name is None and _CLASSIC.fullmatch(name) is not None
    value = bare if quoted is None else _unescaped(quoted, text, others_stay=classic)
    if not name:
        raise BadMatcher(f"{text!r} names no label")
    if op in ("=~", "!~"):
        try:
            _compiled(value)
        except re2.error as error:
            raise BadMatcher(f"{text!r}: not a regular expression: {_words(error)}") from error
    return Matcher(name, op, value)


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


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True  # Alertmanager compiles with (?s)
    return re2.compile(pattern, options)
