"""The way of a delivery and quarantine, on pages and through the API."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, update

from bridge import operations, retention
from bridge.model import Actor
from bridge.store.schema import alerts, deliveries, tasks
from bridge.store.schema import quarantine as table
from bridge.wiring import Bridge
from tests.bridge.web.visitors import TOKEN, Site, alert
from tests.conftest import START, Clock, payload
from tests.stories import LI, tell
from tests.stories import alert as told

BY = Actor("wang", "console")
SCRIPT = "<script>alert(1)</script>"
Headers = Callable[..., dict[str, str]]


def send(
    client: FlaskClient, *told: dict[str, Any], starts: str = "2026-11-25T01:58:00Z", **more: Any
) -> str:
    """Deliver alerts; the trace."""
    body = {
        "version": "4",
        "groupKey": "{}:{g}",
        "receiver": "ops",
        "alerts": [one if one.get("startsAt") else one | {"startsAt": starts} for one in told],
    } | more
    answer = client.post("/ingest/alertmanager/main", json=body, headers=TOKEN)
    assert answer.status_code == 200
    return str(answer.json["trace"])  # type: ignore[index]


def junk(client: FlaskClient, body: bytes = b"nonsense") -> str:
    """Deliver what cannot be understood; the trace."""
    answer = client.post("/ingest/alertmanager/main", data=body, headers=TOKEN)
    assert answer.json["quarantined"]  # type: ignore[index]
    return str(answer.json["trace"])  # type: ignore[index]


def way(client: FlaskClient, token: Headers, trace: str) -> dict[str, Any]:
    """The API's answer for a trace."""
    answer = client.get(f"/api/v1/deliveries/{trace}", headers=token("api:read"))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json  # type: ignore[assignment]
    return found


def test_the_way_of_a_delivery_leads_from_its_arrival_to_the_page(
    client: FlaskClient, token: Headers
) -> None:
    found = way(client, token, send(client, alert(), alert(region="eu"), routeLabels={"team": "pay"}))
    assert (found["source"], found["received_at"], found["receiver"]) == (
        "main",
        "2026-11-25T02:00:00Z",
        "ops",
    )
    assert (found["route_labels"], len(found["sha256"]), found["group"]) == ({"team": "pay"}, 64, "{}:{g}")
    assert (found["alerts"], found["new"]) == (2, 2)
    assert [(one["rule"], one["priority"], one["why"]) for one in found["new_alerts"]] == [
        ("payment path down", "P1", ["rule payment path down"])
    ] * 2
    [incident] = found["incidents"]
    assert (incident["number"], incident["opened"], incident["status"]) == ("INC-1", True, "triggered")
    assert [fact["kind"] for fact in found["facts"]] == ["opened", "step_taken", "paging"]
    assert [(one["kind"], one["channel"], one["state"]) for one in found["messages"]] == [
        ("page", "li-chat", "pending")
    ]
    assert (found["known_alerts"], found["quarantine"], found["without_episode"]) == ([], [], [])


def test_a_repeat_did_nothing_new_and_says_what_was_known(
    client: FlaskClient, token: Headers, clock: Clock
) -> None:
    send(client, alert())
    clock.forward(hours=4)
    found = way(client, token, send(client, alert()))
    assert (found["new"], found["new_alerts"], found["facts"], found["messages"]) == (0, [], [], [])
    [known] = found["known_alerts"]
    assert (known["incident"], known["state"]) == ("INC-1", "firing")
    assert [one["opened"] for one in found["incidents"]] == [False]


def test_an_end_shows_what_it_wrote_and_one_of_nothing_is_told(
    client: FlaskClient, token: Headers, clock: Clock
) -> None:
    send(client, alert())
    clock.forward(minutes=20)
    over = {"status": "resolved", "endsAt": "2026-11-25T02:19:00Z"}
    found = way(client, token, send(client, alert() | over))
    assert found["new"] == 0
    assert {"alerts_ended", "resolved"} <= {fact["kind"] for fact in found["facts"]}
    assert {one["kind"] for one in found["messages"]} == {"page"}


def test_facts_of_another_time_are_not_counted_in(client: FlaskClient, token: Headers, clock: Clock) -> None:
    send(client, alert())
    clock.forward(hours=1)
    repeat = send(client, alert())
    clock.forward(minutes=1)
    send(client, alert(region="eu"))
    over = {"status": "resolved", "endsAt": "2026-11-25T03:01:00Z"}
    send(client, alert() | over)
    clock.forward(hours=1)
    send(client, alert(), starts="2026-11-25T04:00:00Z")
    found = way(client, token, repeat)
    assert found["facts"] == []
    assert [one["starts_at"] for one in found["known_alerts"]] == ["2026-11-25T01:58:00Z"]


