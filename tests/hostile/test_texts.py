"""A hostile text in an alert: all is stored, its incident opens and pages, its neighbours are left alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bridge.model import Priority
from bridge.text import storable
from tests.hostile.site import SLOWEST, Site
from tests.hostile.stories import NEIGHBOURS, Teller, messages_queued, stored
from tests.hostile.texts import EVERY, TEXTS


def test_there_are_enough_texts() -> None:
    assert len(set(EVERY)) == len(EVERY) >= 150
    assert len(TEXTS) == 16


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_is_stored_opens_its_incident_and_pages(calm_site: Site, kind: str) -> None:
    teller = Teller(calm_site)
    cases = teller.cases(TEXTS[kind])
    left = teller.tell(cases)
    assert left.answer.status_code == 200, left.answer.text
    assert left.seconds < SLOWEST
    assert not left.kept
    assert len(left.stored) == len(cases) + NEIGHBOURS
    found = stored(calm_site, left, cases)
    assert len({each.row.incident for each in found}) == len(cases), "one problem, one incident"
    for each in found:
        case, incident = each.case, each.incident
        assert each.row.labels == case.labels
        assert case.annotations.items() <= each.row.annotations.items()
        link = storable(case.alert["generatorURL"])
        assert each.row.link == link or each.row.annotations["link"] == link
        assert incident.priority is Priority.P1, "a text decides nothing"
        assert incident.title.strip()
        assert "\n" not in incident.title
        told = messages_queued(calm_site, incident.number)
        assert [task.data["recipient"] for task in told if task.kind == "page"] == ["li"]
    beside = [row for row in left.stored if row.labels["alertname"].startswith("Neighbour")]
    assert len(beside) == NEIGHBOURS
    assert all(row.labels["client"] == "nord" and row.annotations == {"summary": "fine"} for row in beside)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_told_again_is_the_same_alert(calm_site: Site, kind: str) -> None:
    teller = Teller(calm_site)
    cases = teller.cases(TEXTS[kind])
    assert len(teller.tell(cases).stored) >= len(cases)
    assert len(teller.tell(cases).stored) <= NEIGHBOURS, "only the neighbours are new"


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_in_a_report_of_a_person_is_stored(calm_site: Site, kind: str) -> None:
    for text in TEXTS[kind]:
        report = {"title": text, "description": text, "client": text, "service": text, "reporter": text}
        answer = calm_site.client().post(
            "/ingest/form", json=report, headers={"Authorization": "Bearer form-secret"}
        )
        assert answer.status_code == 200
        calm_site.clock.forward(minutes=1)
        assert answer.json is not None
        blank = not storable(text).strip()
        assert ("quarantined" in answer.json) == blank, "a report needs a title, and nothing else"


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_that_is_looked_for_finds_what_it_says(calm_site: Site, kind: str) -> None:
    teller = Teller(calm_site)
    teller.tell(teller.cases(TEXTS[kind][:3]))
    for text in TEXTS[kind]:
        wanted = text[:500].encode("utf-8", "replace").decode()
        for query in (
            {"q": wanted},
            {"client": wanted, "service": wanted, "status": wanted, "priority": wanted},
            {"since": wanted},
            {"cursor": wanted, "limit": wanted},
        ):
            answer = calm_site.client().get("/api/v1/incidents", query_string=query, headers=calm_site.robot)
            assert answer.status_code in (200, 400), query
        answer = calm_site.client().get(
            "/api/v1/alerts", query_string={"state": wanted}, headers=calm_site.robot
        )
        assert answer.status_code in (200, 400), text


def test_a_search_takes_every_character_as_itself(calm_site: Site) -> None:
    teller = Teller(calm_site)
    texts = ["100%", "1000", "a_b", "axb", "back\\slash", "it's", 'say"so', "percent%percent"]
    teller.tell(teller.cases([f"needle{number} {text}" for number, text in enumerate(texts)]))
    for number, text in enumerate(texts):
        query = {"q": f"needle{number} {text}"}
        answer = calm_site.client().get("/api/v1/incidents", query_string=query, headers=calm_site.robot)
        assert answer.json is not None
        assert answer.json["total"] == 2, text
    for query in ({"q": "needle0 100_"}, {"q": "needle2 a%b"}):
        answer = calm_site.client().get("/api/v1/incidents", query_string=query, headers=calm_site.robot)
        assert answer.json is not None
        assert answer.json["total"] == 0, query


def some(site: Site, texts: Sequence[str]) -> list[str]:
    """Texts for every verb: on PostgreSQL two, and those that it cannot hold as they are."""
    if not site.url.startswith("postgresql"):
        return [*texts[:4], *texts[-3:]]
    return [text for text in texts if text in (texts[0], texts[-1]) or storable(text) != text]


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_that_people_say_is_stored_or_refused_in_words(calm_site: Site, kind: str) -> None:
    teller = Teller(calm_site)
    cases = teller.cases(["said about"])
    number = stored(calm_site, teller.tell(cases), cases)[0].incident.number
    client = calm_site.client()

    def say(path: str, **body: str) -> int:
        return client.post(f"/api/v1/{path}", json=body, headers=calm_site.robot).status_code

    for text in TEXTS[kind]:
        assert say(f"incidents/{number}/note", text=text) in (200, 400, 409), text
    for text in some(calm_site, TEXTS[kind]):
        for verb, body in (
            ("resolve", {"text": text}),
            ("reopen", {"text": text}),
            ("assign", {"assignee": text}),
            ("escalate", {"text": text}),
            ("priority", {"priority": "P2", "text": text}),
            ("priority", {"priority": text, "text": "x"}),
            ("acknowledge", {}),
            ("close", {"text": text}),
            ("reopen", {"text": text}),
        ):
            assert say(f"incidents/{number}/{verb}", **body) in (200, 400, 409), (verb, text)
        assert say("failovers/stop", reason=text) == 200, text
    assert say("failovers/resume", reason="done") == 200
