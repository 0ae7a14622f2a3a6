"""Recurrence rules: read strictly, and firing on the days on which python-dateutil says they do."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile

import pytest
from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bridge.recurrence import BadRule, days, parse

FIRST = date(2026, 11, 25)  # a Wednesday
FAR = date(2031, 11, 25)


def fires(rule: str, first: date = FIRST, most: int = 5) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in islice(days(parse(rule), first, first, FAR), most)]


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("FREQ=DAILY;INTERVAL=3", ["2026-11-25", "2026-11-28", "2026-12-01"]),
        ("FREQ=WEEKLY", ["2026-11-25", "2026-12-02", "2026-12-09"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH", ["2026-11-26", "2026-12-07", "2026-12-10"]),
        ("FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=1", ["2026-11-30", "2026-12-07", "2026-12-14"]),
        ("FREQ=MONTHLY", ["2026-11-25", "2026-12-25", "2027-01-25"]),
        ("FREQ=MONTHLY;BYDAY=1TU", ["2026-12-01", "2027-01-05", "2027-02-02"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-11-27", "2026-12-25", "2027-01-29"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["2026-11-30", "2026-12-31", "2027-01-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-12-31", "2027-01-31", "2027-03-31"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-11-30", "2026-12-31", "2027-01-29"]),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", ["2027-08-13", "2028-10-13", "2029-04-13"]),
        ("FREQ=YEARLY", ["2026-11-25", "2027-11-25", "2028-11-25"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29"]),
        ("FREQ=YEARLY;BYDAY=-1SU", ["2026-12-27", "2027-12-26", "2028-12-31"]),
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", ["2027-03-28", "2028-03-26", "2029-03-25"]),
        ("FREQ=DAILY;COUNT=2", ["2026-11-25", "2026-11-26"]),
        ("rrule:freq=daily;byday=mo;count=2;", ["2026-11-30", "2026-12-07"]),
        ("FREQ=MONTHLY;BYDAY=MO,1TU;COUNT=3", ["2026-11-30", "2026-12-01", "2026-12-07"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", []),
    ],
)
def test_a_rule_fires_on_these_days(rule, wanted):
    assert fires(rule, most=3) == wanted


@pytest.mark.parametrize(("start", "wanted"), [("MO", [5, 10, 19, 24]), ("SU", [5, 17, 19, 31])])
def test_the_day_on_which_weeks_begin_matters_as_the_standard_shows(start, wanted):
    rule = parse(f"FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST={start}")
    first = date(1997, 8, 5)
    assert [day.day for day in days(rule, first, first, date(1997, 12, 31))] == wanted


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "'' cannot be used in a rule; there are FREQ, INTERVAL"),
        ("INTERVAL=2", "must begin with FREQ="),
        ("FREQ=SECONDLY", "one of DAILY, WEEKLY, MONTHLY, YEARLY"),
        ("FREQ=MINUTELY;INTERVAL=1", "one of DAILY"),
        ("FREQ=DAILY;INTERVAL=0", "from 1 to 999"),
        ("FREQ=DAILY;INTERVAL=-1", "from 1 to 999"),
        ("FREQ=DAILY;INTERVAL=1e9", "from 1 to 999"),
        ("FREQ=DAILY;INTERVAL=٣", "from 1 to 999"),
        ("FREQ=DAILY;INTERVAL=99999999999999999999", "from 1 to 999"),
        ("FREQ=DAILY;COUNT=0", "from 1 to 1000"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "exclude each other"),
        ("FREQ=DAILY;UNTIL=yesterday", "like 20261231"),
        ("FREQ=DAILY;UNTIL=20261399", "like 20261231"),
        ("FREQ=DAILY;UNTIL=99999999T999999Z", "like 20261231"),
        ("FREQ=DAILY;FREQ=WEEKLY", "twice"),
        ("FREQ=DAILY;BYHOUR=1,2,3", "time of day is that of the start"),
        ("FREQ=DAILY;BYSECOND=0", "time of day is that of the start"),
        ("FREQ=DAILY;BYEASTER=1", "'BYEASTER' cannot be used"),
        ("FREQ=DAILY\nRDATE:20270101", "one of DAILY"),
        ("FREQ=WEEKLY;BYDAY=XX", "weekdays such as MO,TH"),
        ("FREQ=WEEKLY;BYDAY=0MO", "weekdays such as MO,TH"),
        ("FREQ=WEEKLY;BYDAY=1MO", "never comes with FREQ=WEEKLY"),
        ("FREQ=MONTHLY;BYDAY=6MO", "never comes with FREQ=MONTHLY"),
        ("FREQ=YEARLY;BYMONTH=2;BYDAY=20MO", "never comes with FREQ=YEARLY"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "use FREQ=MONTHLY"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "from 1 to 31 or -1 to -31"),
        ("FREQ=MONTHLY;BYMONTH=-1", "from 1 to 12, with"),
        ("FREQ=MONTHLY;BYSETPOS=0", "from 1 to 366"),
        ("FREQ=WEEKLY;WKST=1", "one of MO"),
        ("FREQ=DAILY;" * 1000, "11000 characters"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never fires"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;INTERVAL=2", "never fires"),
        ("FREQ=MONTHLY;BYMONTH=4,6;BYMONTHDAY=31;COUNT=2", "never fires"),
        ("FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=15", "never fires"),
        ("FREQ=WEEKLY;BYSETPOS=9", "never fires"),
        ("FREQ=YEARLY;BYDAY=53MO;BYMONTHDAY=1", "never fires"),
    ],
)
def test_what_cannot_be_used_is_refused_in_plain_words(rule, said):
    with pytest.raises(BadRule) as refused:
        parse(rule)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",  # every 28 years
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU",
        "FREQ=YEARLY;BYDAY=MO;BYSETPOS=53;BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12",  # a Monday to begin with
        "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=366",
        "FREQ=YEARLY;UNTIL=19990101",
    ],
)
def test_a_rule_that_seldom_fires_is_taken(rule):
    assert parse(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=3",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO;COUNT=1000",
    ],
)
def test_a_rule_that_does_not_fire_costs_no_more_than_the_range_that_is_asked_for(rule):
    started = time.process_time()
    assert fires(rule) == []
    # python-dateutil takes between 0.2 and 3 seconds for them.
    assert time.process_time() - started < 0.2


def test_without_end_a_rule_fires_before_its_first_day_too():
    rule = parse("FREQ=WEEKLY;INTERVAL=2;COUNT=1")
    assert list(days(rule, FIRST, FIRST - timedelta(days=30), FIRST)) == [FIRST]
    everlasting = days(rule, FIRST, FIRST - timedelta(days=30), FIRST + timedelta(days=15), endless=True)
    assert [(day - FIRST).days for day in everlasting] == [-28, -14, 0, 14]


def test_until_is_the_end_of_its_day_or_a_moment():
    assert parse("FREQ=DAILY;UNTIL=20261231").until == datetime(2026, 12, 31, 23, 59, 59)
    assert parse("FREQ=DAILY;UNTIL=20261231T010000").until == datetime(2026, 12, 31, 1)
    assert parse("FREQ=DAILY;UNTIL=20261231T010000Z").until == datetime(2026, 12, 31, 1, tzinfo=UTC)


def some(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(strategy, min_size=1, max_size=3, unique=True).map(",".join)


WEEKDAY = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])
NTH = st.builds("{}{}".format, st.sampled_from([1, 2, 5, -1, -2]), WEEKDAY)
FIELDS = {
    "INTERVAL": st.integers(1, 5).map(str),
    "BYMONTH": some(st.integers(1, 12).map(str)),
    "BYMONTHDAY": some(st.sampled_from([1, 2, 15, 28, 29, 30, 31, -1, -3]).map(str)),
    "BYDAY": some(WEEKDAY),
    "BYSETPOS": some(st.sampled_from([1, 2, -1, -2]).map(str)),
    "WKST": WEEKDAY,
    "COUNT": st.integers(1, 40).map(str),
}


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    names = draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True, max_size=4))
    # The one means nothing; of the other, dateutil takes the first week for shorter than it is.
    assume(frequency != "WEEKLY" or not {"BYMONTHDAY", "BYSETPOS"} & set(names))
    parts = [f"{name}={draw(FIELDS[name])}" for name in names if name != "BYDAY"]
    if "BYDAY" in names:
        nth = frequency in ("MONTHLY", "YEARLY") and draw(st.booleans())
        parts.append(f"BYDAY={draw(some(NTH) if nth else FIELDS['BYDAY'])}")
    text = ";".join([f"FREQ={frequency}", *parts])
    try:
        parse(text)
    except BadRule as error:
        assume("never fires" not in str(error))
    return text


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# At the end of the calendar python-dateutil ends too, when it looks for what never comes.
@given(rules(), st.dates(date(9988, 1, 1), date(9996, 12, 31)))
def test_days_are_those_of_dateutil(text, first):
    until = first + timedelta(days=900)
    mine = list(days(parse(text), first, first, until))
    start = datetime(first.year, first.month, first.day, 2)
    end = datetime(until.year, until.month, until.day, 2)
    others = [
        moment.date() for moment in takewhile(lambda moment: moment <= end, rrulestr(text, dtstart=start))
    ]
    assert mine == others
    middle = first + timedelta(days=431)
    assert list(days(parse(text), first, middle, until)) == [day for day in mine if day >= middle]
