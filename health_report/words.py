"""How the report speaks: texts, numbers, dates and lengths of time in the reader's language and zone."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml
from babel import Locale
from babel.dates import format_datetime, format_skeleton, get_timezone_name
from babel.numbers import format_decimal, format_percent

from bridge.text import one_line, storable

TEXTS = Path(__file__).with_name("texts")
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))

Text = str | Mapping[str, str]


def shown(text: str, limit: int = 2_000) -> str:
    """A stranger's text made fit to be shown on one line: control characters visible, not endless."""
    return one_line(storable(text), limit)


def languages() -> tuple[str, ...]:
    """The languages a report can be written in: one file each."""
    return tuple(sorted(file.stem for file in TEXTS.glob("*.yml")))


@functools.cache
def catalogue(language: str) -> Mapping[str, Text]:
    """All texts of a language by key. Raises ValueError for a language without texts."""
    if language not in languages():
        raise ValueError(f"no report texts in {language!r}; there are {', '.join(languages())}")
    sections = yaml.safe_load((TEXTS / f"{language}.yml").read_text("utf-8"))
    return {f"{room}.{key}": text for room, texts in sections.items() for key, text in texts.items()}


@dataclass(frozen=True)
class Words:
    """Speaks one language in one time zone."""

    language: str
    zone: str

    def __post_init__(self) -> None:
        catalogue(self.language)

    @property
    def locale(self) -> Locale:
        """Babel's locale: how numbers and dates are written."""
        return Locale.parse({"zh": "zh_Hans_CN", "en": "en_GB"}.get(self.language, self.language))

    @property
    def tag(self) -> str:
        """The language tag for HTML and PDF; it also chooses the shapes of Chinese characters."""
        return {"zh": "zh-CN", "en": "en-GB"}.get(self.language, self.language)

    def say(self, key: str, n: float | None = None, **values: object) -> str:
        """A text by key, values filled in; `n` chooses the plural form and is {n}. KeyError if unknown."""
        text = catalogue(self.language)[key]
        if not isinstance(text, str):
            text = text[self.locale.plural_form(n if n is not None else 1)]
        if n is not None:
            values["n"] = self.number(n)
        return text.format(**values) if values else text

    def number(self, value: float | None, digits: int = 0) -> str:
        """A number with the language's separators; a dash when it is not known."""
        if value is None or math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
        return str(format_decimal(rounded, _pattern(digits), locale=self.locale))

    def percent(self, share: float | None, digits: int = 2) -> str:
        """A share of 1 as per cent. What is below 100 % is never rounded up to it."""
        if share is None or not math.isfinite(share):
            return "–"
        how = ROUND_DOWN if 0 <= share < 1 and round(share, digits + 2) >= 1 else ROUND_HALF_EVEN
        cut = Decimal(repr(float(share))).quantize(Decimal(1).scaleb(-digits - 2), how)
        return str(format_percent(cut, f"{_pattern(digits)}%", locale=self.locale))

    def seconds(self, value: float | None) -> str:
        """A short time such as a latency: 420 ms, 1.8 s."""
        if value is None or not math.isfinite(value):
            return "–"
        if value < 1:
            return self.say("unit.ms", value=self.number(value * 1000))
        return self.say("unit.s", value=self.number(value, 2 if value < 10 else 0))

    def length(self, seconds: float | None) -> str:
        """A length of time in its two largest units: 3 h 10 min, 3 小时 10 分钟."""
        if seconds is None or not math.isfinite(seconds):
            return "–"
        rest = round(abs(seconds))
        rest = round(rest / 60) * 60 if rest >= 3_600 else rest
        parts = []
        for unit, size in _UNITS:
            count, rest = divmod(rest, size)
            if count:
                parts.append(self.say(f"unit.{unit}", value=self.number(count)))
        return self.say("unit.join").join(parts[:2]) if parts else self.say("unit.s", value=self.number(0))

    def moment(self, at: datetime | float | None, *, year: bool = False) -> str:
        """A time of day with its date, in the client's zone."""
        if at is None:
            return "–"
        local = self.local(at)
        date = format_skeleton("yMMMd" if year else "MMMd", local, tzinfo=local.tzinfo, locale=self.locale)
        return f"{date} {local:%H:%M}"

    def target(self, name: str) -> str:
        """An SLA target; one without a text keeps its own name."""
        return self._or_own("target", name)

    def state(self, name: str) -> str:
        """How a failover ended; one without a text keeps its own name."""
        return self._or_own("state", name)

    def mode(self, name: str) -> str:
        """How a failover was started; one without a text keeps its own name."""
        return self._or_own("mode", name)

    def _or_own(self, room: str, name: str) -> str:
        return self.say(f"{room}.{name}") if f"{room}.{name}" in catalogue(self.language) else name

    def day(self, at: datetime) -> str:
        """A day for a chart's axis: 10月5日, 5 Oct."""
        return str(format_skeleton("MMMd", at, tzinfo=at.tzinfo, locale=self.locale))

    def written(self, at: datetime) -> str:
        """A full date and time with its zone, for cover and appendix."""
        local = self.local(at)
        text = format_datetime(local, "long", tzinfo=local.tzinfo, locale=self.locale)
        return str(text)

    def zone_name(self) -> str:
        """The client's time zone as people call it."""
        return f"{get_timezone_name(ZoneInfo(self.zone), locale=self.locale)} ({self.zone})"

    def local(self, at: datetime | float) -> datetime:
        """A moment in the client's zone."""
        moment = datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else at
        return moment.astimezone(ZoneInfo(self.zone))


def _pattern(digits: int) -> str:
    return "#,##0" + ("." + "0" * digits if digits else "")
