"""The JSON API: lists, verbs, scopes, and that one client sees nothing of another. Both databases."""

from __future__ import annotations

import pytest

from tests.conftest import START
from tests.stories import alert, read, tell


@pytest.fixture
def filled(bridge):
    """Acme's P1, Nord's P1 and a P2 of nobody."""
    tell(bridge, alert(starts=START))
    tell(bridge, alert(starts=START, client="nord"))
    tell(bridge, alert("DiskFull", starts=START, severity="warning", service="hosts", client=""))
    return bridge


def test_incidents_are_listed_newest_first_with_what_the_contract_promises(filled, client, token):
    answer = client.get("/api/v1/incidents", headers=token("api:read")).json
    assert [item["number"] for item in answer["items"]] == ["INC-3", "INC-2", "INC-1"]
    assert (answer["next"], answer["total"]) == (None, 3)
    wanted = "number status priority client service title key opened_at acknowledged_at resolved_at "
    wanted += "closed_at alerts clocks assignee"
    assert set(wanted.split()) <= set(answer["items"][0])
    assert set(answer["items"][0]["clocks"][0]) == {"target", "due_at", "state", "stopped_at"}
    assert answer["items"][0]["opened_at"] == "2026-11-25T02:00:00Z"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("priority=P1", ["INC-2", "INC-1"]),
        ("priority=P1,P2", ["INC-3", "INC-2", "INC-1"]),
        ("client=nord", ["INC-2"]),
        ("service=hosts", ["INC-3"]),
        ("status=closed", []),
        ("q=diskfull", ["INC-3"]),
        ("q=INC-2", ["INC-2"]),
        ("q=%25", []),
        ("q='%20OR%201=1--", []),
        ("since=2026-11-25T02:00:01Z", []),
        ("until=2026-11-25T02:00:01Z", ["INC-3", "INC-2", "INC-1"]),
    ],
)
def test_filters_narrow_the_list(filled, client, token, query, found):
    answer = client.get(f"/api/v1/incidents?{query}", headers=token("api:read")).json
    assert [item["number"] for item in answer["items"]] == found


def test_pages_follow_one_another_without_gaps(filled, client, token):
    headers, seen, cursor = token("api:read"), [], ""
    while cursor is not None:
        page = client.get(f"/api/v1/incidents?limit=1&cursor={cursor}", headers=headers).json
        seen += [item["number"] for item in page["items"]]
        cursor = page["next"]
    assert seen == ["INC-3", "INC-2", "INC-1"]


@pytest.mark.parametrize(
    "query", ["cursor=nonsense", "limit=x", "since=yesterday", "cursor=djE6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"]
)
def test_a_wrong_question_is_400_in_plain_words(filled, client, token, query):
    answer = client.get(f"/api/v1/incidents?{query}", headers=token("api:read"))
    assert answer.status_code == 400
    assert answer.json["detail"]


def test_a_clients_token_sees_its_own_only(filled, client, token):
    headers = token("api:read", "client:nord")
    listed = client.get("/api/v1/incidents?client=acme", headers=headers).json
    assert [item["number"] for item in listed["items"]] == ["INC-2"]
    assert client.get("/api/v1/incidents/2", headers=headers).status_code == 200
    assert "timeline" not in client.get("/api/v1/incidents/2", headers=headers).json
    other, absent = (client.get(f"/api/v1/incidents/{n}", headers=headers) for n in (1, 99))
    assert other.status_code == absent.status_code == 404
    assert other.json["detail"].replace("INC-1", "INC-99") == absent.json["detail"]
    assert [a["incident"] for a in client.get("/api/v1/alerts", headers=headers).json["items"]] == ["INC-2"]
    for path in ("deliveries", "quarantine", "failovers", "oncall"):
        assert client.get(f"/api/v1/{path}", headers=headers).status_code == 403
    assert [c["client"] for c in client.get("/api/v1/clients", headers=headers).json["items"]] == ["nord"]


def test_verbs_change_the_incident(filled, client, token):
    headers = token("api:write")
    answer = client.post("/api/v1/incidents/1/acknowledge", headers=headers)
    assert (answer.status_code, answer.json["status"]) == (200, "acknowledged")
    assert (
        client.post("/api/v1/incidents/1/note", json={"text": "looking"}, headers=headers).status_code == 200
    )
    assert client.post("/api/v1/incidents/1/resolve", headers=headers).json["status"] == "resolved"
    refused = client.post("/api/v1/incidents/1/close", headers=headers)
    assert (refused.status_code, "say what the cause was" in refused.json["detail"]) == (409, True)
    closed = client.post("/api/v1/incidents/1/close", json={"text": "the provider"}, headers=headers)
    assert closed.json["status"] == "closed"
    assert read(filled).status == "closed"


def test_reading_tokens_change_nothing_and_anonymous_callers_see_nothing(filled, client, token):
    assert client.post("/api/v1/incidents/1/acknowledge", headers=token("api:read")).status_code == 403
    assert client.post("/api/v1/incidents/1/acknowledge").status_code == 401
    assert client.get("/api/v1/incidents").status_code == 401
    assert client.get("/api/v1/incidents", headers=token("ingest:main")).status_code == 403
    assert read(filled).status == "triggered"


def test_what_does_not_exist_is_404(filled, client, token):
    headers = token("api:write")
    assert client.get("/api/v1/incidents/77", headers=headers).status_code == 404
    assert client.post("/api/v1/incidents/1/explode", headers=headers).status_code == 404
    assert client.post("/api/v1/failovers/nothing/run", headers=headers).status_code == 404


def test_the_kill_switch_is_pressed_and_released(bridge, client, token):
    headers = token("api:write")
    pressed = client.post("/api/v1/failovers/stop", json={"reason": "sale day"}, headers=headers).json
    assert [(row["scope"], row["stopped"], row["reason"]) for row in pressed["items"]] == [
        ("all", True, "sale day")
    ]
    assert client.post("/api/v1/failovers/resume", headers=headers).json["items"][0]["stopped"] is False


def test_who_is_on_call_is_told_for_any_moment(bridge, client, token):
    headers = token("api:read")
    assert client.get("/api/v1/oncall", headers=headers).json["items"] == [
        {"schedule": "payments", "responder": "li"}
    ]
    later = client.get("/api/v1/oncall?at=2026-11-30T02:00:00Z", headers=headers).json["items"]
    assert later == [{"schedule": "payments", "responder": "han"}]


def test_the_description_names_every_route_of_api_and_intake(client):
    described = client.get("/api/openapi.json").json
    routes = {
        (rule.rule.replace("<int:", "{").replace("<", "{").replace(">", "}"), method.lower())
        for rule in client.application.url_map.iter_rules()
        if rule.rule.startswith(("/api/v1/", "/ingest/"))
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    named = {(path, method) for path, operations in described["paths"].items() for method in operations}
    assert named == routes
    ids = [op["operationId"] for operations in described["paths"].values() for op in operations.values()]
    assert len(ids) == len(set(ids))
    assert all(op["summary"] for operations in described["paths"].values() for op in operations.values())


def test_health_readiness_and_metrics_answer_without_a_token(client):
    assert client.get("/-/healthy").status_code == 200
    assert client.get("/-/ready").status_code == 200
    assert "bridge_build_info" in client.get("/metrics").text
