"""The console's pages: what they show, to whom, and that nothing from outside becomes markup."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import render_template
from sqlalchemy import insert, update

from bridge import operations
from bridge.messages import assets
from bridge.model import Actor
from bridge.store import incidents
from bridge.store.alerts import add_quarantined
from bridge.store.schema import incidents as table
from bridge.store.schema import reports, tasks
from tests.bridge.web.visitors import Site, Visitor, alert

PAGES = (
    "/",
    "/incidents",
    "/incidents/1",
    "/failover",
    "/oncall",
    "/reports",
    "/deliveries",
    "/report-problem",
)
ACTING = ("/incidents/1/acknowledge", "/failover/stop", "/failover/plans/payments-eu/run")
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(2)>'
OVERRIDE = "gpj.\u202etxt"
BY = Actor("wang", "console")


def _hostile(site: Site) -> None:
    """An incident in which everything that comes from outside is ugly."""
    ugly = alert(SCRIPT, region=IMAGE, instance=OVERRIDE, gateway="g" * 10_240, job="javascript:alert(4)")
    ugly["annotations"] = {
        "summary": f"{SCRIPT}{IMAGE}{OVERRIDE}",
        "description": f"{IMAGE}\n{{{{ 7*7 }}}}",
    }
    ugly["generatorURL"] = "javascript:alert(5)"
    site.ingest(ugly, alert(SCRIPT, region="eu", gateway="g" * 10_240))
    site.bridge.database.run(lambda connection: _spoil(connection, site))
    operations.note(site.bridge, 1, BY, f"{SCRIPT}{OVERRIDE}")
    operations.assign(site.bridge, 1, Actor(IMAGE, "api"), IMAGE)


def _spoil(connection: Any, site: Site) -> None:
    now = site.bridge.now()
    connection.execute(update(table).values(runbook="javascript:alert(3)"))
    task = {"kind": "page", "key": "ugly", "incident": 1, "priority": "P1", "channel": IMAGE, "state": "dead"}
    task |= {"data": {"recipient": SCRIPT, "reason": IMAGE}, "attempts": 12, "error": SCRIPT + OVERRIDE}
    task |= {"created_at": now, "due_at": now, "done_at": now, "receipt": ""}
    connection.execute(insert(tasks).values(task))
    report = {"client": IMAGE, "month": "2026-10", "language": "en", "format": "html", "made_at": now}
    report |= {"path": "/nowhere", "sha256": "", "evidence": SCRIPT, "missing": [IMAGE], "seconds": 1.0}
    connection.execute(insert(reports).values(report))
    raw = {"trace": "trace", "source": "main", "received_at": now, "kind": IMAGE, "content_type": SCRIPT}
    raw |= {"reason": f"{SCRIPT}{OVERRIDE}", "body": SCRIPT.encode() + b"\xff\x00" + OVERRIDE.encode()}
    add_quarantined(connection, **raw)
    add_quarantined(connection, **raw, settled_at=now, outcome=f"dismissed by {IMAGE}: {SCRIPT}{OVERRIDE}")


def _check(page: str) -> None:
    """No markup from outside, nothing that a strict content policy would refuse, every form signed."""
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert not re.search(r"""(href|src|action)=["']?\s*javascript:""", page, re.IGNORECASE)
    assert not re.search(r"<[^>]+\son\w+=", page)
    assert not re.search(r"<[^>]+\sstyle=|<style", page)
    assert re.findall(r"<script[^>]*>", page) == ['<script src="/static/console.js" defer>']
    for form in re.findall(r'<form[^>]*method="post".*?</form>', page, re.DOTALL):
        assert 'name="csrf_token"' in form
    assert "{{" not in page.replace("{{ 7*7 }}", "")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("address", PAGES)
def test_pages_show_hostile_text_as_text(site: Site, address: str, language: str):
    _hostile(site)
    page = site.person(language=language).page(address)
    _check(page)
    assert f'<html lang="{"zh-CN" if language == "zh" else "en"}"' in page
    assert ("退出" if language == "zh" else "Sign out") in page
    assert "g" * 400 not in page


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("address", [page for page in PAGES if page != "/incidents/1"])
def test_pages_of_an_empty_bridge(site: Site, address: str, language: str):
    _check(site.person(language=language).page(address))


def test_the_hostile_text_is_there_to_be_read(site: Site):
    _hostile(site)
    page = site.person().page("/incidents/1")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "‹U+202E›" in page
    assert "(10240)" in page
    assert "Runbook:" in page


