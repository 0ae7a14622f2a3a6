"""PagerDuty's route answers as PagerDuty does; nothing with a known key is lost. Both databases."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bridge.model import Status
from bridge.store.database import Unavailable
from bridge.store.schema import alerts, incidents, quarantine
from tests.senders import add_sources
from tests.stories import kinds, pages, read

CAPTURED = Path(__file__).parents[2] / "fixtures" / "pagerduty"
KEY = "0123456789abcdef0123456789abcdef"
PATH = "/v2/enqueue"
PAYLOAD = {
    "summary": "db-1 down",
    "source": "db-1",
    "severity": "critical",
    "custom_details": {"service": "payments"},
}
EVENT = {"routing_key": KEY, "event_action": "trigger", "dedup_key": "db-1", "payload": PAYLOAD}


@pytest.fixture(autouse=True)
def _senders(bridge, tmp_path):
    other = "{type: pagerduty, token: ffffffffffffffffffffffffffffffff, client: nord}"
    add_sources(bridge, tmp_path, pd=f"{{type: pagerduty, token: {KEY}, client: acme}}", other=other)


def captured(name):
    return (CAPTURED / f"{name}.json").read_bytes()


def count(bridge, table):
    with bridge.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def send(client, **changes):
    return client.post(PATH, json={**EVENT, **changes})


def test_a_trigger_is_stored_before_it_is_answered_as_pagerduty_answers(bridge, client):
    answer = send(client)
    assert (answer.status_code, answer.mimetype) == (202, "application/json")
    assert answer.json == {"status": "success", "message": "Event processed", "dedup_key": "db-1"}
    assert bridge.metrics.registry.get_sample_value("bridge_ingest_seconds_count") == 1
    found = read(bridge)
    assert (found.title, found.client, found.service, found.priority) == (
        "db-1 down",
        "acme",
        "payments",
        "P1",
    )


def test_repeats_are_one_incident_and_the_end_restores_it(bridge, client):
    for _ in range(3):
        assert send(client).status_code == 202
    assert count(bridge, alerts) == 1
    assert send(client, event_action="resolve", payload=None).status_code == 202
    assert read(bridge).status is Status.RESOLVED
    assert (count(bridge, incidents), len(pages(bridge))) == (1, 1)


def test_acknowledge_takes_the_incident(bridge, client):
    send(client)
    answer = client.post(PATH, json={"routing_key": KEY, "event_action": "acknowledge", "dedup_key": "db-1"})
    assert (answer.status_code, answer.json["dedup_key"]) == (202, "db-1")
    assert read(bridge).status is Status.ACKNOWLEDGED
    assert "acknowledged" in kinds(bridge)


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_what_nobody_knows_is_202_and_does_nothing(bridge, client, action):
    assert send(client, event_action=action, dedup_key="never heard of").status_code == 202
    assert (count(bridge, alerts), count(bridge, incidents)) == (0, 0)


def test_a_key_of_another_source_touches_no_alert_of_this_one(bridge, client):
    send(client)
    send(client, routing_key="f" * 32, event_action="resolve")
    assert read(bridge).status is Status.TRIGGERED


def test_a_trigger_without_a_key_is_given_one_that_ends_it(bridge, client):
    given = send(client, dedup_key=None).json["dedup_key"]
    send(client, event_action="resolve", dedup_key=given)
    assert read(bridge).status is Status.RESOLVED


def test_after_the_end_a_trigger_is_a_new_episode_whatever_it_says_of_its_time(bridge, client, clock):
    old = {**PAYLOAD, "timestamp": "2015-07-17T08:42:58.315+0000"}
    for action in ("trigger", "resolve", "trigger"):
        send(client, event_action=action, payload=old)
        clock.forward(minutes=1)
    with bridge.database.reading() as connection:
        rows = connection.execute(select(alerts.c.state).order_by(alerts.c.starts_at)).scalars().all()
    assert rows == ["resolved", "firing"]


def test_a_scoped_token_is_a_routing_key(bridge, client, token):
    secret = token("ingest:pd")["Authorization"].removeprefix("Bearer ")
    assert send(client, routing_key=secret).status_code == 202
    assert read(bridge).client == "acme"


@pytest.mark.parametrize(
    "key",
    ["", None, 7, "wrong", KEY[:-1], KEY + "0", "é" * 32, "\ud800", "ingest-secret", "x" * 100_000, [KEY]],
    ids=lambda key: ascii(key)[:20],
)
def test_an_unknown_key_is_400_and_stores_nothing(bridge, client, key):
    answer = send(client, routing_key=key)
    assert (answer.status_code, answer.json["status"]) == (400, "invalid event")
    assert answer.json["message"] == "Event object is invalid"
    assert count(bridge, quarantine) == count(bridge, incidents) == 0


def test_a_key_that_serves_several_sources_is_no_key(bridge, client, token):
    secret = token("ingest:pd", "ingest:other")["Authorization"].removeprefix("Bearer ")
    assert send(client, routing_key=secret).status_code == 400
    assert count(bridge, incidents) == 0


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"[" * 200_000, b"\xff\xfe"])
def test_what_is_no_object_is_400(bridge, client, body):
    answer = client.post(PATH, data=body)
    assert (answer.status_code, answer.json["errors"]) == (400, ["the event is not a JSON object"])
    assert count(bridge, quarantine) == 0, "it may be anybody's"


def test_an_event_that_pagerduty_refuses_is_refused_counted_and_kept(bridge, client):
    answer = send(client, payload={"summary": "x"}, event_action="trigger")
    assert answer.status_code == 400
    assert answer.json["errors"] == [
        "'payload.source' is missing or blank",
        "'payload.severity' is missing or blank",
    ]
    with bridge.database.reading() as connection:
        kept = connection.execute(select(quarantine)).one()
    assert (kept.source, kept.kind) == ("pd", "pagerduty")
    assert json.loads(kept.body)["payload"] == {"summary": "x"}
    assert read(bridge).title == "A delivery could not be understood"
    counted = bridge.metrics.registry.get_sample_value("bridge_quarantined_total", {"source": "pd"})
    assert counted == 1


def test_a_database_that_is_away_is_503_where_pagerduty_says_429(client, intake, monkeypatch):
    def away(_):
        raise Unavailable("disk full")

    monkeypatch.setattr(intake, "submit", away)
    answer = send(client)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert set(answer.json) == {"status", "message", "errors"}
    assert "disk full" not in answer.text


def test_an_event_that_breaks_the_program_is_kept(bridge, client, intake, monkeypatch):
    def broken(_):
        raise ZeroDivisionError

    monkeypatch.setattr(intake, "submit", broken)
    assert send(client).status_code == 202
    assert count(bridge, quarantine) == 1


def test_too_large_is_413_in_pagerdutys_shape(client):
    large = {**EVENT, "client": "x" * 1024 * 1024}
    for answer in (
        client.post(PATH, json=large),
        client.post(
            PATH, data=gzip.compress(json.dumps(large).encode()), headers={"Content-Encoding": "gzip"}
        ),
    ):
        assert (answer.status_code, answer.json["status"]) == (413, "event too large")
        assert len(answer.json["errors"]) == 1


def test_a_packed_event_is_unpacked(client):
    packed = gzip.compress(json.dumps(EVENT).encode())
    assert client.post(PATH, data=packed, headers={"Content-Encoding": "gzip"}).status_code == 202


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_only_posts_are_taken(client, method):
    answer = client.open(PATH, method=method, json=EVENT)
    assert (answer.status_code, set(answer.json)) == (405, {"status", "message", "errors"})


def test_what_a_real_alertmanager_sends_is_one_incident_from_begin_to_end(bridge, client):
    for name in ("trigger", "trigger_second_alert", "resolve"):
        assert client.post(PATH, data=captured(f"alertmanager_{name}")).status_code == 202
    assert (count(bridge, incidents), count(bridge, alerts)) == (1, 1)
    assert read(bridge).title == "[FIRING:1] PaymentGatewayTimeout (acme gw-1 eu-west payments critical)"
    assert read(bridge).status is Status.RESOLVED
