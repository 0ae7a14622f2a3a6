"""Maintenance on a fake clock: who is spared, what is paged when it ends, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge import operations, upkeep
from bridge.maintenance import made
from bridge.model import Status
from bridge.store import incidents
from bridge.store.history import clocks_of
from tests.conftest import START
from tests.stories import LI, alert, kinds, pages, read, tell


def plan(bridge, **given):
    """Maintenance of acme's payments for two hours, beginning now."""
    usual = {
        "name": "Database upgrade",
        "client": "acme",
        "match": ['service="payments"'],
        "starts_at": bridge.now().isoformat(),
        "seconds": 7200,
        "rrule": "",
        "time_zone": "UTC",
        "reason": "",
        "by": "li",
        "now": bridge.now(),
    }
    return upkeep.plan(bridge, made(**usual | given))


def tick(bridge):
    """What the worker's ticks do."""
    operations.unmute_due(bridge)
    operations.take_due_steps(bridge)
    operations.tell_due_clocks(bridge)


def live(bridge, clock, minutes):
    """A worker's life, minute by minute."""
    for _ in range(minutes):
        clock.forward(minutes=1)
        tick(bridge)


def clocks(bridge, number=1):
    with bridge.database.reading() as connection:
        return {clock.target: clock for clock in clocks_of(connection, [number])[number]}


def told(bridge, number=1):
    """What clocks told on the timeline."""
    with bridge.database.reading() as connection:
        return [fact.text for fact in incidents.facts_of(connection, number, {"clock"})]


def test_a_muted_p1_pages_nobody_and_is_paged_at_the_end_when_it_still_fires(bridge, clock):
    plan(bridge)
    clock.forward(minutes=5)
    opened = tell(bridge, alert(starts=clock.moment))
    assert opened.incidents == ("INC-1",)
    assert read(bridge).muted_until == datetime(2026, 11, 25, 4, tzinfo=UTC)
    assert "muted" in kinds(bridge)

    live(bridge, clock, 114)  # one minute before the end
    assert pages(bridge) == []
    assert pages(bridge, "at_risk") == pages(bridge, "breached") == []
    assert told(bridge) == []

    live(bridge, clock, 1)
    assert pages(bridge) == [("li", "li-chat")]
    assert read(bridge).muted_until is None
    assert kinds(bridge).count("unmuted") == 1
    assert clocks(bridge)["respond"].due_at == datetime(2026, 11, 25, 4, 10, tzinfo=UTC)
    assert clocks(bridge)["restore"].due_at == datetime(2026, 11, 25, 5, 0, tzinfo=UTC)

    live(bridge, clock, 5)
    assert pages(bridge) == [("li", "li-chat"), ("han", "han-chat")]


def test_what_ended_during_the_window_pages_nobody_ever(bridge, clock):
    plan(bridge)
    tell(bridge, alert(starts=START))
    clock.forward(minutes=30)
    tell(bridge, alert(starts=START, ends=clock.moment))
    assert read(bridge).status is Status.RESOLVED
    live(bridge, clock, 120)
    assert pages(bridge) == pages(bridge, "resolved") == []
    assert told(bridge) == []


def test_a_window_that_is_cancelled_early_pages_at_once(bridge, clock):
    window = plan(bridge)
    tell(bridge, alert(starts=START))
    live(bridge, clock, 20)
    assert pages(bridge) == []
    upkeep.cancel(bridge, window.id, LI)
    tick(bridge)
    assert pages(bridge) == [("li", "li-chat")]
    assert clocks(bridge)["respond"].due_at == datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
    tell(bridge, alert(starts=clock.moment, gateway="wechat"))
    assert len(pages(bridge)) == 2


def test_alerts_of_other_clients_and_services_page_as_ever(bridge, clock):
    plan(bridge)
    tell(bridge, alert(starts=START, client="nord"))
    tell(bridge, alert("DiskFull", starts=START, service="hosts", severity="warning"))
    assert [read(bridge, number).muted_until for number in (1, 2)] == [None, None]
    assert len(pages(bridge)) == 2


def test_what_was_paged_before_the_window_goes_on_as_it_was(bridge, clock):
    tell(bridge, alert(starts=START))
    clock.forward(minutes=1)
    plan(bridge)
    live(bridge, clock, 5)
    assert [who for who, _ in pages(bridge)] == ["li", "han"]
    assert told(bridge) == []
    live(bridge, clock, 5)
    assert "respond breached" in told(bridge)


def test_an_alert_that_is_not_covered_ends_the_mute_of_the_incident_it_joins(bridge, clock):
    plan(bridge, match=['instance="a"'])
    tell(bridge, alert(starts=START, instance="a"))
    live(bridge, clock, 3)
    assert pages(bridge) == []
    tell(bridge, alert(starts=START, instance="b"))
    assert pages(bridge) == [("li", "li-chat")]


@pytest.mark.parametrize("deliveries", [[("a", "b")], [("a",), ("b",)], [("b",), ("a",)]])
def test_an_incident_is_muted_no_longer_than_the_first_of_its_alerts(bridge, clock, deliveries):
    plan(bridge, match=['instance="a"'], seconds=3600)
    plan(bridge, match=['instance="b"'], seconds=7200)
    for instances in deliveries:
        tell(bridge, *(alert(starts=START, instance=instance) for instance in instances))
    live(bridge, clock, 59)
    assert pages(bridge) == []
    live(bridge, clock, 1)
    assert pages(bridge) == [("li", "li-chat")]


def test_a_window_made_longer_while_it_is_on_keeps_muting(bridge, clock):
    plan(bridge)
    tell(bridge, alert(starts=START))
    live(bridge, clock, 110)
    plan(bridge, name="One hour more", seconds=4200)
    live(bridge, clock, 69)
    assert pages(bridge) == []
    live(bridge, clock, 1)
    assert pages(bridge) == [("li", "li-chat")]


def test_who_took_a_muted_incident_is_not_paged_for_it_at_the_end(bridge, clock):
    plan(bridge)
    tell(bridge, alert(starts=START))
    clock.forward(minutes=10)
    operations.acknowledge(bridge, 1, LI)
    live(bridge, clock, 115)
    assert pages(bridge) == []
    assert read(bridge).status is Status.ACKNOWLEDGED


# Clocks in Berlin go from 02:00 to 03:00 on 28 March 2027: the window at 03:00 begins an hour earlier in UTC.
@pytest.mark.parametrize(
    ("fires", "pages_at_once"),
    [
        ("2027-03-27T01:59", True),
        ("2027-03-27T02:00", False),
        ("2027-03-27T02:59", False),
        ("2027-03-27T03:00", True),
        ("2027-03-28T00:59", True),
        ("2027-03-28T01:00", False),
        ("2027-03-28T01:59", False),
        ("2027-03-28T02:00", True),
        ("2027-03-29T01:30", False),
        ("2027-03-29T02:30", True),
    ],
)
def test_a_nightly_window_keeps_to_the_clock_on_the_wall(bridge, clock, fires, pages_at_once):
    plan(
        bridge,
        client="nord",
        starts_at="2026-11-26T03:00",
        seconds=3600,
        rrule="FREQ=DAILY",
        time_zone="Europe/Berlin",
    )
    clock.moment = datetime.fromisoformat(fires).replace(tzinfo=UTC)
    tell(bridge, alert(starts=clock.moment, client="nord"))
    assert bool(pages(bridge)) is pages_at_once
    live(bridge, clock, 60)
    assert len(pages(bridge)) >= 1
