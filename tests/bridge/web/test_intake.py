"""Ingest answers 200 after the commit, 401, 403, 413 or 503; nothing authentic is lost. Both databases."""

from __future__ import annotations

import gzip
import json

import pytest
from sqlalchemy import func, select

from bridge.store.database import Unavailable
from bridge.store.schema import alerts, deliveries, incidents, quarantine
from tests.conftest import payload
from tests.stories import read

MAIN = {"Authorization": "Bearer ingest-secret"}
PATH = "/ingest/alertmanager/main"


def count(bridge, table, *where):
    with bridge.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def test_a_real_delivery_is_stored_before_it_is_answered(bridge, client):
    answer = client.post(PATH, data=payload("firing_single"), headers=MAIN)
    assert answer.status_code == 200
    assert answer.json == {"trace": answer.json["trace"], "alerts": 1, "new": 1, "incidents": ["INC-1"]}
    with bridge.database.reading() as connection:
        assert connection.execute(select(deliveries.c.trace, deliveries.c.source)).all() == [
            (answer.json["trace"], "main")
        ]


def test_the_same_delivery_again_is_recognised(bridge, client):
    for _ in range(3):
        answer = client.post(PATH, data=payload("firing_single"), headers=MAIN)
    assert (answer.json["new"], answer.json["incidents"]) == (0, ["INC-1"])
    assert count(bridge, alerts) == 1


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"Authorization": "Bearer wrong"}, id="wrong token"),
        pytest.param({"Authorization": "Bearer "}, id="empty token"),
        pytest.param({"Authorization": "Bearer other-secret"}, id="another source's token"),
        pytest.param({"Authorization": "Bearer ingest-secre\u00e9"}, id="not ASCII"),
        pytest.param({"Authorization": "Basic not-base64!"}, id="broken Basic"),
        pytest.param({"Authorization": "Bearer " + "x" * 100_000}, id="huge"),
        pytest.param({"Authorization": "ingest-secret"}, id="no scheme"),
    ],
)
def test_no_or_a_wrong_token_is_401_and_stores_nothing(bridge, client, headers):
    answer = client.post(PATH, data=payload("firing_single"), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.mimetype == "application/problem+json"
    assert count(bridge, alerts) == 0


def test_an_unknown_source_answers_exactly_like_a_wrong_token(client):
    wrong = client.post(PATH, data=b"{}", headers={"Authorization": "Bearer wrong"})
    unknown = client.post("/ingest/alertmanager/nobody", data=b"{}", headers=MAIN)
    assert {**wrong.json, "trace": ""} == {**unknown.json, "trace": ""}
    assert wrong.status_code == unknown.status_code


def test_a_token_in_the_address_is_not_taken(client):
    assert client.post(PATH + "?token=ingest-secret", data=payload("firing_single")).status_code == 401


def test_basic_with_the_token_as_password_is_taken(client):
    answer = client.post(PATH, data=payload("firing_single"), auth=("alertmanager", "ingest-secret"))
    assert answer.status_code == 200


def test_a_scoped_token_serves_its_sources_only(client, token):
    scoped = token("ingest:second")
    assert (
        client.post("/ingest/alertmanager/second", data=payload("firing_single"), headers=scoped).status_code
        == 200
    )
    assert client.post(PATH, data=payload("firing_single"), headers=scoped).status_code == 401


def test_without_a_name_the_token_tells_the_source(bridge, client):
    client.post(
        "/ingest/alertmanager",
        data=payload("firing_single"),
        headers={"Authorization": "Bearer other-secret"},
    )
    with bridge.database.reading() as connection:
        assert connection.execute(select(alerts.c.source)).scalars().all() == ["second"]


def test_a_token_for_several_sources_must_name_one(client, token):
    both = token("ingest:main", "ingest:second")
    assert client.post("/ingest/alertmanager", data=payload("firing_single"), headers=both).status_code == 403


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "not the JSON", id="empty body"),
        pytest.param(b"{", "not the JSON", id="broken JSON"),
        pytest.param(b"null", "not the JSON", id="null"),
        pytest.param(b"[" * 200_000, "not the JSON", id="200,000 brackets"),
        pytest.param(b'{"version": "5", "alerts": [{}]}', "version '5'", id="unknown version"),
        pytest.param(b'{"version": "4"}', "`alerts` is missing", id="no alerts"),
        pytest.param(b'{"version": "4", "alerts": []}', "`alerts` is empty", id="empty list"),
        pytest.param(b'{"version": "4", "alerts": "x"}', "not a list", id="wrong type"),
        pytest.param(b'{"version": "4", "alerts": [1, null]}', "no alert in it", id="alerts that are none"),
    ],
)
def test_what_cannot_be_understood_is_kept_told_and_answered_200(bridge, client, body, reason):
    answer = client.post(PATH, data=body, headers=MAIN)
    assert answer.status_code == 200
    assert reason in answer.json["quarantined"]
    with bridge.database.reading() as connection:
        kept = connection.execute(select(quarantine)).one()
    assert (kept.body, kept.trace) == (body, answer.json["trace"])
    told = read(bridge, 1)
    assert (told.title, told.priority) == ("A delivery could not be understood", "P2")


