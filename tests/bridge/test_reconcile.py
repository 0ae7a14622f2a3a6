"""Looks at Alertmanager's API repair what webhooks did not tell. A real server, both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select

from bridge import reconcile
from bridge.store import sources
from bridge.store.schema import deliveries
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.looks import fired, in_list, minutes, states
from tests.servers.alertmanager_api import Api, captured, listed, point
from tests.stories import alert, kinds, pages, read, tell


def count(bridge: Bridge, outcome: str) -> float | None:
    labels = {"source": "main", "outcome": outcome}
    return bridge.metrics.registry.get_sample_value("bridge_reconciled_total", labels)


def test_a_real_list_is_understood_and_only_open_alerts_of_our_receiver_are_admitted(
    bridge: Bridge, am: Api
) -> None:
    point(bridge, am.url, receivers=("incident-webhook",))
    am.alerts = captured("am_alerts")
    assert reconcile.look(bridge) == {"main": {"missed_firing": 3}}
    assert {name for name, _, _ in states(bridge)} == {"PaymentGatewayTimeout", "CustomSignal", "BadTemplate"}
    assert reconcile.look(bridge) == {"main": {}}


def test_a_missed_firing_is_paged_as_if_it_had_been_delivered(looked: Bridge, am: Api, clock: Clock) -> None:
    am.lists(listed("Down", START, fingerprint="f1"))
    clock.forward(seconds=44)
    reconcile.look(looked)
    assert states(looked) == []
    clock.forward(seconds=60)
    reconcile.look(looked)
    assert states(looked) == [("Down", "firing", "")]
    assert read(looked).began_at == START
    assert pages(looked)
    with looked.database.reading() as connection:
        assert connection.execute(select(deliveries.c.flaws)).scalar_one() == ["found by reconciliation"]
    assert count(looked, "missed_firing") == 1


def test_an_incident_that_looks_open_and_end_is_counted_once(looked: Bridge, am: Api, clock: Clock) -> None:
    am.lists(listed("Down", START, fingerprint="f1"))
    minutes(looked, clock, 1)
    am.lists()
    minutes(looked, clock, 2)
    assert read(looked).status == "resolved"
    sample = looked.metrics.registry.get_sample_value
    opened = {"priority": "P1", "client": "acme", "service": "payments"}
    assert sample("bridge_incidents_opened_total", opened) == 1
    assert sample("bridge_time_to_restore_seconds_count", {"priority": "P1"}) == 1


def test_the_webhook_that_comes_late_finds_its_episode(looked: Bridge, am: Api, clock: Clock) -> None:
    late = alert(starts=START)
    am.lists(in_list(late))
    clock.forward(seconds=60)
    reconcile.look(looked)
    assert tell(looked, late).new == 0
    assert len(pages(looked)) == 1


def test_receivers_that_deliveries_named_are_ours(looked: Bridge, am: Api, clock: Clock) -> None:
    fired(looked)
    am.lists(
        listed("Ours", START, fingerprint="f1", receivers=("ops",)),
        listed("Theirs", START, fingerprint="f2", receivers=("null",)),
    )
    clock.forward(seconds=60)
    reconcile.look(looked)
    assert ("Ours", "firing", "") in states(looked)
    assert "Theirs" not in {name for name, _, _ in states(looked)}


def test_a_missed_end_is_found_within_three_minutes(looked: Bridge, am: Api, clock: Clock) -> None:
    told = fired(looked)
    am.lists(in_list(told))
    minutes(looked, clock, 1)
    am.lists()
    minutes(looked, clock, 1)
    assert states(looked) == [(told.name, "firing", "")]
    minutes(looked, clock, 1)
    assert states(looked) == [(told.name, "resolved", "")]
    assert read(looked).status == "resolved"
    assert count(looked, "missed_end") == 1


def test_an_end_that_was_only_presumed_is_undone_without_a_second_incident(
    looked: Bridge, am: Api, clock: Clock
) -> None:
    told = fired(looked)
    minutes(looked, clock, 2)
    assert read(looked).status == "resolved"
    am.lists(in_list(told))
    minutes(looked, clock, 1)
    assert states(looked) == [(told.name, "firing", "")]
    assert read(looked).is_open
    assert count(looked, "false_end") == 1


def test_an_end_that_was_told_falsely_is_a_new_firing(looked: Bridge, am: Api, clock: Clock) -> None:
    told = fired(looked)
    clock.forward(minutes=2)
    tell(looked, alert(starts=START, ends=looked.now()), receiver="ops")
    assert not read(looked).is_open
    am.lists(in_list(told))
    minutes(looked, clock, 1)
    assert states(looked) == [(told.name, "resolved", ""), (told.name, "firing", "")]
    assert read(looked).is_open
    minutes(looked, clock, 1)
    am.lists()
    minutes(looked, clock, 2)
    assert {state for _, state, _ in states(looked)} == {"resolved"}


def test_silences_are_told_with_who_made_them_and_end_nothing(looked: Bridge, am: Api, clock: Clock) -> None:
    told = fired(looked)
    silence = captured("am_silences")[0]["id"]
    am.lists(in_list(told, silenced_by=(silence,)))
    minutes(looked, clock, 1)
    words = f"silence {silence} by oncall until 2026-11-22 04:14 UTC: 维护窗口 / maintenance"
    assert states(looked) == [(told.name, "silenced", words)]
    assert read(looked).is_open
    assert "alerts_silenced" in kinds(looked)
    am.lists(in_list(told))
    minutes(looked, clock, 1)
    assert states(looked) == [(told.name, "firing", "")]


def test_an_end_under_a_silence_is_found_though_no_webhook_ever_tells_it(
    looked: Bridge, am: Api, clock: Clock
) -> None:
    told = fired(looked)
    am.lists(in_list(told, silenced_by=("s1",)))
    minutes(looked, clock, 1)
    am.lists()
    minutes(looked, clock, 2)
    assert [state for _, state, _ in states(looked)] == ["resolved"]


def test_looks_are_a_minute_apart_and_one_replica_does_each(looked: Bridge, am: Api, clock: Clock) -> None:
    with ThreadPoolExecutor(4) as replicas:
        list(replicas.map(lambda _: reconcile.look_due(looked), range(4)))
    assert am.asked.count("v2/alerts") == 1
    for _ in range(11):
        clock.forward(seconds=5)
        reconcile.look_due(looked)
    assert am.asked.count("v2/alerts") == 2


def test_a_source_that_cuts_alerts_off_is_looked_at_at_once_and_nothing_waits_for_a_webhook(
    looked: Bridge, am: Api, clock: Clock
) -> None:
    reconcile.look_due(looked)
    clock.forward(seconds=10)
    told = alert(starts=looked.now())
    tell(looked, told, hidden=3, receiver="ops")
    tell(looked, alert(starts=told.starts_at, ends=looked.now()), hidden=3, receiver="ops")
    assert read(looked).held
    am.lists(in_list(told), listed("PaymentGatewayTimeout", looked.now(), fingerprint="hidden"))
    clock.forward(seconds=5)
    assert reconcile.look_due(looked)
    assert [state for _, state, _ in states(looked)] == ["resolved", "firing"]
    assert not read(looked).held
    assert read(looked).is_open
    asked = len(am.asked)
    clock.forward(seconds=5)
    reconcile.look_due(looked)
    assert len(am.asked) == asked


def test_a_source_without_an_api_is_left_alone(bridge: Bridge, clock: Clock) -> None:
    told = fired(bridge)
    for _ in range(5):
        clock.forward(minutes=10)
        assert not reconcile.look_due(bridge)
    assert states(bridge) == [(told.name, "firing", "")]
    assert reconcile.look(bridge) == {}


def test_ten_thousand_alerts_are_one_look(looked: Bridge, am: Api, clock: Clock) -> None:
    am.lists(
        *(listed("Down", START, fingerprint=f"f{n}", host=f"h{n}", note="x" * 300) for n in range(10_000))
    )
    minutes(looked, clock, 1)
    assert count(looked, "missed_firing") == 10_000
    minutes(looked, clock, 1)
    assert count(looked, "missed_firing") == 10_000
    am.lists()
    minutes(looked, clock, 2)
    assert count(looked, "missed_end") == 10_000
    assert read(looked).status == "resolved"


def test_when_it_was_looked_at_is_known(looked: Bridge, am: Api, clock: Clock) -> None:
    reconcile.look(looked)
    clock.forward(seconds=60)
    am.fail()
    reconcile.look(looked)
    with looked.database.reading() as connection:
        state = sources.states(connection)["main"]
    assert (state.looked_at, state.answered_at) == (START + timedelta(seconds=60), START)
