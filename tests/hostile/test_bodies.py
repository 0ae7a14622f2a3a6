"""Whatever is posted: an answer in two seconds, never 5xx but 503, and no alert swallowed. Both databases."""

from __future__ import annotations

import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from bridge.store.schema import alerts, quarantine
from tests.bridge.web import visitors
from tests.hostile import contents
from tests.hostile.bodies import NOBODY, SHAPES, WHOLE, Body, one, webhook
from tests.hostile.events import EVENTS, GRAFANA, REPORTS
from tests.hostile.routes import ROUTES, Route
from tests.hostile.site import SLOWEST, Left, Site

ALERTMANAGER = [*SHAPES, *contents.SIZES, *contents.IDENTITIES, *contents.TIMES, *contents.VERSIONS]
OTHERS = [
    *(("grafana", body) for body in GRAFANA),
    *(("pagerduty", body) for body in EVENTS),
    *(("form", body) for body in REPORTS),
]
ANYBODY = [(name, body) for name in ROUTES for body in NOBODY]
# Where the day before and the day after are furthest away.
ZONES = ("Pacific/Kiritimati", "Etc/GMT+12", "America/New_York", "Asia/Shanghai")


def unpacked(raw: bytes) -> bytes:
    """A gzip of any number of members, as far as it goes."""
    found = b""
    while raw[:2] == b"\x1f\x8b":
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(raw, 2**20)
        raw = member.unused_data
    return found


def post(site: Site, route: Route, body: Body) -> Left:
    return site.send(route.method, route.path, body.raw, {**route.headers, **body.headers})


def judge(left: Left, body: Body) -> None:
    """The law, and what the table says of this body."""
    assert left.answer.status_code == body.status, left.answer.text
    assert left.seconds < body.seconds
    assert len(left.stored) == body.stored
    assert all(row.incident for row in left.stored)
    if left.stored:
        assert body.sees(left.stored[-1])
        assert bool(left.flaws) >= body.flawed, "taken without a word about what was odd"
    assert bool(left.kept) == bool(body.kept)
    assert ("BridgeQuarantine" in left.told) == bool(body.kept), "kept, but nobody was told"
    held = b"\n".join([*left.kept, *map(unpacked, left.kept)])
    for text in body.kept:
        whole = {body.raw, unpacked(body.raw)} if body.headers else {body.raw}
        assert whole & set(left.kept) if text == WHOLE else text in held
    told = " ".join(json.dumps([row.labels, row.annotations, row.link]) for row in left.stored)
    for words in body.words:
        assert words in told or words.encode() in held, "a part of the alert is nowhere"


def harmless(site: Site, name: str) -> None:
    """After a hostile body the next one must be taken as if nothing had been."""
    left = post(site, ROUTES["alertmanager"], Body("", name, webhook(one(name))))
    assert (left.answer.status_code, len(left.stored), left.kept) == (200, 1, ())
    assert left.seconds < SLOWEST


@pytest.mark.parametrize("body", ALERTMANAGER, ids=str)
def test_no_alert_of_a_hostile_body_is_swallowed(site: Site, body: Body) -> None:
    judge(post(site, ROUTES["alertmanager"], body), body)
    harmless(site, f"after {body}")


@pytest.mark.parametrize(("name", "body"), OTHERS, ids=str)
def test_no_alert_of_another_sender_is_swallowed(plain_site: Site, name: str, body: Body) -> None:
    left = post(plain_site, ROUTES[name], body)
    judge(left, body)
    if name == "pagerduty" and body.status != 202:
        assert left.answer.json is not None
        assert left.answer.json["errors"], "its sender learns why"


@pytest.mark.parametrize("body", NOBODY, ids=str)
def test_what_no_source_sends_is_kept_in_either_database(plain_site: Site, body: Body) -> None:
    judge(post(plain_site, ROUTES["form"], body), body)


@pytest.mark.parametrize(("name", "body"), ANYBODY, ids=str)
def test_what_no_source_sends_is_kept_told_or_refused(light_site: Site, name: str, body: Body) -> None:
    route = ROUTES[name]
    left = post(light_site, route, body)
    if route.strange == "kept":
        judge(left, body)
        assert ("BridgeBodyTooLarge" in left.told) == (body.status == 413), "refused, and nobody was told"
        return
    assert left.seconds < SLOWEST
    assert not left.stored
    assert not left.kept, "nobody is known by such a body"
    assert left.answer.status_code == (200 if route.strange == "ignored" else max(body.status, 400))


@pytest.mark.parametrize("body", contents.STORMS, ids=str)
def test_a_storm_in_one_body_is_stored_in_time(light_site: Site, body: Body) -> None:
    judge(post(light_site, ROUTES["alertmanager"], body), body)


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.headers])
def test_without_a_token_no_body_does_anything(light_site: Site, name: str) -> None:
    route = ROUTES[name]
    for body in [*NOBODY[::5], *NOBODY[-2:], *ALERTMANAGER[::20]]:
        left = light_site.send(route.method, route.path, body.raw, body.headers)
        assert left.answer.status_code == 401, body
        assert left.nothing, body
        assert left.seconds < SLOWEST, body


def test_hostile_bodies_that_are_stored_together_break_only_themselves(site: Site) -> None:
    route = ROUTES["alertmanager"]
    bodies = [body for body in [*NOBODY, *ALERTMANAGER] if body.status == 200 and len(body.raw) < 2**17]
    plain = [Body("", "", webhook(one(f"beside {number}")), stored=1) for number in range(len(bodies))]
    mixed = [body for pair in zip(bodies, plain, strict=True) for body in pair]

    def count() -> tuple[int, int]:
        held = site.read(lambda c: c.execute(select(func.count()).select_from(quarantine)).scalar_one())
        rows = site.read(lambda c: c.execute(select(alerts.c.labels)).scalars().all())
        return held, sum(1 for labels in rows if labels.get("alertname", "").startswith("beside "))

    def send(body: Body) -> int:
        headers = {**route.headers, **body.headers}
        return site.client().post(route.path, data=body.raw, headers=headers).status_code

    before = count()
    site.clock.forward(minutes=1)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, mixed)) == {200}
    after = count()
    assert after[0] - before[0] >= sum(1 for body in bodies if WHOLE in body.kept)
    assert after[1] - before[1] == len(plain)


def test_no_time_of_an_alert_breaks_a_page_or_a_time_zone(light_site: Site) -> None:
    rows = [row for body in contents.TIMES for row in post(light_site, ROUTES["alertmanager"], body).stored]
    assert len(rows) == len(contents.TIMES)
    reader = visitors.Site(light_site.bridge, light_site.app).person()
    for row in rows:
        reader.page(f"/incidents/{row.incident}")
        for zone in ZONES:
            for moment in filter(None, (row.starts_at, row.ends_at)):
                moment.astimezone(ZoneInfo(zone))
    reader.page("/incidents")
    reader.page("/")


@pytest.mark.parametrize(
    "name", ["", "nobody", "main", "beat/x", "%00", "%ff", "b" * 10_000, "..%2fbeat", "<b>"]
)
def test_a_heartbeat_nobody_waits_for_is_refused(light_site: Site, name: str) -> None:
    left = light_site.send("POST", f"/heartbeat/{name}", b"", ROUTES["heartbeat"].headers)
    assert left.answer.status_code in (401, 404)
    assert left.nothing