def test_an_incident_that_was_only_joined_lends_no_older_messages(
    client: FlaskClient, token: Headers, clock: Clock
) -> None:
    send(client, alert())
    clock.forward(minutes=1)
    found = way(client, token, send(client, alert(region="eu")))
    assert [fact["kind"] for fact in found["facts"]] == ["alerts_joined"]
    assert found["messages"] == []


def test_rules_that_decide_otherwise_by_now_do_not_explain_the_past(
    bridge: Bridge, client: FlaskClient, token: Headers
) -> None:
    trace = send(client, alert())
    bridge.database.run(lambda c: c.execute(update(alerts).values(rule="an old rule")))
    assert way(client, token, trace)["new_alerts"][0]["why"] == []


def test_a_body_in_quarantine_is_on_the_way_of_its_delivery(client: FlaskClient, token: Headers) -> None:
    found = way(client, token, junk(client))
    [kept] = found["quarantine"]
    assert (kept["source"], kept["kind"], kept["size"], kept["settled_at"]) == (
        "main",
        "alertmanager",
        8,
        None,
    )
    assert "body" not in kept
    assert found["incidents"][0]["title"] == "A delivery could not be understood"


def test_an_unknown_trace_is_404_and_clients_see_none(client: FlaskClient, token: Headers) -> None:
    answer = client.get("/api/v1/deliveries/0123456789abcdef", headers=token("api:read"))
    assert (answer.status_code, "kept for" in answer.json["detail"]) == (404, True)  # type: ignore[index]
    trace = send(client, alert())
    assert client.get(f"/api/v1/deliveries/{trace}").status_code == 401
    theirs = token("api:read", "client:acme")
    assert client.get(f"/api/v1/deliveries/{trace}", headers=theirs).status_code == 403


def test_through_the_api_a_body_is_tried_again_or_dismissed(
    bridge: Bridge, client: FlaskClient, token: Headers
) -> None:
    junk(client)
    junk(client)
    bridge.database.run(
        lambda c: c.execute(update(table).where(table.c.id == 1).values(body=payload("firing_single")))
    )
    headers = token("api:write")
    taken = client.post("/api/v1/quarantine/1/retry", headers=headers)
    assert (taken.status_code, taken.json["taken"], taken.json["incidents"]) == (200, True, ["INC-2"])  # type: ignore[index]
    assert taken.json["outcome"] == f"taken by trace {taken.json['trace_taken']}"  # type: ignore[index]
    kept = client.post("/api/v1/quarantine/2/retry", headers=headers).json
    assert (kept["taken"], kept["settled_at"], kept["version"] != "") == (False, None, True)  # type: ignore[index]
    assert client.post("/api/v1/quarantine/2/dismiss", headers=headers).status_code == 409
    done = client.post("/api/v1/quarantine/2/dismiss", json={"reason": "a scanner"}, headers=headers).json
    assert done["outcome"].endswith(": a scanner")  # type: ignore[index]
    assert client.post("/api/v1/quarantine/1/retry", headers=headers).status_code == 409
    assert client.post("/api/v1/quarantine/9/retry", headers=headers).status_code == 404
    assert client.post("/api/v1/quarantine/2/explode", headers=headers).status_code == 404
    assert client.post("/api/v1/quarantine/2/retry", headers=token("api:read")).status_code == 403
    assert (
        client.post("/api/v1/quarantine/2/retry", headers=token("api:write", "client:acme")).status_code
        == 403
    )


# Pages


def _traces(page: str) -> list[str]:
    return re.findall(r'href="/deliveries/(\w+)"', page)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_pages_of_a_delivery_show_every_step_in_both_languages(site: Site, language: str) -> None:
    site.ingest(alert(), alert(region="eu"))
    site.ingest(alert())
    junk(site.app.test_client())
    visitor = site.person(language=language)
    for trace in _traces(visitor.page("/deliveries")):
        page = visitor.page(f"/deliveries/{trace}")
        assert page.count("<h2>") == 5
        assert ("收到" if language == "zh" else "Received") in page
        assert not re.search(r"<[^>]+\sstyle=|javascript:", page)


def test_the_list_leads_to_the_way_and_so_does_the_incident(site: Site) -> None:
    site.ingest(alert())
    site.ingest(alert())
    visitor = site.person()
    newest, first = _traces(visitor.page("/deliveries"))
    assert _traces(visitor.page("/incidents/1")) == [first]
    assert "1 new alert." in visitor.page(f"/deliveries/{first}")
    assert "opened by this delivery" in visitor.page(f"/deliveries/{first}")
    assert "Nothing new: all of it was known." in visitor.page(f"/deliveries/{newest}")


