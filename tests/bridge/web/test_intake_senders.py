"""Grafana's signed webhooks and heartbeats over HTTP; bodies that are packed. Both databases."""

from __future__ import annotations

import gzip
import hashlib
import hmac
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bridge import heartbeats
from bridge.model import Status
from bridge.store.database import Unavailable
from bridge.store.schema import alerts, incidents, quarantine
from bridge.wiring import read_config
from tests.conftest import payload
from tests.senders import add_sources
from tests.stories import read

HEADER = "X-Grafana-Alerting-Signature"
MAIN = {"Authorization": "Bearer ingest-secret"}


@pytest.fixture(autouse=True)
def _senders(bridge, tmp_path):
    add_sources(
        bridge,
        tmp_path,
        signed="{type: grafana, secret: signing-secret}",
        timed="{type: grafana, secret: timed-secret, timestamp_header: X-Time, signature_header: X-Seal}",
        both="{type: grafana, secret: both-secret, token: both-token}",
        plain="{type: grafana, token: plain-token}",
        backup="{type: heartbeat, every: 1m, token: beat-token, service: backups}",
        nightly="{type: heartbeat, every: 1d, grace: 1h}",
    )


def written(name="firing_two"):
    return (Path(__file__).parents[2] / "fixtures" / "grafana" / f"{name}.json").read_bytes()


def seal(secret, body, header=HEADER, before=""):
    return {header: hmac.new(secret.encode(), before.encode() + body, hashlib.sha256).hexdigest()}


def count(bridge, table):
    with bridge.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def post(client, name, headers, body=None, **other):
    return client.post(
        f"/ingest/grafana/{name}", data=written() if body is None else body, headers=headers, **other
    )


def test_a_signed_delivery_needs_no_token(bridge, client):
    answer = post(client, "signed", seal("signing-secret", written()))
    assert (answer.status_code, answer.json["new"]) == (200, 2)
    assert count(bridge, alerts) == 2


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_grafana_may_post_or_put_and_the_signature_tells_the_source(bridge, client, method):
    headers = seal("signing-secret", written())
    answer = client.open("/ingest/grafana", method=method, data=written(), headers=headers)
    assert answer.status_code == 200
    with bridge.database.reading() as connection:
        assert set(connection.execute(select(alerts.c.source)).scalars()) == {"signed"}


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("signed", {}),
        ("signed", {"Authorization": "Bearer signing-secret"}),
        ("signed", {HEADER: "0" * 64}),
        ("signed", {HEADER: "é" * 64}),
        ("signed", {HEADER: "x" * 100_000}),
        ("signed", seal("both-secret", written())),
        ("signed", seal("signing-secret", written() + b" ")),
        ("both", seal("both-secret", written())),
        ("both", {"Authorization": "Bearer both-token"}),
        ("both", {**seal("wrong", written()), "Authorization": "Bearer both-token"}),
        ("timed", seal("timed-secret", written(), "X-Seal")),
        ("plain", seal("plain-token", written())),
        ("plain", {}),
        ("main", MAIN),
        ("nobody", seal("signing-secret", written())),
    ],
    ids=lambda value: str(value)[:40],
)
def test_without_its_signature_or_token_nothing_is_taken(bridge, client, name, headers):
    answer = post(client, name, headers)
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert count(bridge, alerts) == count(bridge, incidents) == 0


def test_with_a_secret_and_a_token_both_are_needed(client):
    headers = {**seal("both-secret", written()), "Authorization": "Bearer both-token"}
    assert post(client, "both", headers).status_code == 200


def test_a_scoped_token_does_not_stand_for_a_signature(client, token):
    scoped = token("ingest:signed", "ingest:both")
    assert post(client, "signed", scoped).status_code == 401
    assert post(client, "both", {**scoped, **seal("both-secret", written())}).status_code == 200


def test_a_signed_time_is_good_for_five_minutes(client, clock):
    told = str(int(clock().timestamp()))
    headers = {**seal("timed-secret", written(), "X-Seal", f"{told}:"), "X-Time": told}
    clock.forward(seconds=299)
    assert post(client, "timed", headers).status_code == 200
    clock.forward(seconds=2)
    assert post(client, "timed", headers).status_code == 401


def test_what_is_signed_is_the_body_as_it_came(client):
    packed = gzip.compress(written())
    zipped = {"Content-Encoding": "gzip"}
    assert post(client, "signed", {**seal("signing-secret", packed), **zipped}, packed).json["alerts"] == 2
    assert post(client, "signed", {**seal("signing-secret", written()), **zipped}, packed).status_code == 401


