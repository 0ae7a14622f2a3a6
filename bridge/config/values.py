"""Values that configuration files carry as text: durations and secrets."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_LONGEST = 10 * 366 * 86400
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Duration(timedelta):
    """A length of time written as Prometheus writes it: `90s`, `10m`, `1h30m`, `2w`."""

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Read a duration; raises ValueError naming what was expected."""
        if isinstance(text, str):
            parts = _PART.findall(text)
            if parts and "".join(number + unit for number, unit in parts) == text:
                seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
                if seconds <= _LONGEST:
                    return cls(seconds=seconds)
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 10m, 1h30m, 3d or 2w")

    def __str__(self) -> str:
        return duration_text(self)


def duration_text(length: timedelta) -> str:
    """A duration as people write it for Prometheus: 5400 s -> `1h30m`, 400 days stay days."""
    rest = round(length.total_seconds())
    if rest and rest % _SECONDS["w"] == 0:
        return f"{rest // _SECONDS['w']:.0f}w"
    text = ""
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(_SECONDS[unit]))
        text += f"{count}{unit}" if count else ""
    return text or "0s"


class Secret:
    """A text that never shows itself: not in repr, str, format, logs or tracebacks."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself; call it only at the point where it leaves through delivery."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def decode_value(kind: type, value: Any) -> Any:
    """msgspec hook for the two kinds above."""
    if kind is Duration:
        return Duration.parse(value)
    if kind is Secret:
        if not isinstance(value, str) or not value.strip():
            raise ValueError("an empty secret; give it as ${NAME} or with a …_file key")
        return Secret(value.strip())
    raise NotImplementedError(f"no reader for {kind!r}")