def test_an_empty_console_teaches_how_to_send_the_first_alert(site: Site):
    for address in ("/", "/incidents", "/deliveries"):
        page = site.person(name=f"p{address.strip('/')}").page(address)
        assert "https://bridge.test/ingest/alertmanager" in page
        assert "bridge token add alertmanager --scope ingest:main" in page
    site.ingest(alert())
    operations.resolve(site.bridge, 1, BY)
    operations.close(site.bridge, 1, BY, "a bad certificate")
    assert "ingest/alertmanager" not in site.person().page("/")


def test_a_form_without_its_token_changes_nothing(site: Site):
    site.ingest(alert())
    answer = site.person().client.post("/incidents/1/acknowledge")
    assert answer.status_code == 400
    assert "send the form once more" in answer.text
    assert _incident(site).acknowledged_at is None


def test_no_address_acts_when_it_is_only_opened(site: Site):
    site.ingest(alert())
    visitor = site.person()
    for address in (
        "/incidents/1/acknowledge",
        "/failover/stop",
        "/failover/plans/payments-eu/run",
        "/sign-out",
    ):
        assert "Not possible this way" in visitor.page(address, 405)


def test_a_viewer_reads_everything_and_changes_nothing(site: Site):
    site.ingest(alert())
    viewer = site.person("kim", "viewer")
    for address in PAGES:
        posts = re.findall(r'<form[^>]*method="post" action="([^"]+)"', viewer.page(address))
        assert posts == ["/sign-out"]
    for address in (*ACTING, "/reports", "/report-problem"):
        assert viewer.send(address, title="x").status_code == 403
    assert _incident(site).acknowledged_at is None


def test_a_clients_account_sees_no_page_of_the_console(site: Site):
    site.ingest(alert())
    visitor = site.person("buyer", "client")
    for address in PAGES:
        assert "Payment" not in visitor.page(address, 403)


def test_strangers_are_sent_to_sign_in(site: Site):
    site.ingest(alert())
    for address in PAGES:
        assert site.visitor().client.get(address).location.startswith("/sign-in")


def test_only_what_is_possible_now_is_offered(site: Site):
    site.ingest(alert())
    visitor = site.person()
    assert _verbs(visitor) == {"acknowledge", "resolve", "assign", "escalate", "priority", "note"}
    assert visitor.send("/incidents/1/acknowledge", back="now").location == "/"
    assert _verbs(visitor) == {"resolve", "assign", "escalate", "priority", "note"}
    visitor.send("/incidents/1/resolve")
    assert _verbs(visitor) == {"close", "reopen", "note"}
    assert re.search(r'<textarea id="cause"[^>]* required', visitor.page("/incidents/1"))
    visitor.send("/incidents/1/close", text="an expired certificate, renewed")
    assert _verbs(visitor) == {"reopen", "note"}
    visitor.send("/incidents/1/reopen")
    assert "acknowledge" in _verbs(visitor)


def test_a_plan_is_asked_for_where_one_was_promised(site: Site):
    site.ingest(alert("DiskFillsUp", severity="warning"))
    visitor = site.person()
    assert "plan" in _verbs(visitor)
    visitor.send("/incidents/1/plan", text="new disk on Friday")
    assert "new disk on Friday" in visitor.page("/incidents/1")


def test_a_refusal_is_told_on_the_page(site: Site):
    site.ingest(alert())
    visitor = site.person()
    visitor.send("/incidents/1/resolve")
    visitor.send("/incidents/1/close", text="  ")
    page = visitor.page("/incidents/1")
    assert "That was not done. INC-1 is a P1: say what the cause was" in page
    assert "That was not done" not in visitor.page("/incidents/1")
    assert _incident(site).closed_at is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_error_pages(site: Site, language: str):
    visitor = site.person(language=language)
    for address in ("/incidents/99", "/nowhere", "/reports/99"):
        page = visitor.page(address, 404)
        assert ("未找到" if language == "zh" else "Not found") in page
        _check(page)
    assert visitor.page("/incidents?cursor=forged", 400)
    for status in (409, 413, 500, 503, 418):
        with site.app.test_request_context(headers={"Accept-Language": language}):
            _check(
                render_template("error.html", status=status, title="I'm a teapot", detail=SCRIPT + OVERRIDE)
            )


