"""A hostile text on the console and in the API: it is shown, and nothing of it is markup or address."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from sqlalchemy import func, select

from bridge.store.schema import quarantine
from bridge.text import storable
from tests.bridge.web import visitors
from tests.hostile.bodies import one, webhook
from tests.hostile.markup import UNSEEN, Attribute, Page, figures_away
from tests.hostile.routes import ROUTES
from tests.hostile.site import SLOWEST, Site
from tests.hostile.stories import Stored, Teller, stored
from tests.hostile.texts import TEXTS

PLAIN = [f"plain words {number}" for number in range(25)]
PLAIN += ["https://runbooks.test/plain", "https://somebody:secret@runbooks.test/plain"]
API = ("incidents", "alerts", "deliveries", "quarantine", "failovers", "oncall", "clients", "reports")


@dataclass
class Told:
    """What became of the texts of one kind: alerts, deliveries that carry them outside of alerts, bodies."""

    alerts: list[Stored]
    traces: list[str]
    bodies: list[int]


@dataclass
class Stage:
    """A site where every hostile text is told, and what its pages look like when only plain ones were."""

    site: Site
    teller: Teller
    reader: visitors.Visitor
    hostile: dict[str, Told] = field(default_factory=dict)
    elements: Counter[str] = field(default_factory=Counter)
    attributes: set[Attribute] = field(default_factory=set)

    def page(self, address: str) -> Page:
        """A page as somebody on duty sees it."""
        answer = self.reader.client.get(address)
        assert answer.status_code in (200, 404), address
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        return Page(answer.text)

    @property
    def lists(self) -> list[str]:
        """Every page of the console that has an address of its own, and one that is not there."""
        rules = self.site.app.url_map.iter_rules()
        machines = ("/api/", "/-/", "/metrics", "/static", "/sign-in")
        found = {str(rule) for rule in rules if "GET" in (rule.methods or ()) and not rule.arguments}
        return [*sorted(address for address in found if not address.startswith(machines)), "/absent"]

    def tell(self, texts: Sequence[str]) -> Told:
        """Alerts with these texts; deliveries that have them around their alerts; bodies nobody can read."""
        cases = self.teller.cases(texts)
        found = Told(stored(self.site, self.teller.tell(cases), cases), [], [])
        for text in texts:
            around = {"groupKey": text, "receiver": text, "routeLabels": {text: text}, "status": text}
            for raw in (webhook(one(f"around {text}"), **around), webhook(text, version=text)):
                found.traces.append(post(self.site, raw))
        newest = self.site.read(lambda c: c.execute(select(func.max(quarantine.c.id))).scalar_one())
        found.bodies.extend(range(newest - len(texts) + 1, newest + 1))
        return found

    def pages(self, told: Told) -> list[Page]:
        """The pages of deliveries and of bodies in quarantine."""
        addresses = [f"/deliveries/{trace}" for trace in told.traces]
        addresses += [f"/deliveries/quarantine/{number}" for number in told.bodies]
        return [self.page(address) for address in addresses]

    def learn(self, pages: Sequence[Page]) -> None:
        """These pages show nothing hostile: what they are made of is ours."""
        for page in pages:
            self.elements |= page.elements
            self.attributes |= page.attributes


def post(site: Site, raw: bytes) -> str:
    """Deliver a body; its trace."""
    route = ROUTES["alertmanager"]
    answer = site.client().post(route.path, data=raw, headers=route.headers)
    assert answer.json is not None
    return str(answer.json["trace"])


@pytest.fixture(scope="module")
def stage(light_calm_site: Site) -> Stage:
    site = light_calm_site
    found = Stage(site, Teller(site), visitors.Site(site.bridge, site.app).person())
    plain = found.tell(PLAIN)
    for each in plain.alerts[-3:]:
        found.reader.send(f"/incidents/{each.incident.number}/note", text="plain words")
    found.learn([found.page(f"/incidents/{each.incident.number}") for each in plain.alerts])
    found.learn(found.pages(plain))
    found.learn([found.page(address) for address in found.lists])
    found.learn([found.page("/incidents?q=plain&status=triggered"), found.page("/incidents?q=nothing+fits")])
    found.hostile = {kind: found.tell(texts) for kind, texts in TEXTS.items()}
    return found


def must_be_inert(page: Page, stage: Stage, *, links: Sequence[str] = (), values: Sequence[str] = ()) -> None:
    """Nothing is on the page that no plain one has, but for these addresses and these values of fields."""
    assert page.elements.keys() <= stage.elements.keys(), "an element that no plain page has"
    assert not page.others, "a comment or a declaration"
    ours = {("a", "href", figures_away(link)) for link in links}
    ours |= {("input", "value", figures_away(value)) for value in values}
    assert page.attributes - stage.attributes <= ours, "an attribute that no plain page has"
    for tag, name, address in page.addresses:
        if address not in links:
            assert address.startswith(("/", "#")), (tag, name, address)
            assert not address.startswith(("//", "/\\")), (tag, name, address)


def must_be_seen(page: Page) -> None:
    """No character hides, or turns the others around."""
    found = UNSEEN.search(page.source)
    assert found is None, f"not shown as a mark: {found and found[0]!r}"


def is_web_address(text: str) -> bool:
    """May this be a link: http or https, a host, nobody's password, nothing that is not printed?"""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and "@" not in parts.netloc and text.isprintable()


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_is_inert_on_the_page_of_its_incident(stage: Stage, kind: str) -> None:
    for each in stage.hostile[kind].alerts:
        page = stage.page(f"/incidents/{each.incident.number}")
        link = each.case.alert["generatorURL"]
        must_be_inert(page, stage, links=[link] if is_web_address(link) else [])
        assert not page.elements - stage.elements, "more elements than any plain page has"
        must_be_seen(page)
        shown = " ".join(page.text.split())
        assert f"case={each.case.number}" in shown
        for word in each.case.text.split()[:3]:
            if word.isascii() and word.isprintable() and len(word) < 80:
                assert word in shown, "text from outside is shown, not dropped"


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_is_inert_on_the_pages_of_its_delivery(stage: Stage, kind: str) -> None:
    for page in stage.pages(stage.hostile[kind]):
        must_be_inert(page, stage)
        must_be_seen(page)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_body_in_quarantine_is_handed_out_as_nothing_but_bytes(stage: Stage, kind: str) -> None:
    for number in stage.hostile[kind].bodies:
        answer = stage.reader.client.get(f"/deliveries/quarantine/{number}/raw")
        assert answer.status_code == 200
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_hostile_texts_are_inert_on_every_list(stage: Stage) -> None:
    assert {"/", "/incidents", "/deliveries"} <= set(stage.lists)
    for address in stage.lists:
        began = time.monotonic()
        page = stage.page(address)
        assert time.monotonic() - began < SLOWEST, address
        must_be_inert(page, stage)
        must_be_seen(page)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_that_is_looked_for_is_inert(stage: Stage, kind: str) -> None:
    for text in TEXTS[kind]:
        wanted = text[:2_000].encode("utf-8", "replace").decode()
        page = stage.page(f"/incidents?q={quote(wanted)}&client={quote(wanted)}")
        onwards = [address for _, _, address in page.addresses if "cursor=" in address]
        kept = storable(wanted)  # what is asked for is made storable at the door, and shown so
        values = [kept, kept[:200], *(text.replace("\r", "\n") for text in (kept, kept[:200]))]
        must_be_inert(page, stage, links=onwards, values=values)
        stage.page(f"/incidents/{quote(wanted, safe='')}")


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_in_a_note_is_inert(stage: Stage, kind: str) -> None:
    number = stage.hostile[kind].alerts[0].incident.number
    for text in TEXTS[kind]:
        body = {"text": text[:20_000]}
        answer = stage.site.client().post(
            f"/api/v1/incidents/{number}/note", json=body, headers=stage.site.robot
        )
        assert answer.status_code in (200, 400, 409), text
    link = stage.hostile[kind].alerts[0].case.alert["generatorURL"]
    page = stage.page(f"/incidents/{number}")
    must_be_inert(page, stage, links=[link] if is_web_address(link) else [])
    must_be_seen(page)


@pytest.mark.parametrize("kind", TEXTS)
def test_the_api_tells_a_hostile_text_as_it_is_and_as_json(stage: Stage, kind: str) -> None:
    for each in stage.hostile[kind].alerts:
        said = read_json(stage, f"incidents/{each.incident.number}")
        (alert,) = said["alert_list"]
        assert alert["labels"] == each.case.labels
        assert each.case.annotations.items() <= alert["annotations"].items()
        assert said["title"] == each.incident.title


@pytest.mark.parametrize("name", API)
def test_every_list_of_the_api_can_be_read_to_its_end(stage: Stage, name: str) -> None:
    said = read_json(stage, f"{name}?limit=1000")
    assert len(said["items"]) == min(said["total"], 1000)


def read_json(stage: Stage, path: str) -> Any:
    answer = stage.site.client().get(f"/api/v1/{path}", headers=stage.site.robot)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    answer.get_data().decode("utf-8", "strict")
    return answer.json
