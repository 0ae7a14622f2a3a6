"""A source that cannot see: noticed, told once, its ends doubted, and settled when it sees again."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from bridge import reconcile
from bridge.store import sources
from bridge.store.schema import deliveries, incidents
from bridge.store.sources import SourceState
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.looks import fired, in_list, minutes, states
from tests.servers.alertmanager_api import Api, api, point
from tests.servers.http import Behaviour, free_port, says, speaks
from tests.stories import alert, pages, read, tell

PROMETHEUS = "/api/v1/query"
DOUBTED = "told as ended while monitoring was blind: Prometheus did not answer once"


def state(bridge: Bridge) -> SourceState:
    with bridge.database.reading() as connection:
        return sources.state(connection, "main")


def blind(bridge: Bridge) -> list[tuple[str, str]]:
    """Priority and status of the incidents about blindness."""
    query = select(incidents).where(incidents.c.title.startswith("Monitoring is blind"))
    with bridge.database.reading() as connection:
        return [(row.priority, row.status) for row in connection.execute(query)]


@pytest.mark.parametrize(
    "silence",
    [
        says(503),
        says(404),
        says(302, headers={"Location": "http://127.0.0.1:1/"}),
        says(200, b"<html>"),
        says(200, {"status": "success"}),
        says(200, [{"fingerprint": "f1"}]),
        says(
            200, [{"fingerprint": "f1", "startsAt": "yesterday", "status": {"state": "active"}, "labels": {}}]
        ),
        speaks(b""),
    ],
    ids=["503", "404", "redirect", "no JSON", "another JSON", "parts missing", "no time", "nothing"],
)
def test_no_answer_at_two_looks_opens_one_incident_and_an_answer_ends_it(
    looked: Bridge, am: Api, clock: Clock, silence: Behaviour
) -> None:
    minutes(looked, clock, 1)
    am.fail("/api/v2/alerts", by=silence)
    minutes(looked, clock, 1)
    assert (blind(looked), state(looked).blind_since) == ([], None)
    minutes(looked, clock, 1)
    assert blind(looked) == [("P2", "triggered")]
    assert state(looked).blind_since == START + timedelta(minutes=2)
    assert state(looked).causes == ("Alertmanager does not answer",)
    minutes(looked, clock, 5)
    with looked.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(deliveries)).scalar_one() == 1
    am.recover()
    minutes(looked, clock, 1)
    assert blind(looked) == [("P2", "resolved")]
    assert state(looked).blind_since is None


def test_an_address_where_nobody_listens_is_told_without_its_password(looked: Bridge, clock: Clock) -> None:
    point(looked, f"http://user:geheim@127.0.0.1:{free_port()}")
    minutes(looked, clock, 3)
    assert len(pages(looked)) >= 1
    with looked.database.reading() as connection:
        told = connection.execute(select(deliveries)).all()
    assert "geheim" not in repr(told)
    assert blind(looked) == [("P2", "triggered")]


def test_one_answering_peer_is_enough_to_see(looked: Bridge, am: Api, clock: Clock) -> None:
    with api() as second:
        second.fail()
        point(looked, am.url, second.url)
        minutes(looked, clock, 4)
    assert (blind(looked), state(looked).blind_since) == ([], None)


def test_looks_on_demand_do_not_hurry_the_judgement(looked: Bridge, am: Api, clock: Clock) -> None:
    minutes(looked, clock, 1)
    am.fail()
    for _ in range(5):
        clock.forward(seconds=5)
        reconcile.look(looked)
    assert blind(looked) == []


def test_when_prometheus_dies_what_ends_is_doubted_at_once_and_people_hear_at_the_second_look(
    looked: Bridge, am: Api, clock: Clock
) -> None:
    told = fired(looked)
    am.lists(in_list(told))
    point(looked, am.url, prometheus=am.url)
    minutes(looked, clock, 1)
    am.fail(PROMETHEUS)
    minutes(looked, clock, 1)
    assert blind(looked) == []
    am.lists()
    tell(looked, alert(starts=START, ends=looked.now()), receiver="ops")
    assert states(looked) == [(told.name, "stale", DOUBTED)]
    minutes(looked, clock, 1)
    assert blind(looked) == [("P2", "triggered")]
    assert state(looked).causes == ("Prometheus does not answer",)
    assert state(looked).blind_since == START + timedelta(minutes=2)
    minutes(looked, clock, 5)
    assert states(looked)[0][1] == "stale"
    assert read(looked).is_open


@pytest.mark.parametrize(("fires", "expected"), [(True, "firing"), (False, "resolved")])
def test_when_the_source_sees_again_the_list_decides_about_what_was_doubted(
    looked: Bridge, am: Api, clock: Clock, *, fires: bool, expected: str
) -> None:
    told = fired(looked)
    point(looked, am.url, prometheus=am.url)
    am.fail(PROMETHEUS)
    minutes(looked, clock, 2)
    tell(looked, alert(starts=START, ends=looked.now()), receiver="ops")
    am.recover()
    am.lists(*([in_list(told)] if fires else []))
    minutes(looked, clock, 1)
    assert states(looked)[0][1] == ("firing" if fires else "stale")
    assert blind(looked) == [("P2", "resolved")]
    minutes(looked, clock, 1)
    assert states(looked)[0][1] == expected
    assert read(looked).is_open is fires


def test_one_missed_answer_of_prometheus_wakes_nobody(looked: Bridge, am: Api, clock: Clock) -> None:
    point(looked, am.url, prometheus=am.url)
    for _ in range(3):
        am.fail(PROMETHEUS)
        minutes(looked, clock, 1)
        assert state(looked).blind_since is not None
        am.recover()
        minutes(looked, clock, 1)
        assert state(looked).blind_since is None
    assert blind(looked) == []


def test_a_blind_source_ends_nothing_and_still_shows_what_fires(
    looked: Bridge, am: Api, clock: Clock
) -> None:
    fired(looked)
    other = alert("Other", starts=START, gateway="wechat")
    point(looked, am.url, prometheus=am.url)
    am.fail(PROMETHEUS)
    am.lists(in_list(other))
    minutes(looked, clock, 5)
    assert {name: held for name, held, _ in states(looked)} == {
        "PaymentGatewayTimeout": "firing",
        "Other": "firing",
    }


def test_what_a_heartbeat_found_only_a_heartbeat_withdraws(looked: Bridge, am: Api, clock: Clock) -> None:
    told = fired(looked)
    late = "heartbeat pulse is late"
    looked.database.run(lambda connection: sources.blind(connection, "main", late, looked.now()))
    point(looked, am.url, prometheus=am.url)
    am.fail(PROMETHEUS)
    minutes(looked, clock, 2)
    assert state(looked).causes == (late, "Prometheus does not answer")
    am.recover()
    minutes(looked, clock, 3)
    assert state(looked).causes == (late,)
    assert states(looked) == [(told.name, "firing", "")]
    looked.database.run(lambda connection: sources.seeing(connection, "main", late))
    minutes(looked, clock, 2)
    assert states(looked) == [(told.name, "resolved", "")]


def test_a_source_that_is_no_longer_looked_at_is_no_longer_blind(
    looked: Bridge, am: Api, clock: Clock
) -> None:
    am.fail()
    minutes(looked, clock, 2)
    assert blind(looked) == [("P2", "triggered")]
    point(looked)
    reconcile.look_due(looked)
    assert state(looked).blind_since is None
    assert blind(looked) == [("P2", "resolved")]


def test_blindness_is_a_metric_of_every_replica(looked: Bridge, am: Api, clock: Clock) -> None:
    def gauge(bridge: Bridge, source: str = "main") -> float | None:
        return bridge.metrics.registry.get_sample_value("bridge_source_blind", {"source": source})

    am.fail()
    minutes(looked, clock, 2)
    replica = dataclasses.replace(looked, metrics=type(looked.metrics)())
    reconcile.look_due(replica)
    assert (gauge(replica), gauge(replica, "form")) == (1, 0)
    am.recover()
    minutes(looked, clock, 1)
    reconcile.look_due(replica)
    assert gauge(replica) == 0


def test_a_source_that_is_gone_is_no_metric_any_more(looked: Bridge, am: Api, clock: Clock) -> None:
    am.fail()
    minutes(looked, clock, 2)
    reconcile.look_due(looked)
    sample = looked.metrics.registry.get_sample_value
    assert sample("bridge_source_blind", {"source": "main"}) == 1
    rest = {name: typed for name, typed in looked.config.sources.items() if name != "main"}
    looked.use(dataclasses.replace(looked.config, sources=rest))
    reconcile.look_due(looked)
    assert sample("bridge_source_blind", {"source": "main"}) is None
    assert blind(looked) == [("P2", "resolved")]
    assert sample("bridge_time_to_restore_seconds_count", {"priority": "P2"}) == 1