def test_a_hundred_broken_deliveries_are_one_self_incident(bridge, client):
    for number in range(20):
        client.post(PATH, data=f"broken {number}", headers=MAIN)
    assert (count(bridge, quarantine), count(bridge, incidents)) == (20, 1)


def test_one_bad_alert_does_not_stop_the_others(bridge, client):
    body = json.loads(payload("firing_group_3"))
    body["alerts"].insert(1, {"labels": None, "startsAt": 7})
    answer = client.post(PATH, data=json.dumps(body), headers=MAIN)
    assert (answer.status_code, answer.json["new"]) == (200, 3)
    with bridge.database.reading() as connection:
        assert connection.execute(select(deliveries.c.flaws)).scalar_one() == [
            "an alert without labels is kept in quarantine"
        ]
        assert (
            connection.execute(select(quarantine.c.body)).scalar_one() == b'{"labels": null, "startsAt": 7}'
        )


def test_a_body_over_the_limit_is_413_with_a_self_incident(make_bridge, request):
    from bridge.intake import Intake
    from bridge.web import create_app

    bridge = make_bridge(more="intake: {largest_body: 2000}")
    running = Intake(bridge)
    running.start()
    request.addfinalizer(running.stop)
    client = create_app(bridge, running).test_client()
    assert client.post(PATH, data=payload("firing_single"), headers=MAIN).status_code == 200
    assert client.post(PATH, data=payload("group_1000"), headers=MAIN).status_code == 413
    packed = gzip.compress(payload("group_1000") * 3)
    zipped = {**MAIN, "Content-Encoding": "gzip"}
    assert client.post(PATH, data=packed, headers=zipped).status_code == 413
    assert client.post(PATH, data=payload("group_1000")).status_code == 401, (
        "only the authentic may open incidents"
    )
    assert read(bridge, 2).title == "A webhook was too large and was refused"
    assert count(bridge, incidents) == 2


def test_a_gzip_body_is_unpacked(client):
    answer = client.post(
        PATH, data=gzip.compress(payload("group_1000")), headers={**MAIN, "Content-Encoding": "gzip"}
    )
    assert (answer.status_code, answer.json["alerts"]) == (200, 1000)


def test_a_database_that_is_away_is_503_and_the_sender_repeats(client, intake, monkeypatch):
    def away(_):
        raise Unavailable("disk full")

    monkeypatch.setattr(intake, "submit", away)
    answer = client.post(PATH, data=payload("firing_single"), headers=MAIN)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "disk full" not in answer.text, "nothing about our insides"


def test_a_delivery_that_breaks_the_program_is_kept_instead_of_blocking_its_group(
    bridge, client, intake, monkeypatch
):
    def broken(_):
        raise ZeroDivisionError

    monkeypatch.setattr(intake, "submit", broken)
    answer = client.post(PATH, data=payload("firing_single"), headers=MAIN)
    assert answer.status_code == 200
    assert "opsbridge broke on it" in answer.json["quarantined"]
    assert count(bridge, quarantine) == 1


def test_hostile_labels_are_stored_as_they_came(bridge, client):
    body = json.loads(payload("hostile_labels"))
    assert client.post(PATH, data=payload("hostile_labels"), headers=MAIN).json["new"] == 1
    with bridge.database.reading() as connection:
        assert connection.execute(select(alerts.c.labels)).scalar_one() == body["alerts"][0]["labels"]


def test_nul_and_lone_surrogates_become_visible_marks_on_both_databases(bridge, client):
    body = json.dumps(
        {
            "version": "4",
            "alerts": [
                {
                    "status": "firing",
                    "labels": {"alertname": "a\x00b\ud800c"},
                    "startsAt": "2026-11-25T01:00:00Z",
                }
            ],
        }
    )
    assert client.post(PATH, data=body, headers=MAIN).json["new"] == 1
    with bridge.database.reading() as connection:
        assert connection.execute(select(alerts.c.labels)).scalar_one() == {"alertname": "a\u2400b\ufffdc"}


def test_a_problem_reported_by_a_person_becomes_an_incident(bridge, client):
    report = {"title": "Orders are slow", "client": "acme", "priority": "P1", "description": "since noon"}
    answer = client.post("/ingest/form", json=report, headers={"Authorization": "Bearer form-secret"})
    assert answer.json["incidents"] == ["INC-1"]
    assert (read(bridge).title, read(bridge).priority, read(bridge).client) == (
        "Orders are slow",
        "P1",
        "acme",
    )


def test_only_posts_are_taken(client):
    assert client.get(PATH).status_code == 405
    assert client.put(PATH, data=b"{}", headers=MAIN).status_code == 405


def test_an_unknown_route_has_an_answer_for_machines(client):
    answer = client.post("/ingest/unknown", data=b"{}")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
