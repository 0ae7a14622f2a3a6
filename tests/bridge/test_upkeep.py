"""Planning and cancelling maintenance, and what a window would mute. Runs on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bridge import operations, upkeep
from bridge.maintenance import BadWindow, made
from bridge.model import Status
from bridge.store.maintenance import NoSuchWindow
from tests.conftest import START
from tests.stories import LI, alert, kinds, read, tell


def window(now=START, **given):
    usual = {
        "name": "Database upgrade",
        "client": "acme",
        "match": ['service="payments"'],
        "starts_at": "2026-11-25T10:00",
        "seconds": 7200,
        "rrule": "",
        "time_zone": "Asia/Shanghai",
        "reason": "",
        "by": "li",
        "now": now,
    }
    return made(**usual | given)


def seen(preview):
    return (preview.matched, preview.muted, preview.firing, [incident.name for incident in preview.open])


def test_a_window_of_a_client_that_nobody_knows_is_refused(bridge):
    for work in (upkeep.plan, upkeep.preview):
        with pytest.raises(BadWindow, match="no client 'acem'"):
            work(bridge, window(client="acem"))


def test_there_is_nothing_to_cancel_where_no_window_is(bridge):
    with pytest.raises(NoSuchWindow):
        upkeep.cancel(bridge, 7, LI)


def test_a_preview_counts_what_would_be_muted_by_rule_priority_and_client(bridge, clock):
    tell(bridge, alert(starts=START, ends=START))
    tell(bridge, alert(starts=START, gateway="wechat"))
    tell(bridge, alert(starts=START, severity="warning", gateway="wechat", instance="a"))
    tell(bridge, alert(starts=START, client="nord"))
    tell(bridge, alert(starts=START, service="orders"))
    clock.forward(minutes=1)
    found = upkeep.preview(bridge, window())
    assert seen(found) == (3, 3, 2, ["INC-2", "INC-3"])
    assert [(group.rule, group.priority, group.client, group.episodes) for group in found.groups] == [
        ("payment path down", "P1", "acme", 2),
        ("warning", "P2", "acme", 1),
    ]
    assert [example.labels["severity"] for example in found.examples] == ["warning", "critical", "critical"]
    assert (found.looked_at, found.whole) == (5, True)
    everybody = upkeep.preview(bridge, window(client="", match=['alertname=~".+"']))
    assert everybody.matched == 5


def test_a_preview_saves_nothing_and_changes_nothing(bridge):
    tell(bridge, alert(starts=START))
    before = read(bridge)
    upkeep.preview(bridge, window())
    assert read(bridge) == before
    with pytest.raises(NoSuchWindow):
        upkeep.cancel(bridge, 1, LI)


def test_an_incident_with_an_alert_that_is_not_covered_is_not_called_muted(bridge):
    tell(bridge, alert(starts=START), alert(starts=START, instance="b"))
    assert seen(upkeep.preview(bridge, window(match=['instance="b"']))) == (1, 1, 1, [])
    assert seen(upkeep.preview(bridge, window(match=[]))) == (2, 2, 2, ["INC-1"])


def test_an_incident_that_a_person_resolved_is_not_called_open(bridge):
    tell(bridge, alert(starts=START))
    operations.resolve(bridge, 1, LI)
    assert seen(upkeep.preview(bridge, window())) == (1, 1, 1, [])


def test_a_recurring_window_is_tried_on_its_own_hours_of_the_last_month(bridge, clock):
    began = [START - timedelta(days=days, hours=hours) for days, hours in ((2, 0), (9, 0), (9, 3), (1, 0))]
    for starts in began:
        tell(bridge, alert(starts=starts, ends=starts + timedelta(minutes=5)))
    daily = window(rrule="FREQ=DAILY;COUNT=3", starts_at="2026-11-26T09:30")
    assert seen(upkeep.preview(bridge, daily)) == (4, 3, 0, [])
    mondays = window(rrule="FREQ=WEEKLY;BYDAY=MO", starts_at="2026-11-30T09:30")
    assert seen(upkeep.preview(bridge, mondays)) == (4, 2, 0, [])
    assert [f"{one.starts_at:%m-%d %H:%M}" for one in upkeep.preview(bridge, mondays).occurrences] == [
        "11-30 01:30",
        "12-07 01:30",
        "12-14 01:30",
        "12-21 01:30",
        "12-28 01:30",
    ]


def test_what_is_older_than_a_month_counts_only_while_it_fires(bridge, clock):
    tell(bridge, alert(starts=START), alert(starts=START, gateway="wechat", ends=START))
    clock.forward(days=31)
    tell(bridge, alert(starts=clock.moment, gateway="card"))
    found = upkeep.preview(bridge, window(clock.moment, starts_at="2026-12-27T02:00"))
    assert seen(found) == (2, 2, 2, ["INC-1", "INC-3"])


def test_a_preview_says_when_there_was_more_to_look_at(bridge, monkeypatch):
    tell(bridge, *(alert(starts=START, instance=str(number)) for number in range(5)))
    monkeypatch.setattr(upkeep, "_MOST_EPISODES", 3)
    found = upkeep.preview(bridge, window())
    assert (found.matched, found.whole) == (3, False)


def test_a_longer_window_keeps_muted_what_another_one_mutes(bridge, clock):
    upkeep.plan(bridge, window())
    tell(bridge, alert(starts=START))
    upkeep.plan(bridge, window(seconds=4 * 3600, client="", match=['gateway="wechat"']))
    assert read(bridge).muted_until == START + timedelta(hours=2)
    clock.forward(hours=1)
    longer = upkeep.plan(bridge, window(clock.moment, seconds=4 * 3600))
    assert read(bridge).muted_until == START + timedelta(hours=4)
    upkeep.cancel(bridge, longer.id, LI)
    assert read(bridge).muted_until == START + timedelta(hours=2)


def test_a_cancelled_window_mutes_nothing_any_more_and_says_who_cancelled_it(bridge, clock):
    saved = upkeep.plan(bridge, window())
    tell(bridge, alert(starts=START))
    tell(bridge, alert(starts=START, client="nord"))
    clock.forward(minutes=10)
    assert upkeep.cancel(bridge, saved.id, LI).cancelled_by == "li"
    assert read(bridge).muted_until == clock.moment
    assert kinds(bridge)[-1] == "noted"
    before = read(bridge)
    upkeep.cancel(bridge, saved.id, LI)
    assert read(bridge) == before
    assert read(bridge, 2).muted_until is None


def test_a_window_that_comes_and_goes_changes_no_incident_that_it_does_not_concern(bridge):
    upkeep.plan(bridge, window(match=['instance="a"'], seconds=3600))
    upkeep.plan(bridge, window(match=['instance="b"'], seconds=7200))
    both = [alert(starts=START, instance=instance) for instance in ("a", "b")]
    tell(bridge, *both)
    tell(bridge, alert(starts=START, ends=START, instance="a"))
    before = read(bridge)
    other = upkeep.plan(bridge, window(match=['instance="c"']))
    upkeep.cancel(bridge, other.id, LI)
    assert read(bridge) == before
    assert before.muted_until == START + timedelta(hours=1)


def test_planning_mutes_nothing_that_was_paged_before(bridge):
    tell(bridge, alert(starts=START))
    before = read(bridge)
    upkeep.plan(bridge, window())
    assert read(bridge) == before
    assert before.status is Status.TRIGGERED
    assert replace(before, muted_until=None) == before
