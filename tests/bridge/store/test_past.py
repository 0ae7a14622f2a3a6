"""Stored episodes come back oldest first, with what was decided of them. Runs on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from bridge import operations
from bridge.model import Priority
from bridge.replay import Comparison, replay
from bridge.store import past
from bridge.store.schema import alerts, deliveries
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.stories import LI, alert, tell

HOUR = timedelta(hours=1)
LONG_AGO = START - timedelta(days=1)


def read(bridge: Bridge, since=LONG_AGO, client: str | None = None) -> list[past.Past]:
    with bridge.database.reading() as connection:
        ids = past.span(connection, since)
    return list(past.episodes(bridge.database, ids, client))


def test_an_episode_carries_its_labels_its_incident_and_what_was_decided(bridge: Bridge) -> None:
    told = alert(starts=START, ends=START + HOUR)
    tell(bridge, told, route_labels={"team": "pay"})
    [one] = read(bridge)
    assert (one.alert.labels, one.alert.ends_at, one.first_seen) == (told.labels, START + HOUR, START)
    assert (one.incident, one.key) == (1, "client=acme, service=payments, gateway=alipay")
    assert (one.priority, one.service, one.route_labels) == (Priority.P1, "payments", {"team": "pay"})
    assert (one.storm, one.alert.blind) == (False, False)


def test_the_priority_of_the_episode_counts_not_that_of_its_incident(bridge: Bridge) -> None:
    tell(bridge, alert("Disk", starts=START, severity="warning"))
    operations.set_priority(bridge, 1, LI, Priority.P1, "worse than it looks")
    assert read(bridge)[0].priority is Priority.P2
    bridge.database.run(lambda c: c.execute(update(alerts).values(priority="")))
    assert read(bridge)[0].priority is Priority.P1


def test_the_route_is_unknown_once_its_delivery_is_forgotten(bridge: Bridge) -> None:
    tell(bridge, alert(starts=START), route_labels={"team": "pay"})
    bridge.database.run(lambda c: c.execute(delete(deliveries)))
    assert read(bridge)[0].route_labels == {}


def test_episodes_are_read_from_a_moment_on_in_parts_and_in_order(
    bridge: Bridge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "_AT_ONCE", 3)
    for number in range(11):
        tell(bridge, alert(starts=clock.moment, region=str(number)))
        clock.forward(hours=1)
    bridge.database.run(lambda c: c.execute(delete(alerts).where(alerts.c.id.in_([2, 5, 6]))))
    kept = [0, 2, 3, 6, 7, 8, 9, 10]
    for since in (START - HOUR, START, START + HOUR, START + 5 * HOUR, START + 20 * HOUR):
        found = [int(one.alert.labels["region"]) for one in read(bridge, since)]
        assert found == [number for number in kept if START + number * HOUR >= since]


def test_of_a_client_only_what_went_to_its_incidents(bridge: Bridge) -> None:
    tell(bridge, alert(starts=START), alert(starts=START, client="nord"), alert(starts=START, client=""))
    assert [one.incident for one in read(bridge, client="nord")] == [2]


def test_nothing_is_read_where_nothing_is_stored(bridge: Bridge) -> None:
    assert read(bridge) == []


def test_what_really_was_counts_incidents_and_which_of_them_paged(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, alert(starts=START))
    clock.forward(hours=1)
    tell(bridge, alert("Disk", starts=clock.moment, severity="info", client="nord"))
    tell(bridge, alert(starts=clock.moment, gateway="wechat"))
    with bridge.database.reading() as connection:
        everything = past.span(connection, LONG_AGO)
        assert past.recorded(connection, everything, LONG_AGO) == (3, 2)
        assert past.recorded(connection, everything, LONG_AGO, "nord") == (1, 0)
        later = past.span(connection, START + HOUR)
        assert past.recorded(connection, later, START + HOUR) == (2, 1)


def _story(bridge: Bridge, clock: Clock) -> None:
    """An outage that comes again, a storm beside it, and a warning that rises."""
    tell(bridge, alert(starts=clock.moment), alert("Slow", starts=clock.moment, service="orders"))
    clock.forward(minutes=5)
    tell(bridge, alert("Queue", starts=clock.moment, service="orders", severity="warning"))
    tell(bridge, *(alert("Host", starts=clock.moment, service=f"s{n}", severity="info") for n in range(8)))
    clock.forward(minutes=5)
    ends = clock.moment
    tell(bridge, alert(starts=START, ends=ends))
    clock.forward(minutes=10)
    tell(
        bridge,
        alert(starts=clock.moment),
        alert("Disk", starts=clock.moment, service="db", severity="warning"),
    )
    clock.forward(minutes=10)
    tell(bridge, alert("Disk", starts=clock.moment, service="db", severity="critical", priority="P1"))


def test_the_rules_that_decided_then_make_no_difference_when_they_decide_again(
    make_bridge, clock: Clock
) -> None:
    more = "intake: {storm: {incidents: 4, within: 1m}}"
    bridge = make_bridge(more=more)
    _story(bridge, clock)
    found = _played(bridge)
    assert found.episodes == 14
    assert found.then == found.now
    assert found.then.opened == len({one.incident for one in read(bridge)})
    assert any(one.storm for one in read(bridge))
    assert (found.missed.total, found.newly_paging.total, found.split.total, found.merged.total) == (
        0,
        0,
        0,
        0,
    )


def _played(bridge: Bridge) -> Comparison:
    return replay(read(bridge), bridge.config.known, bridge.config.intake.reopen_within)
