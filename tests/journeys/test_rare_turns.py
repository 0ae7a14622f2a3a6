"""Turns that few histories take: most were found by tests/bridge/test_admission_histories.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from bridge import heartbeats, operations, upkeep
from bridge.admission import Outcome, admit
from bridge.hearing import Waiting
from bridge.incident import NotAllowed
from bridge.maintenance import made
from bridge.model import Alert, Priority, Status
from bridge.store import sources
from bridge.store.schema import alerts, deliveries
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.senders import add_sources
from tests.stories import LI, alert, episodes, kinds, pages, read, tell, waiting


def gone(bridge: Bridge, told: Alert) -> None:
    """Its source no longer lists it: it has ended, presumed."""
    tell(bridge, replace(told, ends_at=bridge.now(), presumed=True))


def together(bridge: Bridge, *told: Waiting) -> list[Outcome]:
    """Several deliveries in one transaction."""
    return bridge.database.run(lambda c: admit(c, told, bridge, bridge.now()), serial="intake")


def mute(bridge: Bridge, match: str, minutes: int = 60) -> int:
    """Maintenance of what matches, from now on."""
    window = made(
        name="works",
        client="",
        match=[match],
        starts_at=bridge.now().isoformat(),
        seconds=minutes * 60,
        rrule="",
        time_zone="UTC",
        reason="",
        by="li",
        now=bridge.now(),
    )
    return upkeep.plan(bridge, window).id


def tick(bridge: Bridge) -> None:
    operations.unmute_due(bridge)
    operations.take_due_steps(bridge)


# Not over after all


def test_what_was_not_over_after_its_incident_was_closed_opens_one_that_follows(
    bridge: Bridge, clock: Clock
) -> None:
    told = alert(starts=START)
    tell(bridge, told)
    gone(bridge, told)
    operations.close(bridge, 1, LI, "a cable")
    clock.forward(minutes=1)
    assert tell(bridge, told).new == 0
    assert read(bridge, 1).status is Status.CLOSED
    assert (read(bridge, 2).follows, read(bridge, 2).firing, len(pages(bridge))) == (1, 1, 2)
    assert episodes(bridge) == [("firing", False, 2)]


def test_what_was_not_over_joins_the_incident_that_is_open_for_its_problem_by_now(
    bridge: Bridge, clock: Clock
) -> None:
    told = alert(starts=START, region="eu")
    tell(bridge, told)
    gone(bridge, told)
    tell(bridge, alert(starts=clock.forward(minutes=31), region="us"))
    assert tell(bridge, told).incidents == ("INC-2",)
    assert read(bridge, 1).status is Status.RESOLVED
    assert read(bridge, 2).firing == 2


def test_an_incident_is_not_reopened_while_another_one_is_open_for_its_problem(
    bridge: Bridge, clock: Clock
) -> None:
    tell(bridge, alert(starts=START, ends=START))
    tell(bridge, alert(starts=clock.forward(minutes=31)))
    with pytest.raises(NotAllowed, match="INC-2 is open for the same problem"):
        operations.reopen(bridge, 1, LI, "it is back")


def test_nothing_fires_between_a_presumed_end_and_the_next_start(bridge: Bridge, clock: Clock) -> None:
    told = alert(starts=START)
    tell(bridge, told)
    over = clock.forward(minutes=2)
    tell(bridge, replace(told, ends_at=over, presumed=True))
    tell(bridge, alert("Other", starts=START), alert(starts=clock.forward(minutes=3)))
    tell(bridge, alert("Other", starts=START, ends=clock()), alert(starts=clock.forward(minutes=3)))
    with bridge.database.reading() as connection:
        ends = connection.execute(select(alerts.c.ends_at).where(alerts.c.fingerprint == told.fingerprint))
        assert ends.scalars().first() == over


def test_what_was_over_when_it_came_restores_nothing_that_a_person_reopened(
    bridge: Bridge, clock: Clock
) -> None:
    tell(bridge, alert(starts=START, ends=START))
    operations.reopen(bridge, 1, LI, "customers still complain")
    tell(bridge, alert(starts=START, ends=clock.forward(minutes=1), region="eu"))
    assert read(bridge).is_open


def test_what_is_over_already_raises_no_priority(bridge: Bridge, clock: Clock) -> None:
    told = alert("Slow", starts=START, severity="info")
    tell(bridge, told)
    worse = replace(told, fingerprint="f2", labels={**told.labels, "priority": "P1"})
    tell(bridge, replace(worse, starts_at=START, ends_at=START), replace(told, fingerprint="f3"))
    assert (read(bridge).priority, read(bridge).firing, pages(bridge)) == (Priority.P3, 2, [])


# Several deliveries in one transaction


def test_every_delivery_names_the_incident_of_what_it_told_though_another_told_it_too(
    bridge: Bridge, clock: Clock
) -> None:
    told = alert(starts=START)
    first = together(bridge, waiting(told, now=START), waiting(told, now=START))
    again = together(bridge, waiting(told, now=START), waiting(told, now=START))
    gone(bridge, told)
    operations.close(bridge, 1, LI, "a cable")
    back = together(bridge, waiting(told, now=START), waiting(told, now=START))
    over = replace(told, ends_at=clock.forward(minutes=1))
    then = together(bridge, waiting(over, now=clock()), waiting(told, now=clock()))
    outcomes = [*first, *again, *back, *then]
    assert [outcome.incidents for outcome in outcomes] == [("INC-1",)] * 4 + [("INC-2",)] * 4
    assert [outcome.new for outcome in outcomes] == [1, 0, 0, 0, 0, 0, 0, 0]
    with bridge.database.reading() as connection:
        assert connection.execute(select(deliveries.c.incidents)).scalars().all() == [[1]] * 5 + [[2]] * 4


def test_an_end_is_in_doubt_when_only_the_second_of_two_deliveries_was_cut_off(
    bridge: Bridge, clock: Clock
) -> None:
    told = alert(starts=START)
    tell(bridge, told)
    over = replace(told, ends_at=clock.forward(minutes=1))
    together(bridge, waiting(told, now=clock()), waiting(over, now=clock(), hidden=3))
    assert (read(bridge).is_open, read(bridge).held) == (True, True)


def test_a_late_heartbeat_that_a_cut_off_list_brings_back_is_over(
    bridge: Bridge, clock: Clock, tmp_path
) -> None:
    pulse = """{type: heartbeat, every: 1m, watches: main, match: ['alertname="Alive"']}"""
    add_sources(bridge, tmp_path, pulse=pulse)
    heartbeats.expect(bridge)
    clock.forward(minutes=3)
    heartbeats.tell_late(bridge)
    assert read(bridge, 1).is_open
    tell(bridge, alert("Alive", starts=clock()), hidden=3)
    assert read(bridge, 1).status is Status.RESOLVED


# Sources that do not say when it began


def test_an_end_of_nothing_opens_nothing_also_while_its_source_is_blind(bridge: Bridge, clock: Clock) -> None:
    bridge.database.run(lambda c: sources.blind(c, "main", "Prometheus does not answer", START))
    tell(bridge, replace(alert(starts=clock(), ends=clock()), undated=True))
    assert episodes(bridge) == []


def test_a_clock_that_is_set_back_hides_nothing_that_fires(bridge: Bridge, clock: Clock) -> None:
    tell(bridge, replace(alert(starts=clock()), undated=True))
    tell(bridge, replace(alert(starts=clock(), ends=clock()), undated=True))
    told = replace(alert(starts=clock.forward(seconds=-5)), undated=True)
    tell(bridge, told)
    assert [state for state, _, _ in episodes(bridge)] == ["resolved", "firing"]
    assert (read(bridge).is_open, read(bridge).firing) == (True, 1)


# Maintenance


def test_planned_work_on_one_alert_stops_no_pages_for_another_one_of_its_incident(
    make_bridge: Callable[..., Bridge], clock: Clock
) -> None:
    worst = """- {name: worst, match: ['severity="critical"'], priority: P1, incident_by: [service]}"""
    bridge = make_bridge(triage=f"{worst}\n- {{name: rest, priority: P2, incident_by: [service]}}\n")
    tell(bridge, alert(starts=START, severity="warning"))
    mute(bridge, 'severity="critical"')
    tell(bridge, alert(starts=clock.forward(minutes=1)))
    assert (read(bridge).priority, read(bridge).muted_until) == (Priority.P1, None)
    clock.forward(minutes=5)
    tick(bridge)
    assert pages(bridge) == [("li", "li-chat"), ("li", "li-chat"), ("han", "han-chat")]


@pytest.mark.parametrize("act", ["escalate", "judge", "reopen"])
def test_who_wants_a_muted_incident_paged_is_heard_at_once_and_only_once(
    bridge: Bridge, clock: Clock, act: str
) -> None:
    mute(bridge, 'service="payments"')
    told = alert("Y", starts=START, severity="warning")
    tell(bridge, told)
    if act == "escalate":
        operations.escalate(bridge, 1, LI, "look at it now")
    elif act == "judge":
        operations.set_priority(bridge, 1, LI, Priority.P1, "worse than planned")
    else:
        operations.resolve(bridge, 1, LI)
        operations.reopen(bridge, 1, LI, "not over")
    assert pages(bridge) == [("li", "li-chat")]
    assert (read(bridge).muted_until, kinds(bridge).count("unmuted")) == (None, 1)
    clock.forward(minutes=60)
    operations.unmute_due(bridge)
    assert pages(bridge) == [("li", "li-chat")]


def test_when_one_window_ends_what_another_one_covers_stays_muted(bridge: Bridge, clock: Clock) -> None:
    mute(bridge, 'region="eu"', 30)
    mute(bridge, 'region="us"', 60)
    tell(bridge, alert(starts=START, region="eu"), alert(starts=START, region="us"))
    clock.forward(minutes=10)
    tell(bridge, alert(starts=START, ends=clock(), region="eu"))
    clock.forward(minutes=20)
    tick(bridge)
    assert pages(bridge) == []
    clock.forward(minutes=30)
    tick(bridge)
    assert pages(bridge) == [("li", "li-chat")]


def test_an_alert_that_comes_back_after_its_window_was_cancelled_is_paged_once(
    bridge: Bridge, clock: Clock
) -> None:
    window = mute(bridge, 'service="payments"')
    told = alert(starts=START)
    tell(bridge, told)
    gone(bridge, told)
    upkeep.cancel(bridge, window, LI)
    clock.forward(minutes=1)
    tell(bridge, told)
    operations.acknowledge(bridge, 1, LI)
    assert (pages(bridge), read(bridge).muted_until) == ([("li", "li-chat")], None)


def test_what_is_over_already_ends_no_mute(bridge: Bridge, clock: Clock) -> None:
    mute(bridge, 'region="eu"')
    tell(bridge, alert(starts=START, region="eu"), alert(starts=START, ends=START, region="us"))
    assert (pages(bridge), read(bridge).muted_until is not None) == ([], True)