def test_the_live_refresh_is_answered_304_until_something_happens(site: Site, clock):
    site.ingest(alert())
    visitor = site.person()
    for address in ("/", "/incidents/1"):
        first = visitor.client.get(address)
        known = {"If-None-Match": first.headers["ETag"]}
        clock.forward(seconds=5)
        assert visitor.client.get(address, headers=known).status_code == 304
        operations.note(site.bridge, 1, BY, f"looked at {address}")
        operations.set_priority(site.bridge, 1, BY, "P2" if address == "/" else "P1", "smaller")  # type: ignore[arg-type]
        assert visitor.client.get(address, headers=known).status_code == 200


def test_clocks_are_told_in_words_with_the_exact_time(site: Site, clock):
    site.ingest(alert())
    visitor = site.person()
    due_at = clock.moment + timedelta(minutes=10)
    clock.forward(minutes=5, seconds=48)
    page = visitor.page("/incidents/1")
    assert f'title="{due_at:%Y-%m-%d %H:%M:%S} UTC" data-tick="left">04:12 left</time>' in page
    assert '<span class="clock half">' in page
    clock.forward(minutes=4)
    operations.tell_due_clocks(site.bridge)
    assert "at risk" in visitor.page("/")
    clock.forward(minutes=1)
    assert "overdue by 00:48" in visitor.page("/")
    assert '<span class="clock breached">' in visitor.page("/")


def test_the_title_counts_what_burns(site: Site):
    site.ingest(alert(gateway="a"), alert(gateway="b"), alert("Disk", severity="warning"))
    assert "<title>(2 P1) Now · opsbridge</title>" in site.person().page("/")


def test_filters_stand_in_the_address_and_follow_to_the_next_page(site: Site, clock):
    for first in (0, 30):  # more than thirty in a minute would be a storm
        site.ingest(*(alert(gateway=f"g{number}") for number in range(first, first + 30)))
        clock.forward(minutes=2)
    visitor = site.person()
    page = visitor.page("/incidents?status=triggered&priority=P1&q=Payment&endpoint=x&_external=1")
    following = re.search(r'href="(/incidents\?[^"]*cursor=[^"]*)"', page)
    assert following
    assert "priority=P1" in following[1]
    assert "_external" not in following[1]
    assert "INC-1<" in visitor.page(following[1].replace("&amp;", "&"))
    assert "Nothing fits" in visitor.page("/incidents?q=nothing-like-this")


def test_the_kill_switch(site: Site):
    visitor = site.person()
    assert "not pressed" in visitor.page("/failover")
    visitor.send("/failover/stop", reason=SCRIPT)
    page = visitor.page("/failover")
    assert "pressed, nothing runs" in page
    _check(page)
    visitor.send("/failover/resume")
    assert "not pressed" in visitor.page("/failover")


def test_a_person_switches_and_switches_back(site: Site, clock):
    visitor = site.person()
    visitor.send("/failover/plans/payments-eu/run")
    clock.forward(seconds=1)
    visitor.send("/failover/plans/payments-eu/switch-back")
    page = visitor.page("/failover")
    assert "Run 2 was asked for" in page
    assert "No other run in flight" in page
    assert visitor.send("/failover/plans/nothing/run").status_code == 404
    assert visitor.send("/failover/plans/payments-eu/explode").status_code == 404


def test_a_reported_problem_becomes_an_incident(site: Site):
    visitor = site.person()
    answer = visitor.send("/report-problem", title=f"Checkout hangs {SCRIPT}", client="acme", priority="P1")
    assert answer.location == "/incidents/1"
    page = visitor.page("/incidents/1")
    assert "Checkout hangs &lt;script&gt;" in page
    _check(page)
    assert visitor.send("/report-problem", title=" ").status_code == 400


def test_the_first_page_is_small(site: Site):
    for number in range(10):
        site.ingest(alert(gateway=f"g{number}"))
    files = [assets("console", "static", name) for name in ("console.css", "console.js", "icon.svg")]
    parts = [site.person().page("/"), *(file.read_text() for file in files)]
    assert sum(len(part.encode()) for part in parts) <= 50_000


def _incident(site: Site) -> Any:
    with site.bridge.database.reading() as connection:
        return incidents.read(connection, 1)


def _verbs(visitor: Visitor) -> set[str]:
    return set(re.findall(r'action="/incidents/1/(\w+)"', visitor.page("/incidents/1")))
