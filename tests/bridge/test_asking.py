"""Whom a look asks, and what follows from answers that are late, young or missing. Both databases."""

from __future__ import annotations

from typing import Any

from bridge import reconcile
from bridge.wiring import Bridge
from tests.conftest import START, Clock
from tests.looks import fired, in_list, minutes, states
from tests.servers.alertmanager_api import Api, api, listed, point
from tests.servers.http import hangs
from tests.stories import read


def test_an_alert_a_time_interval_mutes_is_not_admitted(looked: Bridge, am: Api, clock: Clock) -> None:
    muted = listed("Down", START, fingerprint="f1")
    in_group = {**muted, "status": {**muted["status"], "state": "suppressed", "mutedBy": ["nights"]}}
    am.lists(muted)
    am.groups = [{"receiver": {"name": "ops"}, "labels": {}, "alerts": [in_group]}]
    minutes(looked, clock, 2)
    assert states(looked) == []
    am.groups = []
    minutes(looked, clock, 1)
    assert states(looked) == [("Down", "firing", "")]


def test_a_pair_is_asked_as_one(looked: Bridge, am: Api, clock: Clock) -> None:
    told = fired(looked)
    with api() as second:
        second.lists(in_list(told))
        point(looked, am.url, second.url)
        minutes(looked, clock, 3)
        assert states(looked) == [(told.name, "firing", "")]
        second.fail()
        minutes(looked, clock, 2)
        assert states(looked) == [(told.name, "resolved", "")]


def test_a_peer_that_has_just_started_proves_no_end_yet(looked: Bridge, am: Api, clock: Clock) -> None:
    told = fired(looked)
    am.status = {**am.status, "uptime": "2026-11-25T02:00:40.000Z"}
    minutes(looked, clock, 2)
    assert states(looked) == [(told.name, "firing", "")]
    minutes(looked, clock, 1)
    assert states(looked) == [(told.name, "resolved", "")]


def test_what_prometheus_still_fires_is_stale_and_ends_when_it_lets_go(
    looked: Bridge, am: Api, clock: Clock
) -> None:
    told = fired(looked)
    labels = {name: value for name, value in told.labels.items() if name != "client"}  # an external label
    am.rules = [{"labels": labels, "annotations": {}, "state": "firing", "value": "1e+00"}]
    point(looked, am.url, prometheus=am.url)
    minutes(looked, clock, 4)
    assert states(looked) == [
        (told.name, "stale", "Alertmanager no longer lists it, Prometheus still fires it")
    ]
    assert read(looked).is_open
    am.rules = []
    minutes(looked, clock, 1)
    assert states(looked)[0][1] == "resolved"


def test_a_store_without_rules_cannot_be_asked_and_prevents_nothing(
    looked: Bridge, am: Api, clock: Clock
) -> None:
    fired(looked)
    am.down = {"/api/v1/alerts": lambda exchange: None}
    point(looked, am.url, prometheus=am.url)
    minutes(looked, clock, 3)
    assert states(looked)[0][1] == "firing"  # no answer: asked again at the next look
    am.down = {}
    am.fail(
        "/api/v1/alerts", by=lambda exchange: exchange.send(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    )
    minutes(looked, clock, 1)
    assert states(looked)[0][1] == "resolved"


def test_a_source_that_hangs_does_not_delay_the_others(
    looked: Bridge, am: Api, clock: Clock, monkeypatch: Any
) -> None:
    monkeypatch.setattr("bridge.alertmanager.SECONDS", 1.0)
    with api() as slow:
        slow.fail(by=hangs())
        point(looked, slow.url, source="second")
        am.lists(listed("Down", START, fingerprint="f1"))
        clock.forward(seconds=60)
        assert reconcile.look(looked) == {"main": {"missed_firing": 1}, "second": {}}
