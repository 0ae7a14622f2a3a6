"""Maintenance windows: when they are on in their zone, whom they mute, and which are refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from bridge import maintenance
from bridge.maintenance import BadWindow, made
from tests.conftest import START

USUAL = {
    "name": "Database upgrade",
    "client": "acme",
    "match": ['service="payments"'],
    "starts_at": "2026-11-26T02:00",
    "seconds": 7200,
    "rrule": "",
    "time_zone": "Europe/Berlin",
    "reason": "CHG-7",
    "by": "li",
    "now": START,
}
PAYMENTS = {"alertname": "Down", "service": "payments"}


def window(**given):
    return made(**USUAL | given)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_window_is_what_the_person_wrote():
    found = window(match=['service="payments"', "", '  gateway =~ "ali.*" '], name=" Database\n upgrade ")
    assert found.name == "Database upgrade"
    assert [str(matcher) for matcher in found.match] == ['service="payments"', 'gateway=~"ali.*"']
    assert found.starts_at == utc("2026-11-26T01:00")
    assert (found.by, found.created_at, found.cancelled_at) == ("li", START, None)
    assert window(starts_at="2026-11-26T02:00Z").starts_at == utc("2026-11-26T02:00")
    assert window(rrule=" rrule:freq=daily ").rrule == "FREQ=DAILY"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": " \n "}, "name: say in a few words"),
        ({"client": "", "match": []}, "everything of everybody"),
        ({"client": "", "match": ["", " "]}, "everything of everybody"),
        ({"match": ["service payments"]}, "match: 'service payments' is not a matcher"),
        ({"match": ['a=~"("']}, "not a regular expression"),
        ({"match": ['a="b"'] * 21}, "at most 20 matchers"),
        ({"match": ['a="' + "b" * 1000 + '"']}, "at most 20 matchers of 1000"),
        ({"seconds": 59}, "from 1 minute to 30 days"),
        ({"seconds": 0}, "from 1 minute"),
        ({"seconds": -7200}, "from 1 minute"),
        ({"seconds": 30 * 86400 + 1}, "to 30 days"),
        ({"seconds": 10**20}, "to 30 days"),
        ({"starts_at": "tonight"}, "write the start like"),
        ({"starts_at": ""}, "write the start like"),
        ({"starts_at": "0001-01-01T00:00+14:00"}, "write the start like"),
        ({"starts_at": "2062-11-26T02:00"}, "more than two years"),
        ({"starts_at": "2026-11-24T02:00"}, "over already"),
        ({"starts_at": "2027-03-28T02:30"}, "there is no 02:30 on that day"),
        ({"time_zone": "Mars/Olympus"}, "no zone 'Mars/Olympus'"),
        ({"time_zone": "../../etc/passwd"}, "no zone"),
        ({"time_zone": ""}, "no zone ''"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule: FREQ must be one of DAILY"),
        ({"rrule": "FREQ=DAILY;INTERVAL=0"}, "rrule: INTERVAL must be a number"),
        ({"rrule": "FREQ=DAILY;" * 1000}, "11000 characters"),
        ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "rrule: the rule never fires"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"}, "does not fire once within five years"),
        ({"rrule": "FREQ=DAILY;UNTIL=20261125"}, "does not fire once"),
        ({"rrule": "FREQ=DAILY;UNTIL=20261124", "starts_at": "2026-11-20T02:00"}, "over already"),
        ({"rrule": "FREQ=DAILY;COUNT=2", "starts_at": "2026-11-20T02:00"}, "over already"),
        ({"rrule": "FREQ=DAILY", "seconds": 86400}, "2026-11-26 02:00 would not be over when"),
        ({"rrule": "FREQ=DAILY", "seconds": 85000}, "2027-03-28 03:00 would not be over when"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=TH,FR", "seconds": 90000}, "2026-11-27 02:00"),
    ],
)
def test_what_cannot_be_meant_is_refused_quickly_and_in_plain_words(given, said):
    started = time.process_time()
    with pytest.raises(BadWindow) as refused:
        window(**given)
    assert said in str(refused.value)
    assert time.process_time() - started < 0.3


@pytest.mark.parametrize(
    "given",
    [
        {"client": "", "match": ['alertname=~".*"']},
        {"client": "acme", "match": []},
        {"seconds": 60},
        {"seconds": 30 * 86400},
        {"starts_at": "2026-11-25T02:00"},  # it began an hour ago
        {"rrule": "FREQ=DAILY", "seconds": 82799},
        {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "seconds": 86400},
    ],
)
def test_what_may_be_meant_is_taken(given):
    assert maintenance.following(window(**given), START) is not None


BERLIN, SHANGHAI = "Europe/Berlin", "Asia/Shanghai"


@pytest.mark.parametrize(
    ("starts", "zone", "rule", "wanted"),
    [
        # 28 March 2027: clocks go from 02:00 to 03:00. Two o'clock stays two o'clock.
        (
            "2027-03-27T02:00",
            BERLIN,
            "FREQ=DAILY",
            ["03-27T01:00 03-27T03:00", "03-28T01:00 03-28T03:00", "03-29T00:00 03-29T02:00"],
        ),
        # What would be at 02:30 is at 03:30 in that night, and at 02:30 in the next one.
        (
            "2027-03-27T02:30",
            BERLIN,
            "FREQ=DAILY",
            ["03-27T01:30 03-27T03:30", "03-28T01:30 03-28T03:30", "03-29T00:30 03-29T02:30"],
        ),
        # 31 October 2027: clocks go from 03:00 to 02:00. The first 02:30 is meant.
        (
            "2027-10-30T02:30",
            BERLIN,
            "FREQ=DAILY",
            ["10-30T00:30 10-30T02:30", "10-31T00:30 10-31T02:30", "11-01T01:30 11-01T03:30"],
        ),
        # A weekly window begins an hour earlier in UTC from the last Sunday of March on.
        (
            "2027-03-23T22:00",
            BERLIN,
            "FREQ=WEEKLY;BYDAY=TU",
            ["03-23T21:00 03-23T23:00", "03-30T20:00 03-30T22:00", "04-06T20:00 04-06T22:00"],
        ),
        # No clock changes in China; the day there is another one than in UTC.
        (
            "2027-03-28T02:00",
            SHANGHAI,
            "FREQ=WEEKLY;BYDAY=SU",
            ["03-27T18:00 03-27T20:00", "04-03T18:00 04-03T20:00", "04-10T18:00 04-10T20:00"],
        ),
        (
            "2027-01-31T23:30",
            SHANGHAI,
            "FREQ=MONTHLY;BYMONTHDAY=-1",
            ["01-31T15:30 01-31T17:30", "02-28T15:30 02-28T17:30", "03-31T15:30 03-31T17:30"],
        ),
        # The zone with a clock change of half an hour.
        (
            "2027-04-03T01:00",
            "Australia/Lord_Howe",
            "FREQ=DAILY",
            ["04-02T14:00 04-02T16:00", "04-03T14:00 04-03T16:00", "04-04T14:30 04-04T16:30"],
        ),
        (
            "2027-02-28T00:00",
            "UTC",
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29",
            ["02-28T00:00 02-28T02:00", "02-28T00:00 02-28T02:00", "02-29T00:00 02-29T02:00"],
        ),
        (
            "2027-03-01T05:00",
            BERLIN,
            "FREQ=DAILY;UNTIL=20270302T040000Z",
            ["03-01T04:00 03-01T06:00", "03-02T04:00 03-02T06:00"],
        ),
        (
            "2027-03-01T05:00",
            BERLIN,
            "FREQ=DAILY;UNTIL=20270302T045959",
            ["03-01T04:00 03-01T06:00"],
        ),
        (
            "2027-03-01T05:00",
            BERLIN,
            "FREQ=DAILY;UNTIL=20270302",
            ["03-01T04:00 03-01T06:00", "03-02T04:00 03-02T06:00"],
        ),
    ],
)
def test_a_recurring_window_keeps_to_the_clock_on_the_wall(starts, zone, rule, wanted):
    made_ = window(starts_at=starts, time_zone=zone, rrule=rule)
    found = islice(maintenance.occurrences(made_, START, START + timedelta(days=1200)), 3)
    assert [f"{o.starts_at:%m-%dT%H:%M} {o.ends_at:%m-%dT%H:%M}" for o in found] == wanted


def test_the_second_half_past_two_of_a_night_can_be_meant():
    second = window(starts_at="2027-10-31T02:30+01:00", rrule="FREQ=DAILY")
    first, next_one = maintenance.upcoming(second, START, 2)
    assert first.starts_at == utc("2027-10-31T01:30")
    assert next_one.starts_at == utc("2027-11-01T01:30")


def test_a_window_on_leap_day_comes_every_four_years():
    leap = window(starts_at="2028-02-29T10:00", rrule="FREQ=YEARLY", time_zone=SHANGHAI)
    found = maintenance.upcoming(leap, utc("2028-03-01T00:00"), 2)
    assert [f"{o.starts_at.astimezone(ZoneInfo(SHANGHAI)):%Y-%m-%d %H:%M}" for o in found] == [
        "2032-02-29 10:00"
    ]


def test_what_began_before_the_period_and_is_still_on_belongs_to_it():
    nightly = window(rrule="FREQ=DAILY", starts_at="2026-11-26T23:00")
    [found] = maintenance.occurrences(nightly, utc("2026-12-01T23:59"), utc("2026-12-02T00:00"))
    assert found.starts_at == utc("2026-12-01T22:00")
    assert list(maintenance.occurrences(nightly, utc("2026-12-02T00:00"), utc("2026-12-02T22:00"))) == []


@pytest.mark.parametrize(
    ("now", "standing"),
    [
        ("2026-11-26T00:59", "coming"),
        ("2026-11-26T01:00", "on"),
        ("2026-11-26T02:59", "on"),
        ("2026-11-26T03:00", "over"),
    ],
)
def test_where_a_single_window_stands(now, standing):
    assert maintenance.standing(window(), utc(now)) == standing
    cancelled = replace(window(), cancelled_at=START)
    assert maintenance.standing(cancelled, utc(now)) == "cancelled"


def muted(windows, now, labels=PAYMENTS, client="acme"):
    found = maintenance.muted_until(windows, labels, client, utc(now))
    return found and f"{found:%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("labels", "client", "until"),
    [
        (PAYMENTS, "acme", "11-26T03:00"),
        (PAYMENTS, "nord", None),
        (PAYMENTS, "", None),
        (PAYMENTS | {"service": "orders"}, "acme", None),
    ],
)
def test_a_window_mutes_its_client_and_what_matches(labels, client, until):
    assert muted([window()], "2026-11-26T01:30", labels, client) == until


def test_a_window_without_a_client_mutes_all_clients_and_one_without_matchers_everything():
    everybody = [window(client="", match=['service="payments"'])]
    assert muted(everybody, "2026-11-26T01:30", client="nord") == "11-26T03:00"
    everything = [window(match=[])]
    assert muted(everything, "2026-11-26T01:30", labels={"a": "b"}) == "11-26T03:00"
    assert muted(everything, "2026-11-26T01:30", labels={}, client="nord") is None


def test_nothing_is_muted_before_after_and_by_what_was_cancelled():
    assert muted([window()], "2026-11-26T00:59") is None
    assert muted([window()], "2026-11-26T03:00") is None
    assert muted([replace(window(), cancelled_at=START)], "2026-11-26T01:30") is None


def test_windows_that_follow_one_another_mute_to_the_end_of_the_last():
    one = window()
    touching = window(starts_at="2026-11-26T04:00", seconds=3600)
    apart = window(starts_at="2026-11-26T05:01")
    of_others = window(starts_at="2026-11-26T05:00", client="nord")
    assert muted([one, touching, apart, of_others], "2026-11-26T01:30") == "11-26T04:00"
    longer = window(seconds=6 * 3600)
    assert muted([one, longer], "2026-11-26T01:30") == "11-26T07:00"


def test_an_incident_is_muted_until_the_first_of_its_alerts_may_page():
    both = [window(), window(seconds=6 * 3600, match=['gateway="alipay"'])]
    now = utc("2026-11-26T01:30")
    alipay = {"gateway": "alipay"}
    assert maintenance.all_muted_until(both, [PAYMENTS, alipay], "acme", now) == utc("2026-11-26T03:00")
    assert maintenance.all_muted_until(both, [PAYMENTS, {"a": "b"}], "acme", now) is None
    assert maintenance.all_muted_until(both, [], "acme", now) is None


def test_a_storm_of_alerts_is_tried_on_many_windows_without_counting_their_days_again():
    windows = [window(rrule="FREQ=DAILY", match=[f'host="{number}"']) for number in range(20)]
    started = time.process_time()
    for number in range(5000):
        maintenance.muted_until(windows, {"host": str(number % 20)}, "acme", utc("2030-01-01T01:30"))
    assert time.process_time() - started < 2
