"""Recurrence rules as calendars write them (RFC 5545), and the days on which they fire.

A rule chooses days; the time of day is that of what recurs. Every question is about a range of days
and costs what that range costs, however long ago the rule began and however seldom it fires. That is
why rules are not handed to python-dateutil, which walks from the first day and looks for the next one
until the year 9999; tests hold the two against each other.
"""

from __future__ import annotations

import functools
import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args

import msgspec

LONGEST = 300  # characters of a rule: one with every part filled sensibly has about 150
MOST_COUNTED = 1000
_INTERVALS = range(1, 1000)
# COUNT is looked for so far; further occurrences than this nobody plans.
_FARTHEST = 20 * 366  # days
# Every kind of year there is: leap or not, beginning on each weekday.
_KINDS_OF_YEAR = (*range(2000, 2028, 4), 2001, 2002, 2003, 2005, 2006, 2009, 2010)
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY = re.compile(rf"([+-]?[1-9][0-9]?)?({'|'.join(_WEEKDAYS)})")
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")
_UNTIL = re.compile(r"([0-9]{8})(?:T([0-9]{6})(Z?))?")

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]


class BadRule(ValueError):
    """The text is not a rule that can be used; the message says why and what is possible."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One RRULE. Empty parts say nothing. `until` without a zone is wall-clock time.

    `weekdays` are (n, weekday): the n-th such day of the month or year, from its end when n is negative,
    every one when n is 0; Monday is 0.
    """

    frequency: Frequency
    interval: int = 1
    count: int = 0
    until: datetime | None = None
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[tuple[int, int], ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0


def parse(text: str) -> Rule:
    """Read a rule such as `FREQ=WEEKLY;BYDAY=TU,TH`; raises BadRule."""
    if len(text) > LONGEST:
        raise BadRule(f"the rule has {len(text)} characters; at most {LONGEST} are read")
    found: dict[str, object] = {}
    for part in text.strip().upper().removeprefix("RRULE:").strip(";").split(";"):
        name, _, value = part.partition("=")
        if name not in _PARTS:
            raise BadRule(_unknown(name))
        field, read = _PARTS[name]
        if field in found:
            raise BadRule(f"{name} stands there twice")
        found[field] = read(name, value)
    if "frequency" not in found:
        raise BadRule(f"the rule must begin with FREQ=, one of {', '.join(get_args(Frequency))}")
    rule = Rule(**found)  # type: ignore[arg-type]
    _check(rule)
    return rule


def days(rule: Rule, first: date, since: date, until: date, *, endless: bool = False) -> Iterator[date]:
    """The days from `since` to `until` on which a rule that begins on `first` fires, in order.

    `endless`: as if it had always been going on, before `first` too and whatever COUNT says.
    """
    if not endless:
        since, until = max(since, first), min(until, _farthest(first))
        if rule.count:
            until = min(until, _last(rule, first))
    yield from _between(rule, first, since, until)


def _farthest(first: date) -> date:
    # The calendar's last week cannot be counted through: its days would leave it.
    return date.fromordinal(min(first.toordinal() + _FARTHEST, date.max.toordinal() - 7))


@functools.lru_cache(maxsize=1024)
def _last(rule: Rule, first: date) -> date:
    """The day on which COUNT is reached."""
    last = first - timedelta(days=1)
    for number, day in enumerate(_between(rule, first, first, _farthest(first)), start=1):
        last = day
        if number == rule.count:
            break
    return last


def _between(rule: Rule, first: date, since: date, until: date) -> Iterator[date]:
    for period in _PERIODS[rule.frequency](rule, first, since, until):
        chosen = [day for day in period if _fires(rule, first, day)]
        if rule.positions:
            size = len(chosen)
            places = sorted({n - 1 if n > 0 else size + n for n in rule.positions})
            chosen = [chosen[place] for place in places if 0 <= place < size]
        yield from (day for day in chosen if since <= day <= until)


def _fires(rule: Rule, first: date, day: date) -> bool:
    """Do the BY… parts take this day? Where none names days, those of the first day are meant."""
    unnamed = not rule.month_days and not rule.weekdays
    months = rule.months or ((first.month,) if rule.frequency == "YEARLY" and unnamed else ())
    if months and day.month not in months:
        return False
    if unnamed and rule.frequency == "WEEKLY":
        return day.weekday() == first.weekday()
    month_days = rule.month_days
    if unnamed and rule.frequency in ("MONTHLY", "YEARLY"):
        month_days = (first.day,)
    if month_days and not {day.day, day.day - 1 - _length(day)} & set(month_days):
        return False
    return not rule.weekdays or any(
        weekday == day.weekday() and (n == 0 or n in _places(rule, day)) for n, weekday in rule.weekdays
    )


def _places(rule: Rule, day: date) -> tuple[int, int]:
    """Which of its weekday a day is in its month or year, from the beginning and from the end."""
    if rule.frequency == "YEARLY" and not rule.months:
        place, size = day.timetuple().tm_yday, (date(day.year, 12, 31) - date(day.year, 1, 1)).days + 1
    else:
        place, size = day.day, _length(day)
    return (place - 1) // 7 + 1, -((size - place) // 7 + 1)


def _length(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def _daily(rule: Rule, first: date, since: date, until: date) -> Iterator[list[date]]:
    for number in _steps(first.toordinal(), since.toordinal(), until.toordinal(), rule.interval):
        yield [date.fromordinal(number)]


def _weekly(rule: Rule, first: date, since: date, until: date) -> Iterator[list[date]]:
    origin = first.toordinal() - (first.weekday() - rule.week_start) % 7
    for number in _steps(origin, since.toordinal(), until.toordinal(), 7 * rule.interval):
        yield [date.fromordinal(number + day) for day in range(7)]


def _monthly(rule: Rule, first: date, since: date, until: date) -> Iterator[list[date]]:
    def number(day: date) -> int:
        return day.year * 12 + day.month - 1

    for month in _steps(number(first), number(since), number(until), rule.interval):
        yield _month(month // 12, month % 12 + 1)


def _yearly(rule: Rule, first: date, since: date, until: date) -> Iterator[list[date]]:
    for year in _steps(first.year, since.year, until.year, rule.interval):
        yield [day for month in rule.months or range(1, 13) for day in _month(year, month)]


def _month(year: int, month: int) -> list[date]:
    return [date(year, month, day + 1) for day in range(monthrange(year, month)[1])]


def _steps(origin: int, since: int, until: int, step: int) -> range:
    """From the last step at or before `since` up to `until`."""
    return range(origin + (since - origin) // step * step, until + 1, step)


_PERIODS: dict[str, Callable[[Rule, date, date, date], Iterator[list[date]]]] = {
    "DAILY": _daily,
    "WEEKLY": _weekly,
    "MONTHLY": _monthly,
    "YEARLY": _yearly,
}


def _check(rule: Rule) -> None:
    if rule.count and rule.until:
        raise BadRule("COUNT and UNTIL exclude each other: name one")
    if rule.month_days and rule.frequency == "WEEKLY":
        raise BadRule("BYMONTHDAY means nothing in a week: use FREQ=MONTHLY")
    furthest = {"MONTHLY": 5, "YEARLY": 5 if rule.months else 53}.get(rule.frequency, 0)
    for n, weekday in rule.weekdays:
        if abs(n) > furthest:
            raise BadRule(f"BYDAY={n}{_WEEKDAYS[weekday]} never comes with FREQ={rule.frequency}")
    if not _comes(msgspec.structs.replace(rule, interval=1, count=0, until=None)):
        raise BadRule("the rule never fires: no day of any year is what its BY… parts ask for together")


@functools.lru_cache(maxsize=1024)
def _comes(rule: Rule) -> bool:
    """Is there a day in any year on which the rule fires, whenever it begins?"""
    years = (_between(rule, date(y, 1, 1), date(y, 1, 1), date(y, 12, 31)) for y in _KINDS_OF_YEAR)
    return any(next(fired, None) is not None for fired in years)


def _frequency(name: str, value: str) -> str:
    if value not in get_args(Frequency):
        raise BadRule(f"{name} must be one of {', '.join(get_args(Frequency))}")
    return value


def _one(allowed: range) -> Callable[[str, str], int]:
    def read(name: str, value: str) -> int:
        if not _NUMBER.fullmatch(value) or int(value) not in allowed:
            raise BadRule(f"{name} must be a number from {allowed[0]} to {allowed[-1]}")
        return int(value)

    return read


def _several(last: int, *, backwards: bool) -> Callable[[str, str], tuple[int, ...]]:
    def read(name: str, value: str) -> tuple[int, ...]:
        numbers = tuple(int(each) if _NUMBER.fullmatch(each) else 0 for each in value.split(","))
        if not all(number and abs(number) <= last and (backwards or number > 0) for number in numbers):
            signs = f" or -1 to -{last}" if backwards else ""
            raise BadRule(f"{name} must be numbers from 1 to {last}{signs}, with commas between them")
        return tuple(sorted(set(numbers)))

    return read


def _by_day(name: str, value: str) -> tuple[tuple[int, int], ...]:
    found = [_DAY.fullmatch(each) for each in value.split(",")]
    if not all(found):
        raise BadRule(f"{name} must be weekdays such as MO,TH or, in a month, 1MO for the first Monday")
    return tuple((int(each[1] or 0), _WEEKDAYS.index(each[2])) for each in found if each)


def _week_start(name: str, value: str) -> int:
    if value not in _WEEKDAYS:
        raise BadRule(f"{name} must be one of {', '.join(_WEEKDAYS)}")
    return _WEEKDAYS.index(value)


def _end(name: str, value: str) -> datetime:
    """A date alone means to the end of that day."""
    found = _UNTIL.fullmatch(value)
    day, clock, utc = found.groups() if found else ("", "", "")
    try:
        moment = datetime.strptime(f"{day}{clock or '235959'}", "%Y%m%d%H%M%S")  # noqa: DTZ007
    except ValueError:
        raise BadRule(f"{name} must be written like 20261231 or 20261231T230000Z") from None
    return moment.replace(tzinfo=UTC) if utc else moment


def _unknown(name: str) -> str:
    if name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        return f"{name} cannot be used: the time of day is that of the start"
    return f"{name[:20]!r} cannot be used in a rule; there are {', '.join(_PARTS)}"


_PARTS: dict[str, tuple[str, Callable[[str, str], object]]] = {
    "FREQ": ("frequency", _frequency),
    "INTERVAL": ("interval", _one(_INTERVALS)),
    "COUNT": ("count", _one(range(1, MOST_COUNTED + 1))),
    "UNTIL": ("until", _end),
    "BYMONTH": ("months", _several(12, backwards=False)),
    "BYMONTHDAY": ("month_days", _several(31, backwards=True)),
    "BYDAY": ("weekdays", _by_day),
    "BYSETPOS": ("positions", _several(366, backwards=True)),
    "WKST": ("week_start", _week_start),
}
