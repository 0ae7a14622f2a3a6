"""What the API and the console say of sources: when they were heard, and which of them is blind."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge import reconcile
from bridge.store import sources
from bridge.web import words
from tests.bridge.web.visitors import Site
from tests.conftest import START
from tests.stories import alert, tell


def test_every_source_of_the_configuration_is_listed(bridge, client, token):
    tell(bridge, alert(starts=START), receiver="ops")
    bridge.database.run(lambda c: sources.blind(c, "second", "Alertmanager does not answer", START))
    found = client.get("/api/v1/sources", headers=token("api:read")).json
    nothing = dict.fromkeys(("delivered_at", "looked_at", "answered_at", "blind_since"))
    assert found == {
        "items": [
            {"name": "form", "type": "form", **nothing, "blind_why": ""},
            {
                "name": "main",
                "type": "alertmanager",
                **nothing,
                "delivered_at": "2026-11-25T02:00:00Z",
                "blind_why": "",
            },
            {
                "name": "second",
                "type": "alertmanager",
                **nothing,
                "blind_since": "2026-11-25T02:00:00Z",
                "blind_why": "Alertmanager does not answer",
            },
        ],
        "next": None,
        "total": 3,
    }


def test_clients_and_strangers_do_not_see_sources(client, token):
    assert client.get("/api/v1/sources").status_code == 401
    assert client.get("/api/v1/sources", headers=token("client:acme")).status_code == 403


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ("Monitoring is blind", "Alertmanager does not answer; heartbeat pulse is late.", "ago")),
        ("zh", ("监控失明", "Alertmanager 无应答; heartbeat pulse is late.", "前")),
    ],
)
def test_the_first_page_says_which_source_is_blind_since_when_and_why(
    site: Site, clock, language: str, said: tuple[str, ...]
):
    visitor = site.person(language=language)
    assert said[0] not in visitor.page("/")
    for cause in (sources.SILENT, "heartbeat pulse is late"):
        site.bridge.database.run(lambda c, cause=cause: sources.blind(c, "main", cause, START))
    clock.forward(minutes=5)
    page = visitor.page("/")
    assert all(text in page for text in said)
    assert (START + timedelta(0)).isoformat() in page
    site.bridge.database.run(lambda c: sources.seeing(c, "main", sources.SILENT, "heartbeat pulse is late"))
    assert said[0] not in visitor.page("/")


def test_every_cause_a_look_finds_has_a_word():
    found = {sources.SILENT, reconcile.FIRST_FAILURE, reconcile.NO_PROMETHEUS}
    assert set(words.WORDS["blind"]) == found
