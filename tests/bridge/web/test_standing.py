"""What the API and an incident's page say of flapping, storms, doubt, silences, causes and earlier ones."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from flask.testing import FlaskClient
from msgspec.structs import replace

from bridge import operations
from bridge.model import Alert, State
from bridge.triage import ServiceFacts
from bridge.wiring import Bridge
from tests.bridge.web.visitors import Site
from tests.conftest import START, Clock
from tests.stories import LI, alert, tell

Token = Callable[..., dict[str, str]]


def plain(page: str) -> str:
    """The page's text as a person reads it."""
    return " ".join(re.sub(r"<[^>]+>", "", page.split('<section class="todo">')[1]).split())


def flap(bridge: Bridge, clock: Clock, times: int) -> None:
    """Fires and ends so often, ten seconds each."""
    for _ in range(times):
        began = clock()
        tell(bridge, alert(starts=began))
        clock.forward(seconds=10)
        tell(bridge, alert(starts=began, ends=clock()))
        clock.forward(seconds=10)


def held_back(starts: datetime, state: State, why: str) -> Alert:
    return replace(alert(starts=starts), standing=state, held_by=why)


def test_the_api_tells_how_an_incident_stands(
    bridge: Bridge, client: FlaskClient, clock: Clock, token: Token
) -> None:
    flap(bridge, clock, 1)
    operations.close(bridge, 1, LI, "a cable")
    flap(bridge, clock, 4)
    tell(bridge, alert(starts=clock()), hidden=3)
    headers = token("api:read")
    first, second = (client.get(f"/api/v1/incidents/{n}", headers=headers).json for n in (1, 2))
    names = ("follows", "flapping_since", "reopens", "held", "muted_until")
    assert [first[name] for name in names] == [None, None, 0, False, None]
    since = (START + timedelta(seconds=20 * 4)).isoformat().replace("+00:00", "Z")
    assert [second[name] for name in names] == ["INC-1", since, 4, True, None]
    listed = client.get("/api/v1/incidents", headers=headers).json["items"]
    assert {item["number"]: item["follows"] for item in listed}["INC-2"] == "INC-1"


def test_who_holds_an_alert_back_is_told_to_staff_only(
    bridge: Bridge, client: FlaskClient, token: Token
) -> None:
    tell(bridge, alert(starts=START))
    tell(bridge, held_back(START, State.SILENCED, "silence s1 by li until 2026-11-25 12:00 UTC: works"))
    ours, acmes = token("api:read"), token("api:read", "client:acme")
    for told in ("incidents/1", "alerts"):
        staff, theirs = (client.get(f"/api/v1/{told}", headers=who).json for who in (ours, acmes))
        name = "items" if told == "alerts" else "alert_list"
        assert staff[name][0]["held_by"].startswith("silence s1 by li")
        assert theirs[name][0]["state"] == "silenced"
        assert "held_by" not in theirs[name][0]


def test_a_flapping_incident_says_when_it_is_called_restored(site: Site) -> None:
    visitor, clock = site.person(), site.bridge.now
    assert isinstance(clock, Clock)
    flap(site.bridge, clock, 4)
    page = visitor.page("/incidents/1")
    assert "It flaps: reopened 3 times. It is called restored after 10 min without an alert" in plain(page)
    assert "(09:50 left)" in plain(page)
    tell(site.bridge, alert(starts=clock()))
    assert "without an alert." in plain(visitor.page("/incidents/1"))


def test_what_it_follows_and_what_may_be_its_cause_are_links(site: Site) -> None:
    visitor, clock = site.person(), site.bridge.now
    assert isinstance(clock, Clock)
    flap(site.bridge, clock, 1)
    operations.close(site.bridge, 1, LI, "a cable")
    tell(site.bridge, alert(starts=clock()))
    page = visitor.page("/incidents/2")
    assert "It follows INC-1, the last one with the same key" in plain(page)
    assert 'href="/incidents/1">INC-1</a>' in page
    assert "It follows" not in visitor.page("/incidents/1")


def test_an_incident_in_doubt_says_how_many_alerts_are_hidden(site: Site) -> None:
    visitor = site.person()
    tell(site.bridge, alert(starts=START), hidden=37)
    page = plain(visitor.page("/incidents/1"))
    assert "In doubt: its source hides 37 alerts. It is called restored when the full list is known." in page
    operations.resolve(site.bridge, 1, LI, "seen by hand")
    assert "In doubt:" not in plain(visitor.page("/incidents/1"))


def test_a_storm_says_what_it_takes_in_until_it_takes_in_no_more(site: Site) -> None:
    visitor, clock = site.person(), site.bridge.now
    assert isinstance(clock, Clock)
    names = ["NodeDown"] * 30 + list("AAABBCDEFG")
    tell(site.bridge, *[alert(name, starts=START, service=f"s{n}") for n, name in enumerate(names)])
    page = plain(visitor.page("/incidents/31"))
    assert "A storm: A ×3, B ×2, C ×1, D ×1, E ×1, 2 other names. New problems of this client join it" in page
    assert "until none has come for 1 min." in page
    assert "A storm:" not in plain(visitor.page("/incidents/1"))
    clock.forward(seconds=61)
    operations.settle_due(site.bridge)
    page = plain(visitor.page("/incidents/31"))
    assert "A storm: A ×3" in page
    assert "New problems" not in page


def test_an_alerts_row_tells_what_holds_it_back_and_hides_it_when_it_has_ended(site: Site) -> None:
    visitor, zh = site.person(), site.person("mei", language="zh")
    why = "silence s1 by li until 2026-11-25 12:00 UTC: <script>alert(1)</script>"
    tell(site.bridge, alert(starts=START))
    tell(site.bridge, held_back(START, State.SILENCED, why))
    page = visitor.page("/incidents/1")
    assert "<script>alert" not in page
    shown = "by 李雷 until 2026-11-25 12:00 UTC: &lt;script&gt;alert(1)&lt;/script&gt;"
    assert "silenced</span>" in page
    assert f'<p class="quiet said">{shown}</p>' in page
    assert "李雷 静默至 2026-11-25 12:00 UTC" in zh.page("/incidents/1")
    tell(site.bridge, alert(starts=START, ends=START + timedelta(minutes=1)))
    assert f'<p class="quiet said">{shown}' not in visitor.page("/incidents/1")


def test_a_stale_alert_says_why_nobody_knows(site: Site) -> None:
    visitor = site.person()
    tell(site.bridge, alert(starts=START))
    why = "told as ended while monitoring was blind: Prometheus does not answer"
    tell(site.bridge, held_back(START, State.STALE, why))
    page = visitor.page("/incidents/1")
    assert "stale</span>" in page
    assert f'<p class="quiet said">{why}</p>' in page


def test_a_suspected_cause_is_a_link_while_the_incident_is_open(site: Site) -> None:
    visitor = site.person()
    tell(site.bridge, alert("OrdersFail", starts=START, service="orders"))
    config = site.bridge.config
    needing = {"orders": ServiceFacts(depends_on=("payments",))}
    site.bridge.use(dataclasses.replace(config, known=dataclasses.replace(config.known, services=needing)))
    tell(site.bridge, alert(starts=START))
    page = visitor.page("/incidents/1")
    assert "Its cause may be INC-2: orders depends on payments" in plain(page)
    assert 'href="/incidents/2">INC-2: orders depends on payments</a>' in page
    operations.resolve(site.bridge, 1, LI, "")
    assert "INC-2: orders depends on payments</a>" not in visitor.page("/incidents/1")
