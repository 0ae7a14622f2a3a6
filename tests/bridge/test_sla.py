"""Clocks: when a promise is due, met, at risk and broken; in working time, across holidays and DST."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config.build import workdays
from bridge.model import Actor, Alert, ClockState, Fact, Incident, Policy, Priority, Status, Term
from bridge.sla import Calendar, NoWorkingTime, clocks, due, stopped_at

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
WEEK = frozenset(range(5))
ALWAYS = Calendar()
OFFICE = Calendar(SHANGHAI, WEEK, time(9), time(18), workdays("CN", WEEK))
NINE_TO_SIX = Calendar(BERLIN, WEEK, time(9), time(18))
NIGHTS = Calendar(BERLIN, frozenset(range(7)), time(1), time(4))
CALENDARS = {"always": ALWAYS, "office": OFFICE}
HOUR = 3600.0
DAY = 9 * HOUR  # a working day of 09:00-18:00
OPENED = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
P1 = (
    Term(target="respond", seconds=600, calendar="always"),
    Term(target="restore", seconds=3600, calendar="always"),
)
LI = Actor("li", "console")


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def minute(number: float) -> datetime:
    return OPENED + timedelta(minutes=number)


def fact(kind: str, at: float, **data: str) -> Fact:
    return Fact(at=minute(at), kind=kind, by=LI, data=dict(data))


def rose(at: float, before: str, after: str) -> Fact:
    return fact("priority_changed", at, **{"from": before, "to": after})


def incident(terms: tuple[Term, ...] = P1) -> Incident:
    alert = Alert(source="am", fingerprint="f", starts_at=OPENED)
    return Incident(
        number=1,
        key="k",
        status=Status.TRIGGERED,
        priority=Priority.P1,
        client="",
        service="",
        title="t",
        began_at=alert.starts_at,
        opened_at=OPENED,
        rule="r",
        rules_version="v",
        policy=Policy(name="page"),
        terms=terms,
    )


def state(now: float, *facts: Fact, target: str = "respond", terms: tuple[Term, ...] = P1) -> ClockState:
    found = clocks(incident(terms), facts, CALENDARS, minute(now))
    return next(clock.state for clock in found if clock.target == target)


# States


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(0, "running", id="just opened"),
        pytest.param(7.99, "running", id="before 80 %"),
        pytest.param(8, "at_risk", id="80 % of 10 minutes is minute 8"),
        pytest.param(10, "at_risk", id="due this instant is not broken"),
        pytest.param(10 + 1 / 60_000_000, "breached", id="a microsecond after due is"),
    ],
)
def test_an_unanswered_p1_is_at_risk_from_80_percent_and_broken_after_due(now: float, expected: str) -> None:
    assert state(now) == expected


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        pytest.param(0, "met", id="at once"),
        pytest.param(9.99, "met", id="within"),
        pytest.param(10, "met", id="in the same instant"),
        pytest.param(10 + 1 / 60_000_000, "breached", id="a microsecond late"),
    ],
)
def test_a_stopped_clock_is_met_until_due_and_broken_after(answered: float, expected: str) -> None:
    assert state(60, fact("acknowledged", answered)) == expected


def test_a_clock_says_when_to_look_again() -> None:
    first = clocks(incident(), (), CALENDARS, minute(1))[0]
    assert (first.due_at, first.next_at) == (minute(10), minute(8))
    assert clocks(incident(), (), CALENDARS, minute(8))[0].next_at == minute(10)
    assert clocks(incident(), (), CALENDARS, minute(11))[0].next_at == minute(10), "until somebody was told"
    assert clocks(incident(), (fact("acknowledged", 2),), CALENDARS, minute(8))[0].next_at is None


def test_a_calendar_that_left_the_configuration_counts_as_always_open() -> None:
    (clock,) = clocks(incident((Term(target="fix", seconds=60, calendar="gone"),)), (), {}, OPENED)
    assert clock.due_at == minute(1)


# What stops a clock


@pytest.mark.parametrize(
    ("target", "facts", "stopped"),
    [
        pytest.param("respond", [], None, id="nothing happened"),
        pytest.param("respond", [fact("noted", 1)], None, id="a note is no answer"),
        pytest.param("respond", [fact("acknowledged", 3)], 3, id="answered"),
        pytest.param("respond", [fact("resolved", 3)], 3, id="restored before anybody answered"),
        pytest.param(
            "respond",
            [fact("acknowledged", 3), fact("resolved", 5), fact("reopened", 6), fact("acknowledged", 7)],
            3,
            id="the first answer counts, also after reopening",
        ),
        pytest.param("restore", [fact("acknowledged", 3)], None, id="an answer restores nothing"),
        pytest.param("restore", [fact("resolved", 5)], 5, id="restored"),
        pytest.param("restore", [fact("resolved", 5), fact("reopened", 6)], None, id="reopened: it runs on"),
        pytest.param(
            "restore",
            [fact("resolved", 5), fact("reopened", 6), fact("resolved", 9)],
            9,
            id="the last end counts",
        ),
        pytest.param(
            "restore", [fact("resolved", 5), fact("closed", 8)], 5, id="closing later changes nothing"
        ),
        pytest.param("plan", [fact("planned", 4), fact("planned", 9)], 4, id="the first plan"),
        pytest.param("plan", [fact("resolved", 5)], 5, id="what is fixed needs no plan"),
        pytest.param("plan", [fact("resolved", 5), fact("reopened", 6)], None, id="until it comes back"),
        pytest.param(
            "plan", [fact("planned", 2), fact("resolved", 5), fact("reopened", 6)], 2, id="a plan stays"
        ),
        pytest.param("fix", [fact("planned", 4)], None, id="a plan fixes nothing"),
        pytest.param("fix", [fact("planned", 4), fact("resolved", 9)], 9, id="fixed"),
        pytest.param(
            "respond", [fact("acknowledged", 3), rose(5, "P2", "P1")], None, id="a rise wants a new answer"
        ),
        pytest.param("respond", [fact("acknowledged", 3), rose(5, "P1", "P2")], 3, id="a fall does not"),
        pytest.param("respond", [fact("resolved", 3), rose(5, "P2", "P1")], 3, id="nor a rise in hindsight"),
        pytest.param(
            "plan", [fact("planned", 3), rose(5, "P3", "P2")], 5, id="the plan is there when it rises"
        ),
    ],
)
def test_the_moment_a_promise_was_kept_follows_from_the_timeline(
    target: str, facts: list[Fact], stopped: float | None
) -> None:
    assert stopped_at(target, facts) == (None if stopped is None else minute(stopped))


def test_a_promise_that_came_with_a_rise_counts_from_the_rise() -> None:
    three_hours = 180
    facts = (fact("acknowledged", 30), rose(three_hours, "P3", "P1"))
    respond, restore = clocks(incident(), facts, CALENDARS, minute(three_hours))
    assert (respond.state, restore.state) == ("running", "running"), "not broken before it was made"
    assert (respond.due_at, restore.due_at) == (minute(three_hours + 10), minute(three_hours + 60))


def test_a_rise_after_service_was_restored_is_measured_in_hindsight() -> None:
    facts = (fact("resolved", 90), rose(95, "P3", "P1"))
    assert state(100, *facts, target="restore") == "breached"  # 90 minutes against one hour


# Working time


@pytest.mark.parametrize(
    ("start", "seconds", "calendar", "expected"),
    [
        pytest.param(
            "2026-11-14T03:00", HOUR, ALWAYS, "2026-11-14T04:00", id="always: nights and Saturdays too"
        ),
        pytest.param("2026-11-18T10:00", HOUR, OFFICE, "2026-11-18T11:00", id="within the day"),
        pytest.param("2026-11-18T17:30", HOUR, OFFICE, "2026-11-19T09:30", id="30 min today, 30 tomorrow"),
        pytest.param("2026-11-18T17:00", HOUR, OFFICE, "2026-11-18T18:00", id="due at closing time"),
        pytest.param("2026-11-18T18:00", HOUR, OFFICE, "2026-11-19T10:00", id="opened at closing time"),
        pytest.param("2026-11-18T07:00", HOUR, OFFICE, "2026-11-18T10:00", id="opened before work"),
        pytest.param("2026-11-20T17:30", HOUR, OFFICE, "2026-11-23T09:30", id="Friday evening to Monday"),
        # 24 h of 9 h days: 8 + 9 on Wednesday (from 10:00) and Thursday, 7 on Friday: 09:00 + 7
        pytest.param(
            "2026-11-18T10:00", 24 * HOUR, OFFICE, "2026-11-20T16:00", id="P2 plan: 24 working hours"
        ),
        # Spring Festival 2026: off from Sunday the 15th to Monday the 23rd of February
        pytest.param("2026-02-14T17:00", 2 * HOUR, OFFICE, "2026-02-24T10:00", id="over Spring Festival"),
        pytest.param(
            "2026-02-13T17:00", 2 * HOUR, OFFICE, "2026-02-14T10:00", id="Saturday 14 February is worked"
        ),
        pytest.param(
            "2026-02-27T17:00", 2 * HOUR, OFFICE, "2026-02-28T10:00", id="Saturday 28 February is worked"
        ),
        # National Day: off 1-7 October; Saturday the 10th is worked
        pytest.param("2026-09-30T17:00", 2 * HOUR, OFFICE, "2026-10-08T10:00", id="over National Day"),
        pytest.param(
            "2026-10-09T17:00", 2 * HOUR, OFFICE, "2026-10-10T10:00", id="Saturday 10 October is worked"
        ),
        # New Year: off 1-3 January; Sunday the 4th is worked
        pytest.param(
            "2025-12-31T17:00", 2 * HOUR, OFFICE, "2026-01-04T10:00", id="over the turn of the year"
        ),
    ],
)
def test_due_counts_only_time_of_the_calendar(
    start: str, seconds: float, calendar: Calendar, expected: str
) -> None:
    assert due(shanghai(start), seconds, calendar) == [shanghai(expected)]


@pytest.mark.parametrize(
    ("day", "works"),
    [
        pytest.param("2026-02-13", True, id="an ordinary Friday"),
        pytest.param("2026-02-14", True, id="Saturday, made up for 20 February"),
        pytest.param("2026-02-15", False, id="Sunday, the festival's first day off"),
        pytest.param("2026-02-16", False, id="New Year's Eve"),
        pytest.param("2026-02-17", False, id="New Year"),
        pytest.param("2026-02-20", False, id="day off"),
        pytest.param("2026-02-23", False, id="day off"),
        pytest.param("2026-02-24", True, id="back to work"),
        pytest.param("2026-02-28", True, id="Saturday, made up for 23 February"),
        pytest.param("2026-03-01", False, id="an ordinary Sunday"),
        pytest.param("2026-05-09", True, id="Saturday, made up for 5 May"),
        pytest.param("2026-09-20", True, id="Sunday, made up for 6 October"),
        pytest.param("2025-01-26", True, id="Sunday, made up in the year before"),
    ],
)
def test_chinese_working_days_are_those_the_state_council_announced(day: str, *, works: bool) -> None:
    assert OFFICE.open_on(date.fromisoformat(day)) is works


@pytest.mark.parametrize("backwards", [False, True], ids=["asked forwards", "asked backwards"])
def test_working_days_do_not_depend_on_which_year_was_asked_first(*, backwards: bool) -> None:
    is_workday = workdays("CN", WEEK)
    assert is_workday is not None
    days = [date(2025, 12, 27) + timedelta(days=number) for number in range(12)]
    worked = {day for day in (reversed(days) if backwards else days) if is_workday(day)}
    # Saturday 27 and Sunday 28 December, 1-3 January off; Sunday the 4th worked
    assert sorted(day.day for day in worked) == [4, 5, 6, 7, 29, 30, 31]


def test_a_calendar_with_own_days_keeps_them_in_a_country_without_make_up_days() -> None:
    six_days = Calendar(BERLIN, frozenset(range(6)), time(9), time(18), workdays("DE", frozenset(range(6))))
    assert six_days.open_on(date(2026, 11, 14)), "Saturday"
    assert not six_days.open_on(date(2026, 12, 25)), "Christmas"


# Summer time


@pytest.mark.parametrize(
    ("start", "seconds", "calendar", "expected"),
    [
        # 27 March 2026 is a Friday, summer time begins on Sunday the 29th
        pytest.param("2026-03-27T17:30", HOUR, NINE_TO_SIX, "2026-03-30T09:30", id="office hours, spring"),
        pytest.param("2026-10-23T17:30", HOUR, NINE_TO_SIX, "2026-10-26T09:30", id="office hours, autumn"),
        # 01:00-04:00 on the short night is two hours long: 2 + 1 on the next night
        pytest.param(
            "2026-03-29T01:00", 3 * HOUR, NIGHTS, "2026-03-30T02:00", id="the missing hour is not worked"
        ),
        # and on the long night four hours
        pytest.param("2026-10-25T01:00", 4 * HOUR, NIGHTS, "2026-10-25T04:00", id="the repeated hour is"),
        pytest.param(
            "2026-03-29T01:00", 2 * HOUR, ALWAYS, "2026-03-29T04:00", id="always: two real hours, spring"
        ),
        pytest.param(
            "2026-10-25T01:00", 2 * HOUR, ALWAYS, "2026-10-25T02:00", id="always: two real hours, autumn"
        ),
    ],
)
def test_clocks_count_real_time_across_both_changes_of_the_clock(
    start: str, seconds: float, calendar: Calendar, expected: str
) -> None:
    fold = 1 if (start, expected) == ("2026-10-25T01:00", "2026-10-25T02:00") else 0
    wanted = berlin(expected).replace(fold=fold).astimezone(UTC)
    assert due(berlin(start), seconds, calendar) == [wanted], "told in local time"
    assert due(berlin(start).astimezone(UTC), seconds, calendar) == [wanted], "told in UTC"


# Properties

moments = st.datetimes(datetime(2025, 1, 1), datetime(2026, 11, 1)).map(
    lambda found: found.replace(tzinfo=UTC)
)
lengths = st.integers(1, int(10 * DAY)).map(float)
calendars = st.sampled_from([ALWAYS, OFFICE, NINE_TO_SIX, NIGHTS])


@given(moments, lengths, calendars)
def test_nothing_is_due_before_its_time_has_passed(
    start: datetime, seconds: float, calendar: Calendar
) -> None:
    assert due(start, seconds, calendar)[0] - start >= timedelta(seconds=seconds)


@given(moments, lengths, lengths, calendars)
def test_more_time_is_never_due_earlier_and_two_parts_make_the_whole(
    start: datetime, first: float, second: float, calendar: Calendar
) -> None:
    (middle,) = due(start, first, calendar)
    (end,) = due(start, first + second, calendar)
    assert start < middle < end
    assert due(middle, second, calendar) == [end]


@given(moments, lengths, st.integers(0, 10**7), calendars)
def test_no_clock_is_broken_early(start: datetime, seconds: float, passed: int, calendar: Calendar) -> None:
    from msgspec.structs import replace

    found = replace(incident((Term(target="fix", seconds=seconds, calendar="c"),)), opened_at=start)
    now = start + timedelta(seconds=passed)
    (clock,) = clocks(found, (), {"c": calendar}, now)
    assert (clock.state is ClockState.BREACHED) is (now > clock.due_at)
    assert clock.next_at is not None
    assert clock.next_at >= now or clock.state in (ClockState.RUNNING, ClockState.BREACHED)


def test_a_calendar_without_any_working_time_says_so() -> None:
    with pytest.raises(NoWorkingTime):
        due(OPENED, 1, Calendar(BERLIN, frozenset(), time(9), time(18)))
