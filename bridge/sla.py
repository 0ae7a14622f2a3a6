"""SLA clocks, derived from an incident's facts: anybody can recompute them.

The contract: P1 is answered in 10 minutes and restored in 1 hour, around the clock; P2 has a plan in
24 hours and the fix in 2 weeks, in working time. Clocks start when opsbridge knew: when the incident
opened, or when an open one rose to the priority that makes the promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bridge.model import Clock, ClockState, Fact, Incident, Term

AT_RISK = 0.8
_KEPT_BY = {"respond": "acknowledged", "plan": "planned"}
_LONGEST_SEARCH = 3660  # days looked ahead for working time before giving up


@dataclass(frozen=True)
class Calendar:
    """When a clock runs. With no hours it always runs."""

    zone: ZoneInfo | None = None
    days: frozenset[int] = frozenset(range(7))
    opens: time | None = None
    closes: time | None = None
    is_workday: Callable[[date], bool] | None = None

    def open_on(self, day: date) -> bool:
        """Does the clock run on this day? Make-up workdays count, public holidays do not."""
        if self.is_workday is not None:
            return self.is_workday(day)
        return day.weekday() in self.days


class NoWorkingTime(ValueError):
    """The calendar has no hours at all within ten years: it can never be met."""


def due(
    start: datetime, seconds: float, calendar: Calendar, parts: Iterable[float] = (1.0,)
) -> list[datetime]:
    """When `seconds` of the calendar's time have passed since `start`, and for each part of it."""
    return [_passed(start, seconds * part, calendar) for part in parts]


def clocks(
    incident: Incident, facts: Sequence[Fact], calendars: Mapping[str, Calendar], now: datetime
) -> tuple[Clock, ...]:
    """Every clock of the incident as it stands at `now`."""
    start = started_at(incident, facts)
    if incident.muted_until is not None:
        start = max(start, incident.muted_until)  # nobody is called during planned maintenance
    return tuple(
        # An incident keeps its terms; a calendar that left the configuration meanwhile counts as always open.
        _clock(term, start, stopped_at(term.target, facts), calendars.get(term.calendar, Calendar()), now)
        for term in incident.terms
    )


def started_at(incident: Incident, facts: Sequence[Fact]) -> datetime:
    """When today's promises began: with the incident, its last rise while service was down, or unmuting."""
    start, restored = incident.opened_at, False
    for fact in facts:
        restored = fact.kind == "resolved" or (restored and fact.kind != "reopened")
        if fact.kind == "unmuted" or (not restored and _rises(fact)):
            start = fact.at
    return start


def stopped_at(target: str, facts: Sequence[Fact]) -> datetime | None:
    """The moment a promise was kept, from the timeline.

    Restoring service keeps every promise, and a reopening undoes that. A rise of an open incident asks
    for a new answer; a plan that was told stays told.
    """
    kept: datetime | None = None
    restored: datetime | None = None
    for fact in facts:
        if fact.kind == "resolved":
            restored = restored or fact.at
            kept = kept or (fact.at if target == "respond" else None)
        elif fact.kind == "reopened":
            restored = None
        elif fact.kind == _KEPT_BY.get(target):
            kept = kept or fact.at
        elif _rises(fact) and restored is None:
            kept = {"respond": None, "plan": kept and fact.at}.get(target)
    return min((at for at in (kept, restored) if at is not None), default=None)


def told(facts: Sequence[Fact]) -> frozenset[tuple[str, str, str]]:
    """Warnings that stand on the timeline, as (target, state, due): each is given once."""
    return frozenset(
        (fact.data["target"], fact.data["state"], fact.data["due_at"])
        for fact in facts
        if fact.kind == "clock"
    )


def warning(clock: Clock) -> tuple[str, str, str]:
    """What `told` remembers of a clock's warning."""
    return (clock.target, clock.state.value, clock.due_at.isoformat())


def _rises(fact: Fact) -> bool:
    return fact.kind == "priority_changed" and fact.data["to"] < fact.data["from"]


def _clock(term: Term, start: datetime, stopped: datetime | None, calendar: Calendar, now: datetime) -> Clock:
    warn_at, due_at = due(start, term.seconds, calendar, (AT_RISK, 1.0))
    end = stopped or now
    if end > due_at:
        state, next_at = ClockState.BREACHED, due_at  # until somebody was told, also when it was kept late
    elif stopped is not None:
        state, next_at = ClockState.MET, None
    elif now >= warn_at:
        state, next_at = ClockState.AT_RISK, due_at
    else:
        state, next_at = ClockState.RUNNING, warn_at
    return Clock(
        target=term.target, started_at=start, due_at=due_at, state=state, stopped_at=stopped, next_at=next_at
    )


def _passed(start: datetime, seconds: float, calendar: Calendar) -> datetime:
    start = start.astimezone(UTC)  # arithmetic in a zone's own time would skip or repeat its odd hour
    if calendar.opens is None or calendar.closes is None or calendar.zone is None:
        return start + timedelta(seconds=seconds)
    left = timedelta(seconds=seconds)
    day = start.astimezone(calendar.zone).date()
    for _ in range(_LONGEST_SEARCH):
        if calendar.open_on(day):
            opens = datetime.combine(day, calendar.opens, calendar.zone).astimezone(UTC)
            closes = datetime.combine(day, calendar.closes, calendar.zone).astimezone(UTC)
            begin = max(opens, start)
            if begin < closes:
                if left <= closes - begin:
                    return begin + left
                left -= closes - begin
        day += timedelta(days=1)
    raise NoWorkingTime("the calendar has no working time in ten years")