def test_hostile_text_stays_text_on_the_way_of_a_delivery(site: Site) -> None:
    ugly = alert(SCRIPT, region='"><img src=x onerror=alert(2)>', job="x" * 5000)
    client = site.app.test_client()
    trace = send(
        client, ugly, ugly, receiver=SCRIPT, groupKey=SCRIPT, routeLabels={SCRIPT: SCRIPT}, version=SCRIPT
    )
    visitor = site.person()
    for page in (visitor.page(f"/deliveries/{trace}"), visitor.page("/deliveries/quarantine/1")):
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page
    trace = send(client, ugly, receiver=SCRIPT, groupKey=SCRIPT, routeLabels={SCRIPT: SCRIPT})
    page = visitor.page(f"/deliveries/{trace}")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "x" * 1000 not in page


def test_a_person_reads_a_body_and_takes_it_as_it_came(site: Site) -> None:
    junk(site.app.test_client(), b"<b>\xff\x00</b>" + b"z" * 30_000)
    visitor = site.person()
    page = visitor.page("/deliveries/quarantine/1")
    assert "&lt;b&gt;\ufffd␀&lt;/b&gt;" in page
    assert "The first 20000 bytes are shown." in page
    assert len(page) < 40_000
    answer = visitor.client.get("/deliveries/quarantine/1/raw")
    assert answer.data == b"<b>\xff\x00</b>" + b"z" * 30_000
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="quarantine-1.bin"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert visitor.page("/deliveries/quarantine/7", 404)


def test_a_person_tries_again_and_dismisses(site: Site) -> None:
    client, visitor = site.app.test_client(), site.person()
    for _ in range(3):
        junk(client)
    assert (
        "It still cannot be understood"
        in visitor.client.get(visitor.send("/deliveries/quarantine/1/retry").location).text
    )
    assert (
        "say why it need not be taken"
        in visitor.client.get(visitor.send("/deliveries/quarantine/1/dismiss", reason=" ").location).text
    )
    visitor.send("/deliveries/quarantine/1/dismiss", reason="a scanner")
    page = visitor.page("/deliveries/quarantine/1")
    assert "wang: a scanner" in page
    assert 'action="/deliveries/quarantine/1/retry"' not in page
    site.bridge.database.run(
        lambda c: c.execute(update(table).where(table.c.id > 1).values(body=payload("firing_single")))
    )
    answer = visitor.send("/deliveries/quarantine/2/retry")
    assert re.fullmatch(r"/deliveries/[0-9a-f]{16}", answer.location)
    assert "from quarantine: first received as trace" in visitor.page(answer.location)
    answer = visitor.send("/deliveries/quarantine/retry")
    assert "1 of 1 were taken." in visitor.client.get(answer.location).text
    page = visitor.page("/deliveries")
    assert "Nothing waits" in page
    assert page.count("/deliveries/quarantine/") == 3


def test_a_viewer_is_offered_nothing_that_changes(site: Site) -> None:
    junk(site.app.test_client())
    viewer = site.person("kim", "viewer")
    for address in ("/deliveries", "/deliveries/quarantine/1"):
        assert re.findall(r'<form[^>]*method="post" action="([^"]+)"', viewer.page(address)) == ["/sign-out"]
    for address in ("/deliveries/quarantine/1/retry", "/deliveries/quarantine/retry"):
        assert viewer.send(address).status_code == 403
    assert site.person("buyer", "client").page("/deliveries/quarantine/1", 403)
    assert site.visitor().client.get("/deliveries/quarantine/1/raw").location.startswith("/sign-in")


def test_what_waits_is_counted_on_the_first_page_and_what_is_settled_is_not(site: Site) -> None:
    junk(site.app.test_client())
    visitor = site.person()
    assert "deliveries in quarantine <b>1</b>" in visitor.page("/")
    visitor.send("/deliveries/quarantine/1/dismiss", reason="noise")
    assert "deliveries in quarantine <b>0</b>" in visitor.page("/")


def test_an_old_incident_says_that_its_alerts_and_messages_are_no_longer_kept(
    site: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PAUSE", 0)
    tell(site.bridge, told(starts=START, ends=START + timedelta(minutes=5)))
    operations.close(site.bridge, 1, LI, "a bad disk")
    site.bridge.database.run(lambda c: c.execute(update(tasks).values(state="done", done_at=START)))
    clock.forward(days=500)
    retention.forget(site.bridge)
    visitor = site.person()
    page = visitor.page("/incidents/1")
    assert "1 of its alerts are no longer kept" in page
    assert "No alert belongs to it" not in page
    assert '<span class="quiet">1</span></h2>' in page
    site.bridge.database.run(lambda c: c.execute(delete(deliveries)))
    [trace] = _traces(page)
    assert "Deliveries are kept for" in visitor.page(f"/deliveries/{trace}", 404)
