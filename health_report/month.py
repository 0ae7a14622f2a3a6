"""A calendar month in a client's time zone. Pure: `now` is a parameter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_skeleton

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Period:
    """One month. `start` and `end` are UTC moments of local midnight; the end is not part of it.

    `until` is where the figures stop: the end, or `now` while the month is not over.
    """

    month: str
    zone: str
    start: datetime
    end: datetime
    until: datetime

    @property
    def finished(self) -> bool:
        """The month is over, so its figures are final."""
        return self.until >= self.end

    @property
    def seconds(self) -> float:
        """Seconds that are told about; a month with a clock change is an hour longer or shorter."""
        return (self.until - self.start).total_seconds()

    @property
    def previous(self) -> Period:
        """The month before, whole."""
        first = self.start.astimezone(ZoneInfo(self.zone)).date().replace(day=1)
        before = first - timedelta(days=1)
        return period(f"{before.year:04}-{before.month:02}", self.zone, self.start)

    def label(self, language: str) -> str:
        """The month as people write it: 2026年10月, October 2026."""
        local = self.start.astimezone(ZoneInfo(self.zone))
        return format_skeleton("yMMMM", local, tzinfo=local.tzinfo, locale=language)


def period(month: str, zone: str, now: datetime) -> Period:
    """The month written YYYY-MM in a time zone, cut at `now` while it is not over.

    Raises ValueError for another spelling, an unknown zone, and a month that has not begun.
    """
    found = _MONTH.fullmatch(month)
    if not found:
        raise ValueError(f"{month!r} is not a month; write it like 2026-10")
    try:
        tz = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{zone!r} is not a time zone; write it like Asia/Shanghai") from error
    year, number = int(found[1]), int(found[2])
    if not 1970 <= year <= 9998:
        raise ValueError(f"{month!r} is out of reach")
    start = datetime(year, number, 1, tzinfo=tz).astimezone(UTC)
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    end = datetime(*following, 1, tzinfo=tz).astimezone(UTC)
    if now.astimezone(UTC) <= start:
        raise ValueError(f"{month} has not begun yet in {zone}")
    return Period(month, zone, start, end, min(end, now.astimezone(UTC)))
