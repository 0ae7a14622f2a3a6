"""The console in a real browser: on a phone, with and without scripts, and without one complaint."""

from __future__ import annotations

import re
import time

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from bridge import operations
from bridge.model import Actor
from tests.bridge.web.visitors import Site, alert
from tests.browser.conftest import DESKTOP, PHONE, Browser

PAGES = (
    "/",
    "/incidents",
    "/incidents/1",
    "/failover",
    "/oncall",
    "/reports",
    "/deliveries",
    "/report-problem",
    "/nowhere",
)
BY = Actor("li", "api")


def _soon(browser: Browser, question, seconds: float = 15) -> None:
    WebDriverWait(browser.driver, seconds, poll_frequency=0.2).until(lambda _: question())


def test_acknowledge_from_the_now_page_on_a_phone(site: Site, browser: Browser):
    site.ingest(alert())
    site.person("wang")
    browser.sign_in("wang")
    assert "nobody yet" in browser.text("main")
    browser.follow("#acknowledge-1")
    assert "wang" in browser.text(".who")
    assert "acknowledged" in browser.text(".act")
    assert browser.count("#acknowledge-1") == 0
    assert browser.complaints() == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_page_scrolls_sideways_and_nothing_breaks_the_content_security_policy(
    site: Site, browser: Browser, language: str
):
    endless = {"path": "x" * 3000, "region": "欧" * 300, "y" * 200: "z"}
    site.ingest(
        alert("A" * 200, **endless), alert("B" * 200, **endless), alert(instance="<script>alert(1)</script>")
    )
    operations.note(site.bridge, 1, BY, "https://example.test/" + "n" * 500)
    site.person("wang", language=language)
    browser.sign_in("wang")
    for path in PAGES:
        for width, height in (PHONE, DESKTOP):
            browser.screen(width, height, dark=width == 360)
            browser.open(path)
            assert browser.too_wide() == [], f"{path} at {width}"
    refused = [line for line in browser.complaints() if "404 (NOT FOUND)" not in line]
    assert refused == []


def test_the_bar_of_an_incident_is_within_reach_of_the_thumb(site: Site, browser: Browser):
    site.ingest(*(alert(instance=f"pay-{number}") for number in range(30)))
    site.person("wang")
    browser.sign_in("wang")
    browser.open("/incidents/1")
    for place in ("0", "document.body.scrollHeight"):
        browser.driver.execute_script(f"scrollTo(0, {place})")
        box = browser.driver.find_element("css selector", "#acknowledge").rect
        offset = browser.driver.execute_script("return scrollY")
        assert PHONE[1] * 0.75 < box["y"] - offset < PHONE[1] - box["height"] + 1
        assert box["height"] >= 40
    browser.follow("#acknowledge")
    browser.press("#resolve summary")
    browser.type("#resolve-text", "switched to the standby")
    browser.follow("#resolve button")
    browser.press("#close summary")
    browser.press("#close button")  # the browser asks for the cause before anything is sent
    assert browser.count("#close[open] textarea:invalid") == 1
    browser.type("#cause", "an expired certificate")
    browser.follow("#close button")
    assert "closed" in browser.text(".head")
    assert browser.complaints() == []


def test_pages_refresh_by_themselves_but_not_while_somebody_types(site: Site, browser: Browser):
    browser.screen(*DESKTOP)
    site.ingest(alert())
    site.person("wang")
    browser.sign_in("wang")
    assert browser.driver.title.startswith("(1 P1)")
    site.ingest(alert(gateway="another"))
    _soon(browser, lambda: browser.count(".row") == 2)
    assert browser.driver.title.startswith("(2 P1)")
    browser.open("/incidents/1")
    browser.press("label[for=show-people]")
    browser.type("#note", "half a thought")
    operations.note(site.bridge, 1, BY, "somebody else's note")
    time.sleep(7)
    assert "somebody else's note" not in browser.text("main")
    assert browser.driver.find_element("css selector", "#note").get_property("value") == "half a thought"
    browser.driver.find_element("css selector", "#note").clear()
    browser.driver.execute_script("document.activeElement.blur()")
    _soon(browser, lambda: "somebody else's note" in browser.text("main"))
    assert "Opened" not in browser.text(".show"), "the chosen filter is kept"
    assert browser.complaints() == []


def test_clocks_tick_in_place(site: Site, browser: Browser):
    site.ingest(alert())
    site.person("wang")
    browser.sign_in("wang")
    first = browser.text(".clock .figure")
    box = browser.driver.find_element("css selector", ".clock").rect
    assert re.fullmatch(r"\d\d:\d\d left", first)
    _soon(browser, lambda: browser.text(".clock .figure") != first)
    assert re.fullmatch(r"\d\d:\d\d left", browser.text(".clock .figure"))
    assert browser.driver.find_element("css selector", ".clock").rect == box


def test_the_page_says_when_it_lost_its_server(site: Site, browser: Browser):
    site.person("wang")
    browser.sign_in("wang")
    assert not browser.driver.find_element("css selector", "#stale").is_displayed()
    browser.driver.execute_cdp_cmd("Network.enable", {})
    gone = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", gone)
    _soon(browser, lambda: "No connection" in browser.text("#stale"))
    back = gone | {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", back)
    _soon(browser, lambda: browser.text("#stale") == "")


def test_everything_works_without_scripts(site: Site, browser: Browser):
    browser.screen(*DESKTOP)
    site.ingest(alert())
    site.person("wang")
    browser.scripts(on=False)
    browser.sign_in("wang")
    browser.follow(".row .title")
    browser.follow("#acknowledge")
    browser.press("label[for=show-alerts]")
    assert "Acknowledged" not in browser.text(".show ol")
    browser.press("label[for=show-people]")
    assert "Acknowledged" in browser.text(".show ol")
    browser.type("#note", "seen")
    browser.follow(".note button")
    assert "seen" in browser.text(".show ol")