def test_a_signed_body_that_is_not_understood_is_kept(bridge, client):
    body = b'{"custom": "payload"}'
    answer = post(client, "signed", seal("signing-secret", body), body)
    assert (answer.status_code, "custom payload" in answer.json["quarantined"]) == (200, True)
    assert count(bridge, quarantine) == 1


def test_a_body_too_large_to_check_its_signature_is_413_and_opens_nothing(bridge, client, tmp_path):
    file = tmp_path / "bridge.yml"
    file.write_text(file.read_text("utf-8") + "\nintake: {largest_body: 1000}\n", "utf-8")
    bridge.use(read_config(file))
    assert post(client, "signed", seal("signing-secret", written())).status_code == 413
    assert post(client, "signed", {HEADER: "no signature at all"}).status_code == 401
    assert count(bridge, incidents) == 0


def test_no_data_is_monitoring_that_is_blind(bridge, client):
    post(client, "plain", {"Authorization": "Bearer plain-token"}, written("no_data"))
    assert read(bridge).priority == "P2"
    assert "blind" in read(bridge).title


# Heartbeats


def test_a_beat_is_answered_with_the_time_of_the_next(bridge, client, clock):
    clock.forward(seconds=30)
    answer = client.post("/heartbeat/backup", headers={"Authorization": "Bearer beat-token"})
    assert answer.status_code == 200
    assert answer.json == {
        "trace": answer.json["trace"],
        "heartbeat": "backup",
        "next_by": (clock() + timedelta(minutes=2)).isoformat().replace("+00:00", "Z"),
    }


def test_late_it_opens_an_incident_and_a_beat_ends_it(bridge, client, clock):
    heartbeats.expect(bridge)
    clock.forward(minutes=3)
    heartbeats.tell_late(bridge)
    assert (read(bridge).status, read(bridge).service) == (Status.TRIGGERED, "backups")
    client.post("/heartbeat/backup", headers={"Authorization": "Bearer beat-token"}, data=b"x" * 5_000)
    assert read(bridge).status is Status.RESOLVED
    assert heartbeats.tell_late(bridge) == 0


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("backup", {}),
        ("backup", {"Authorization": "Bearer wrong"}),
        ("backup", MAIN),
        ("nightly", {"Authorization": "Bearer beat-token"}),
        ("main", MAIN),
        ("nobody", {"Authorization": "Bearer beat-token"}),
    ],
)
def test_only_its_own_token_beats(bridge, client, name, headers):
    answer = client.post(f"/heartbeat/{name}", headers=headers)
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")


def test_a_scoped_token_beats(client, token):
    assert client.post("/heartbeat/nightly", headers=token("ingest:nightly")).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_looking_is_no_beat(bridge, client, method):
    answer = client.open("/heartbeat/backup", method=method, headers={"Authorization": "Bearer beat-token"})
    assert answer.status_code == 405
    heartbeats.expect(bridge)
    with bridge.database.reading() as connection:
        from bridge.store import heartbeats as rows

        assert rows.every(connection)["backup"].last_at is None


def test_a_beat_that_cannot_be_stored_is_503(client, intake, monkeypatch):
    for failure in (Unavailable("disk full"), ZeroDivisionError()):

        def fails(_, failure=failure):
            raise failure

        monkeypatch.setattr(intake, "submit", fails)
        answer = client.post("/heartbeat/backup", headers={"Authorization": "Bearer beat-token"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# Packed bodies


def packed(client, body, encoding="gzip"):
    return client.post("/ingest/alertmanager/main", data=body, headers={**MAIN, "Content-Encoding": encoding})


def test_a_gzip_of_several_members_is_one_body(client):
    whole = payload("firing_group_3")
    body = gzip.compress(whole[:500]) + gzip.compress(whole[500:]) + gzip.compress(b"")
    assert packed(client, body).json["new"] == 3
    assert packed(client, gzip.compress(whole), "x-GZIP").json["alerts"] == 3


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(payload("firing_single")) * 2,
        gzip.compress(payload("firing_single")) + b"rubbish",
        gzip.compress(b"") * 100_000,
        gzip.compress(payload("firing_single"))[:-30],
    ],
    ids=["two bodies", "rubbish behind it", "100,000 members", "the end is missing"],
)
def test_a_gzip_that_is_no_body_is_kept(bridge, client, body):
    answer = packed(client, body)
    assert (answer.status_code, "quarantined" in answer.json) == (200, True)
    assert count(bridge, quarantine) == 1
