"""Maintenance windows: when they are on, and whom they spare.

A window names a client, matchers or both, and a time: once, or again and again by a recurrence rule in
a time zone, so that 02:00 stays 02:00 when clocks change. The length is real time: two hours are two
hours in every night. Where 02:30 does not exist, it is as long after midnight as it would have been;
where it exists twice, the first is meant.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from bridge import recurrence
from bridge.matchers import BadMatcher, Matcher, parse
from bridge.text import one_line, storable

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=30)
MOST_MATCHERS = 20
LONGEST_MATCHER = 1000  # characters
LONGEST_REASON = 2000
# Plans further away than this are slips of the pen: 2062 for 2026.
_FAR = timedelta(days=2 * 366)
# A rule that fires on 29 February is silent for four years.
_SEARCHED = timedelta(days=5 * 366)
_MOST_COMPARED = 2000
_MOST_CHAINED = 50
_DAY = timedelta(days=1)

Standing = Literal["on", "coming", "over", "cancelled"]


class BadWindow(ValueError):
    """The window cannot be used; the message tells the person who planned it what to change."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Planned work. Alerts of `client` (any, when empty) that match page nobody while it is on.

    `seconds` is the length of each occurrence; `rrule` is empty for a window that comes once. `id` is 0
    before it is stored.
    """

    id: int = 0
    name: str
    client: str = ""
    match: tuple[Matcher, ...] = ()
    starts_at: datetime
    seconds: int
    rrule: str = ""
    time_zone: str = "UTC"
    reason: str = ""
    by: str = ""
    created_at: datetime
    cancelled_at: datetime | None = None
    cancelled_by: str = ""

    @property
    def length(self) -> timedelta:
        """How long each occurrence is."""
        return timedelta(seconds=self.seconds)

    def covers(self, labels: Mapping[str, str], client: str) -> bool:
        """Is an alert with these labels, of this client, one of those it mutes?"""
        return self.client in ("", client) and all(matcher.matches(labels) for matcher in self.match)


class Occurrence(msgspec.Struct, frozen=True):
    """One time at which a window is on; it ends before `ends_at`."""

    starts_at: datetime
    ends_at: datetime


def made(
    *,
    name: str,
    client: str,
    match: Sequence[str],
    starts_at: str,
    seconds: int,
    rrule: str,
    time_zone: str,
    reason: str,
    by: str,
    now: datetime,
) -> Window:
    """A window from what a person wrote; raises BadWindow."""
    zone = _zone(time_zone)
    window = Window(
        name=storable(one_line(name)),
        client=client,
        match=_matchers(match),
        starts_at=_moment(starts_at, zone),
        seconds=seconds,
        rrule=rrule.strip().upper().removeprefix("RRULE:"),
        time_zone=time_zone,
        reason=storable(reason.strip()[:LONGEST_REASON]),
        by=by,
        created_at=now,
    )
    _check(window, now)
    return window


def _check(window: Window, now: datetime) -> None:
    if not window.name:
        raise BadWindow("name: say in a few words what is done")
    if not window.client and not window.match:
        raise BadWindow(
            "match: without a client and without a matcher it would mute everything of everybody; "
            'if that is meant, write alertname=~".*"'
        )
    if not SHORTEST.total_seconds() <= window.seconds <= LONGEST.total_seconds():
        raise BadWindow("length: a window lasts from 1 minute to 30 days")
    if abs(window.starts_at - now) > _FAR:
        raise BadWindow("starts_at: more than two years from now")
    if window.rrule:
        _check_rule(window)
    if following(window, now) is None:
        raise BadWindow("starts_at: the window would be over already")


def occurrences(
    window: Window, since: datetime, until: datetime, *, endless: bool = False
) -> Iterator[Occurrence]:
    """When the window is on between two moments, in order; what began before and still is on counts.

    `endless`: as if a recurring window had always been there, and for ever.
    """
    starts: Iterable[datetime] = (window.starts_at,)
    if window.rrule:
        starts = _starts(window, since - window.length, until, endless=endless)
    for start in starts:
        if start < until and start + window.length > since:
            yield Occurrence(start, start + window.length)


def upcoming(window: Window, now: datetime, most: int) -> tuple[Occurrence, ...]:
    """The next occurrences, the one that is on now first; none further away than five years.

    A cancelled window has none.
    """
    if window.cancelled_at is not None:
        return ()
    return tuple(islice(occurrences(window, now, now + _SEARCHED), most))


def following(window: Window, now: datetime) -> Occurrence | None:
    """The occurrence that is on now, else the next one; None when there is none any more."""
    return next(iter(upcoming(window, now, 1)), None)


def standing(window: Window, now: datetime) -> Standing:
    """Where the window stands at a moment."""
    if window.cancelled_at is not None:
        return "cancelled"
    occurrence = following(window, now)
    if occurrence is None:
        return "over"
    return "on" if occurrence.starts_at <= now else "coming"


def muted_until(
    windows: Iterable[Window], labels: Mapping[str, str], client: str, now: datetime
) -> datetime | None:
    """Until when an alert of a client pages nobody; None when no window that covers it is on.

    A window that begins before another one ends goes on with it.
    """
    covering = [window for window in windows if window.covers(labels, client)]
    until: datetime | None = None
    for _ in range(_MOST_CHAINED):
        ends = [end for window in covering if (end := _ends(window, until or now)) is not None]
        if not ends:
            break
        until = max(ends)
    return until


def all_muted_until(
    windows: Collection[Window], alerts: Iterable[Mapping[str, str]], client: str, now: datetime
) -> datetime | None:
    """Until when an incident of these alerts pages nobody: until the first of them may page again."""
    ends = [muted_until(windows, labels, client, now) for labels in alerts]
    return min((end for end in ends if end), default=None) if all(ends) else None


@functools.lru_cache(maxsize=4096)
def _ends(window: Window, now: datetime) -> datetime | None:
    """When the occurrence that is on ends. Remembered: a delivery asks for each of its alerts."""
    if window.cancelled_at is not None:
        return None
    on = (found.ends_at for found in occurrences(window, now, now + timedelta(microseconds=1)))
    return max(on, default=None)


def _starts(window: Window, since: datetime, until: datetime, *, endless: bool) -> Iterator[datetime]:
    zone = ZoneInfo(window.time_zone)
    rule = _rule(window.rrule)
    first = window.starts_at.astimezone(zone)
    clock = first.time().replace(fold=0)
    # A day more on both sides: the day is another one in another zone.
    from_day, to_day = (since.astimezone(zone) - _DAY).date(), (until.astimezone(zone) + _DAY).date()
    for day in recurrence.days(rule, first.date(), from_day, to_day, endless=endless):
        wall = datetime.combine(day, clock, zone)
        if rule.until is not None and not endless and _is_later(wall, rule.until):
            return
        # The first one is told as a moment, which may be the second 02:30 of a night.
        yield window.starts_at if day == first.date() else wall.astimezone(UTC)


def _is_later(wall: datetime, until: datetime) -> bool:
    """UNTIL without a zone is wall-clock time."""
    return wall.replace(tzinfo=None) > until if until.tzinfo is None else wall.astimezone(UTC) > until


@functools.lru_cache(maxsize=1024)
def _rule(text: str) -> recurrence.Rule:
    return recurrence.parse(text)


def _check_rule(window: Window) -> None:
    try:
        _rule(window.rrule)
    except recurrence.BadRule as error:
        raise BadWindow(f"rrule: {error}") from error
    search = occurrences(window, window.starts_at, window.starts_at + _SEARCHED)
    found = list(islice(search, _MOST_COMPARED))
    if not found:
        raise BadWindow("rrule: it does not fire once within five years of the start")
    for one, next_one in pairwise(found):
        if next_one.starts_at <= one.ends_at:
            raise BadWindow(
                f"length: the occurrence of {_local(window, one)} would not be over "
                f"when the next one begins, {_local(window, next_one)}"
            )


def _local(window: Window, occurrence: Occurrence) -> str:
    return f"{occurrence.starts_at.astimezone(ZoneInfo(window.time_zone)):%Y-%m-%d %H:%M}"


def _matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    given = [text.strip() for text in texts if text.strip()]
    if len(given) > MOST_MATCHERS or any(len(text) > LONGEST_MATCHER for text in given):
        raise BadWindow(f"match: at most {MOST_MATCHERS} matchers of {LONGEST_MATCHER} characters")
    try:
        return tuple(parse(storable(text)) for text in given)
    except BadMatcher as error:
        raise BadWindow(f"match: {error}") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadWindow(f"time_zone: there is no zone {one_line(name, 60)!r}; one is Europe/Berlin") from None


def _moment(text: str, zone: ZoneInfo) -> datetime:
    """A time with its offset, or wall-clock time of the zone."""
    try:
        told = datetime.fromisoformat(text.strip())
        moment = told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadWindow("starts_at: write the start like 2026-01-31T02:00") from None
    if told.tzinfo is None and moment.astimezone(zone).replace(tzinfo=None) != told:
        raise BadWindow(f"starts_at: clocks change in {zone.key}, there is no {told:%H:%M} on that day")
    return moment
