"""Maintenance over HTTP: who may plan and read, what the form shows and saves. Both databases."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from bridge import upkeep
from bridge.store import maintenance as store
from tests.bridge.test_upkeep import window
from tests.bridge.web.visitors import Site, alert
from tests.conftest import START
from tests.stories import alert as told
from tests.stories import tell

BODY = {
    "name": "Database upgrade",
    "client": "acme",
    "match": ['service="payments"'],
    "starts_at": "2026-11-25T10:00",
    "length": "2h",
    "rrule": "FREQ=WEEKLY;COUNT=2",
    "reason": "CHG-7",
}
FORM = {
    "name": "Database upgrade <b>",
    "client": "acme",
    "match": 'service="payments"\r\nseverity=~"crit.*"\r\n',
    "starts_at": "2026-11-25T10:00",
    "length": "2h",
    "time_zone": "Asia/Shanghai",
    "repeat": "",
}
ADDRESS = "/api/v1/maintenance"


def saved(bridge):
    with bridge.database.reading() as connection:
        return store.list_windows(connection, None, 10).items


def test_a_window_is_planned_listed_and_cancelled(bridge, client, token):
    headers = token("api:write")
    planned = client.post(ADDRESS, json=BODY, headers=headers).json
    assert planned == {
        "id": 1,
        "name": "Database upgrade",
        "client": "acme",
        "match": ['service="payments"'],
        "starts_at": "2026-11-25T02:00:00Z",
        "seconds": 7200,
        "rrule": "FREQ=WEEKLY;COUNT=2",
        "time_zone": "Asia/Shanghai",
        "reason": "CHG-7",
        "by": planned["by"],
        "created_at": "2026-11-25T02:00:00Z",
        "cancelled_at": None,
        "cancelled_by": "",
        "state": "on",
        "next": {"starts_at": "2026-11-25T02:00:00Z", "ends_at": "2026-11-25T04:00:00Z"},
    }
    assert planned["by"].startswith("robot")
    listed = client.get(ADDRESS, headers=token("api:read")).json
    assert listed == {"items": [planned], "next": None, "total": 1}
    cancelled = client.post(f"{ADDRESS}/1/cancel", headers=headers).json
    assert (cancelled["state"], cancelled["next"], cancelled["cancelled_by"]) == (
        "cancelled",
        None,
        planned["by"],
    )
    assert client.post(f"{ADDRESS}/2/cancel", headers=headers).status_code == 404


def test_a_preview_tells_what_would_be_muted_and_saves_nothing(bridge, client, token):
    tell(bridge, told(starts=START))
    tell(bridge, told(starts=START, client="nord"))
    found = client.post(f"{ADDRESS}/preview", json=BODY, headers=token("api:write")).json
    assert found["window"]["id"] is None
    assert (found["looked_at"], found["matched"], found["muted"], found["firing"], found["whole"]) == (
        2,
        1,
        1,
        1,
        True,
    )
    assert found["groups"] == [
        {"rule": "payment path down", "priority": "P1", "client": "acme", "episodes": 1}
    ]
    assert [(example["incident"], example["labels"]["client"]) for example in found["examples"]] == [
        ("INC-1", "acme")
    ]
    assert [incident["number"] for incident in found["open"]] == ["INC-1"]
    assert [each["starts_at"] for each in found["occurrences"]] == [
        "2026-11-25T02:00:00Z",
        "2026-12-02T02:00:00Z",
    ]
    assert found["since"] == "2026-10-26T02:00:00Z"
    assert saved(bridge) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"client": "acem"}, "client: there is no client 'acem'"),
        ({"client": "", "match": []}, "everything of everybody"),
        ({"match": ["service"]}, "is not a matcher"),
        ({"match": "service"}, "Expected `array`"),
        ({"length": "two hours"}, "length: 'two hours' is not a duration"),
        ({"length": ""}, "is not a duration"),
        ({"length": "9" * 5000 + "s"}, f"length: '{'9' * 40}' is not a duration"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule: FREQ must be one of"),
        ({"rrule": "FREQ=DAILY;" * 1000}, "at most 300"),
        ({"starts_at": 5}, "Expected `str`"),
        ({"starts_at": "now"}, "write the start like"),
        ({"time_zone": "Mars"}, "no zone 'Mars'"),
        ({"minutes": 5}, "unknown field `minutes`"),
    ],
)
def test_a_wrong_window_is_400_in_plain_words(bridge, client, token, change, said):
    headers = token("api:write")
    for address in (ADDRESS, f"{ADDRESS}/preview"):
        answer = client.post(address, json=BODY | change, headers=headers)
        assert (answer.status_code, said in answer.json["detail"]) == (400, True), answer.json
    assert saved(bridge) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'"x"'])
def test_a_body_that_is_no_object_is_400(bridge, client, token, body):
    answer = client.post(ADDRESS, data=body, headers=token("api:write"), content_type="application/json")
    assert (answer.status_code, "JSON object" in answer.json["detail"]) == (400, True)


def test_who_may_not_write_plans_nothing(bridge, client, token):
    window_ = upkeep.plan(bridge, window())
    tokens = [token("ingest:main"), token("api:read"), token("api:write", "client:acme")]
    for address in (ADDRESS, f"{ADDRESS}/preview", f"{ADDRESS}/{window_.id}/cancel"):
        assert client.post(address, json=BODY).status_code == 401
        for headers in tokens:
            assert client.post(address, json=BODY, headers=headers).status_code == 403
    assert client.get(ADDRESS).status_code == 401
    assert saved(bridge) == [window_]


def test_a_clients_token_reads_its_own_windows_only(bridge, client, token):
    mine = window(client="nord")
    for each in (window(), mine, replace(mine, client="")):
        upkeep.plan(bridge, each)
    listed = client.get(f"{ADDRESS}?client=acme", headers=token("api:read", "client:nord")).json
    assert ([item["client"] for item in listed["items"]], listed["total"]) == (["nord"], 1)
    assert not {"by", "reason", "cancelled_by"} & listed["items"][0].keys(), "people and their reasons"
    headers = token("api:read")
    everything = client.get(ADDRESS, headers=headers).json
    assert [item["client"] for item in everything["items"]] == ["", "nord", "acme"]
    assert client.get(f"{ADDRESS}?client=acme", headers=headers).json["total"] == 1


@pytest.mark.parametrize("query", ["limit=x", "cursor=nonsense"])
def test_a_wrong_question_about_windows_is_400(client, token, query):
    assert client.get(f"{ADDRESS}?{query}", headers=token("api:read")).status_code == 400


def mark(page):
    return re.search(r'name="shown" value="(\w+)"', page)[1]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_form_shows_first_and_saves_then(site: Site, language: str):
    site.ingest(alert())
    visitor = site.person(language=language)
    first = visitor.send("/maintenance", do="preview", **FORM)
    assert first.status_code == 200
    assert 'href="/incidents/1"' in first.text
    assert "10:00 – 12:00" in first.text
    assert 'service="payments"'.replace('"', "&#34;") in first.text
    assert "<b>" not in re.search(r'name="name"[^>]*', first.text)[0]
    assert saved(site.bridge) == []
    assert visitor.send("/maintenance", do="save", shown=mark(first.text), **FORM).location == "/maintenance"
    [found] = saved(site.bridge)
    assert (found.name, found.by, len(found.match)) == ("Database upgrade <b>", "wang", 2)
    page = visitor.page("/maintenance")
    assert ("正在进行" if language == "zh" else "On now") in page
    assert "Database upgrade &lt;b&gt;" in page


def test_what_was_changed_after_the_preview_is_shown_again_before_it_is_saved(site: Site):
    visitor = site.person()
    shown = mark(visitor.send("/maintenance", do="preview", **FORM).text)
    again = visitor.send("/maintenance", do="save", shown=shown, **FORM | {"length": "20h"})
    assert "look once more" in again.text
    assert saved(site.bridge) == []
    assert visitor.send("/maintenance", do="save", **FORM).status_code == 200
    assert saved(site.bridge) == []
    visitor.send("/maintenance", do="save", shown=mark(again.text), **FORM | {"length": "20h"})
    assert [found.seconds for found in saved(site.bridge)] == [72000]


@pytest.mark.parametrize(
    ("repeat", "rrule", "stored"),
    [
        ("daily", "", "FREQ=DAILY"),
        ("weekly", "FREQ=YEARLY", "FREQ=WEEKLY"),
        ("monthly", "", "FREQ=MONTHLY"),
        ("custom", "freq=monthly;byday=-1we", "FREQ=MONTHLY;BYDAY=-1WE"),
    ],
)
def test_a_window_repeats_as_chosen(site: Site, repeat: str, rrule: str, stored: str):
    visitor = site.person()
    form = FORM | {"repeat": repeat, "rrule": rrule}
    page = visitor.send("/maintenance", do="preview", **form).text
    assert page.count("10:00 – 12:00") == 5
    visitor.send("/maintenance", do="save", shown=mark(page), **form)
    assert [found.rrule for found in saved(site.bridge)] == [stored]


def test_a_mistake_is_told_beside_the_form_and_what_was_written_stays(site: Site):
    visitor = site.person()
    for change, said in (
        ({"repeat": "custom"}, "write the rule"),
        ({"match": "<script>alert(1)</script>"}, "is not a matcher"),
        ({"length": "1 hour"}, "not a duration"),
        ({"client": "acem"}, "no client"),
    ):
        answer = visitor.send("/maintenance", do="preview", **FORM | change)
        assert (answer.status_code, said in answer.text) == (400, True)
        assert "Database upgrade &lt;b&gt;" in answer.text
        assert "<script>alert" not in answer.text


def test_a_window_is_cancelled_on_the_page(site: Site):
    visitor = site.person()
    upkeep.plan(site.bridge, window(rrule="FREQ=DAILY"))
    assert 'action="/maintenance/1/cancel"' in visitor.page("/maintenance")
    assert visitor.send("/maintenance/1/cancel").location == "/maintenance"
    page = visitor.page("/maintenance")
    assert "cancelled by wang" in page
    assert 'action="/maintenance/1/cancel"' not in page
    assert visitor.send("/maintenance/7/cancel").status_code == 404


def test_a_viewer_sees_windows_without_form_and_button_and_others_nothing(site: Site):
    upkeep.plan(site.bridge, window())
    viewer = site.person("kim", "viewer")
    page = viewer.page("/maintenance")
    assert "Database upgrade" in page
    assert re.findall(r'<form[^>]*method="post" action="([^"]+)"', page) == ["/sign-out"]
    for address in ("/maintenance", "/maintenance/1/cancel"):
        assert viewer.send(address, do="save", **FORM).status_code == 403
        assert site.person(f"w{len(address)}").client.post(address, data=FORM).status_code == 400  # no token
        assert site.visitor().client.get("/maintenance").location.startswith("/sign-in")
    assert site.person("buyer", "client").page("/maintenance", 403)
    assert [found.cancelled_at for found in saved(site.bridge)] == [None]


@pytest.mark.parametrize(("language", "said"), [("en", "Muted by maintenance"), ("zh", "因计划维护静默")])
def test_a_muted_incident_says_until_when(site: Site, clock, language: str, said: str):
    upkeep.plan(site.bridge, window())
    assert site.ingest(alert()) == ["INC-1"]
    visitor = site.person(language=language)
    page = visitor.page("/incidents/1")
    assert said in page
    assert '04:00:00 UTC" data-tick="left">' in page
    clock.forward(hours=2)
    assert said not in visitor.page("/incidents/1")
