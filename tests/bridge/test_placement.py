"""Where episodes go when several things come together: maintenance, flapping, storms, cut-off lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from bridge import operations, upkeep
from bridge.maintenance import made
from bridge.model import Status, Step
from bridge.triage import ServiceFacts
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.stories import LI, alert, kinds, pages, read, tell


@pytest.fixture
def quiet_hours(bridge: Bridge) -> Bridge:
    """Maintenance of acme's payments for an hour, beginning now."""
    plan_hour(bridge)
    return bridge


def plan_hour(bridge: Bridge) -> None:
    window = made(
        name="works",
        client="acme",
        match=['service="payments"'],
        starts_at=bridge.now().isoformat(),
        seconds=3600,
        rrule="",
        time_zone="UTC",
        reason="",
        by="li",
        now=bridge.now(),
    )
    upkeep.plan(bridge, window)


def tick(bridge: Bridge) -> None:
    operations.settle_due(bridge)
    operations.unmute_due(bridge)
    operations.take_due_steps(bridge)


def test_an_alert_that_was_not_over_after_all_stays_muted(quiet_hours: Bridge, clock: Clock) -> None:
    tell(quiet_hours, alert(starts=START))
    clock.forward(minutes=3)
    tell(quiet_hours, replace(alert(starts=START, ends=clock()), presumed=True))
    assert read(quiet_hours).status is Status.RESOLVED
    clock.forward(minutes=1)
    tell(quiet_hours, alert(starts=START))
    tick(quiet_hours)
    assert read(quiet_hours).is_open
    assert pages(quiet_hours) == []
    clock.forward(minutes=57)
    tick(quiet_hours)
    assert pages(quiet_hours) == [("li", "li-chat")]


def test_what_flaps_through_the_end_of_maintenance_is_paged(quiet_hours: Bridge, clock: Clock) -> None:
    while clock() < START + timedelta(minutes=59):
        tell(quiet_hours, alert(starts=clock()))
        began = clock()
        clock.forward(minutes=2)
        tell(quiet_hours, alert(starts=began, ends=clock()))
        clock.forward(minutes=2)
    assert read(quiet_hours).flapping_at is not None
    assert pages(quiet_hours) == []
    tick(quiet_hours)
    assert pages(quiet_hours) == [("li", "li-chat")], "it is quiet at this moment, but not over"


def test_a_reopening_in_maintenance_pages_not_even_later(
    make_bridge: Callable[..., Bridge], clock: Clock
) -> None:
    bridge = make_bridge()
    slowly = {"page": replace(bridge.config.policies["page"], steps=(Step(after=300, notify=("li",)),))}
    bridge.use(dataclasses.replace(bridge.config, policies=slowly))
    tell(bridge, alert(starts=START))
    clock.forward(minutes=1)
    tell(bridge, alert(starts=START, ends=clock()))
    plan_hour(bridge)
    tell(bridge, alert(starts=clock.forward(minutes=1)))
    clock.forward(minutes=6)
    tick(bridge)
    assert pages(bridge) == []
    assert kinds(bridge).count("muted") == 1


def test_an_incident_whose_key_only_looks_like_a_storms_is_none(
    make_bridge: Callable[..., Bridge], clock: Clock
) -> None:
    bridge = make_bridge(triage="- name: storm\n  incident_by: [storm]\n")
    needing = {"orders": ServiceFacts(depends_on=("payments",))}
    known = dataclasses.replace(bridge.config.known, services=needing)
    bridge.use(dataclasses.replace(bridge.config, known=known))
    tell(bridge, alert(starts=START, storm="a", annotations={"summary": "first"}))
    tell(bridge, alert("OrdersFail", starts=clock(), service="orders", storm="b"))
    found = read(bridge)
    assert (found.key, found.title, found.firing) == ("storm=a", "first", 2)
    assert found.settle_at is None


def test_a_storm_that_flaps_is_not_over_while_it_fires(
    make_bridge: Callable[..., Bridge], clock: Clock
) -> None:
    bridge = make_bridge(more="intake: {storm: {incidents: 2, within: 1m}}")
    tell(bridge, alert("A", starts=START, service="a"), alert("A", starts=START, service="b"))
    for number in range(5):
        told = alert("A", starts=clock(), service=f"s{number}")
        tell(bridge, told)
        tell(bridge, replace(told, ends_at=clock.forward(seconds=10)))
    tell(bridge, alert("A", starts=clock(), service="last"))
    tell(bridge, alert("A", starts=clock(), service="very last"))
    storm = read(bridge, 3)
    assert (storm.rule, storm.firing) == ("storm", 2)
    assert storm.flapping_at is not None
    clock.forward(minutes=20)
    operations.settle_due(bridge)
    assert "flapping_stopped" not in kinds(bridge, 3)
    assert read(bridge, 3).is_open


def test_a_restored_incident_is_not_put_in_doubt(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, alert(starts=START))
    clock.forward(minutes=1)
    operations.resolve(bridge, 1, LI)
    tell(bridge, alert(starts=START, ends=clock()), hidden=3)
    assert not read(bridge).held
    tell(bridge, alert(starts=clock()))
    tell(bridge, alert(starts=clock(), ends=clock.forward(minutes=1)))
    assert read(bridge).status is Status.RESOLVED


def test_what_opsbridge_says_of_a_cut_off_list_is_not_in_doubt_itself(bridge: Bridge) -> None:
    tell(bridge, alert(starts=START), hidden=3)
    tell(bridge, alert(starts=START), hidden=3)
    assert [read(bridge, number).held for number in (1, 2)] == [True, False]
    assert read(bridge, 2).title == "A source hides alerts from us"
