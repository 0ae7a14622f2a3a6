"""The short way has one outcome; whatever is unusual goes the long way and ends as it would without it."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import func, select

from bridge.intake import Intake
from bridge.store import people
from bridge.store.database import Unavailable
from bridge.store.schema import alerts, quarantine
from bridge.web import create_app, fastlane
from bridge.wiring import Bridge
from tests.conftest import payload

MAIN = {"Authorization": "Bearer ingest-secret"}
PATH = "/ingest/alertmanager/main"
FIRING = payload("firing_single")


class Counting:
    """The Flask application behind the lane, counting what reaches it."""

    def __init__(self, app: Flask) -> None:
        self.app, self.inner, self.reached = app, app.extensions["fastlane"]._app, 0
        app.extensions["fastlane"]._app = self

    def __call__(self, environ, start_response):
        self.reached += 1
        return self.inner(environ, start_response)

    def post(self, body: bytes = FIRING, path: str = PATH, **headers: str):
        """One request; how often Flask was reached by it, and the answer."""
        before = self.reached
        answer = self.app.test_client().post(path, data=body, headers=MAIN | headers)
        return self.reached - before, answer


@pytest.fixture
def lane(bridge: Bridge, intake: Intake) -> Counting:
    """A lane whose sender was let in a moment ago."""
    counting = Counting(create_app(bridge, intake))
    assert counting.post()[0] == 1
    return counting


def count(bridge: Bridge, table: object) -> int:
    with bridge.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]


def test_the_second_plain_webhook_is_stored_without_flask(bridge, lane):
    reached, answer = lane.post(payload("firing_group_3"))
    assert (reached, answer.status_code, answer.json["new"]) == (0, 200, 3)
    assert answer.headers["Content-Type"] == "application/json"
    assert count(bridge, alerts) == 4
    stored = "bridge_notifications_received_total"
    assert bridge.metrics.registry.get_sample_value(stored, {"source": "main", "result": "stored"}) == 2


@pytest.mark.parametrize(
    ("body", "path", "headers", "status"),
    [
        pytest.param(FIRING, PATH, {"Authorization": "Bearer wrong"}, 401, id="another token"),
        pytest.param(FIRING, "/ingest/alertmanager", {}, 200, id="another path"),
        pytest.param(gzip.compress(FIRING), PATH, {"Content-Encoding": "gzip"}, 200, id="packed"),
        pytest.param(b"{", PATH, {}, 200, id="unreadable"),
        pytest.param(b"", PATH, {}, 200, id="empty"),
    ],
)
def test_whatever_is_unusual_goes_the_long_way(lane, body, path, headers, status):
    reached, answer = lane.post(body, path, **headers)
    assert (reached, answer.status_code) == (1, status)


def test_an_unreadable_body_is_whole_in_quarantine(bridge, lane):
    lane.post(b'{"half": ')
    with bridge.database.reading() as connection:
        assert connection.execute(select(quarantine.c.body)).scalar_one() == b'{"half": '


def test_too_much_goes_the_long_way_and_is_413(make_bridge):
    bridge = make_bridge(more="intake: {largest_body: 4000}")
    running = Intake(bridge)
    running.start()
    lane = Counting(create_app(bridge, running))
    lane.post()
    reached, answer = lane.post(FIRING + b" " * 4000)
    running.stop()
    assert (reached, answer.status_code) == (1, 413)


def test_a_sender_is_known_for_half_a_second_only(lane, monkeypatch):
    real = fastlane.time.monotonic
    monkeypatch.setattr(fastlane.time, "monotonic", lambda: real() + fastlane.KNOWN_SECONDS + 0.01)
    assert lane.post()[0] == 1


def test_a_revoked_token_is_let_in_no_longer(bridge, intake, monkeypatch):
    secret = bridge.database.run(lambda c: people.new_token(c, "am", ["ingest:main"], bridge.now()))
    lane = Counting(create_app(bridge, intake))
    mine = {"Authorization": f"Bearer {secret}"}
    assert [lane.post(**mine)[0], lane.post(**mine)[0]] == [1, 0]
    bridge.database.run(lambda c: people.revoke_token(c, "am", bridge.now()))
    real = fastlane.time.monotonic
    monkeypatch.setattr(fastlane.time, "monotonic", lambda: real() + 0.6)
    reached, answer = lane.post(**mine)
    assert (reached, answer.status_code) == (1, 401)


def test_a_reload_lets_nobody_in_unseen(bridge, lane):
    snapshot = bridge._in_force.snapshot
    bridge._in_force.snapshot = replace(snapshot, config=replace(snapshot.config, version="other"))
    assert lane.post()[0] == 1


def test_a_database_that_cannot_is_503_on_the_short_way_too(lane, intake, monkeypatch):
    def cannot(waiting):
        raise Unavailable("busy")

    monkeypatch.setattr(intake, "submit", cannot)
    reached, answer = lane.post()
    assert (reached, answer.status_code, answer.headers["Retry-After"]) == (0, 503, "5")
    assert answer.mimetype == "application/problem+json"
    assert len(answer.json["trace"]) == 16


def test_what_breaks_the_short_way_is_kept_by_the_long_one(bridge, lane, intake, monkeypatch):
    def breaks(waiting):
        raise RuntimeError("a bug")

    monkeypatch.setattr(intake, "submit", breaks)
    reached, answer = lane.post()
    assert (reached, answer.status_code) == (1, 200)
    with bridge.database.reading() as connection:
        assert connection.execute(select(quarantine.c.body)).scalar_one() == FIRING


def test_a_body_that_ends_early_goes_the_long_way_and_is_503(bridge, lane):
    said = {"CONTENT_LENGTH": str(len(FIRING) + 1), "wsgi.input_terminated": True}
    answer = lane.app.test_client().post(PATH, data=FIRING, headers=MAIN, environ_overrides=said)
    assert (lane.reached, answer.status_code) == (2, 503)
    assert (count(bridge, alerts), count(bridge, quarantine)) == (1, 0)
