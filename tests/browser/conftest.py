"""A real Chromium in front of a real server."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from werkzeug.serving import make_server

from bridge.intake import Intake
from bridge.web import create_app
from bridge.wiring import Bridge
from tests.bridge.web.catalogue import compile_words
from tests.bridge.web.visitors import PASSWORD, PLAN, Site

PHONE = (360, 740)
DESKTOP = (1280, 800)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server")


@dataclass(frozen=True)
class Browser:
    """What a test does with the browser."""

    driver: webdriver.Chrome
    address: str

    def open(self, path: str) -> None:
        """Go to a page."""
        self.driver.get(self.address + path)

    def sign_in(self, name: str) -> None:
        """Sign in by typing name and password."""
        self.open("/sign-in")
        self.type("#name", name)
        self.type("#password", PASSWORD)
        self.follow("main button.primary")

    def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(text)

    def press(self, selector: str) -> None:
        """Click what a person would click; fails where something covers it."""
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def follow(self, selector: str) -> None:
        """Click what leads to another page, and wait until that has arrived to its last line."""
        # A mark on the old page instead of asking for its elements: between two pages the driver may
        # answer anything, for example "unhandled inspector error".
        self.driver.execute_script("window.oldPage = true")
        self.press(selector)
        waiting = WebDriverWait(self.driver, 15, 0.1, ignored_exceptions=[WebDriverException])
        arrived = "return !window.oldPage && document.querySelector('footer.bottom') !== null"
        waiting.until(lambda driver: driver.execute_script(arrived))

    def text(self, selector: str = "body") -> str:
        """The visible text of an element."""
        return str(self.driver.find_element(By.CSS_SELECTOR, selector).text)

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return len(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def screen(self, width: int, height: int, *, dark: bool = False) -> None:
        """Look through a screen of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def scripts(self, *, on: bool) -> None:
        """Switch scripts of pages on or off."""
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not on})

    def complaints(self) -> list[str]:
        """What the browser wrote to its console since it was asked last: refusals, errors of scripts."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def too_wide(self) -> list[str]:
        """Elements that make the page scroll sideways, widest last."""
        found: list[str] = self.driver.execute_script(
            "const wide = document.documentElement.clientWidth;"
            "if (document.documentElement.scrollWidth <= wide) return [];"
            "return [...document.querySelectorAll('body *')]"
            ".filter(e => e.getBoundingClientRect().right > wide + 1).map(e => e.outerHTML.slice(0, 120));"
        )
        return found


@pytest.fixture
def database_url(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """What the browser sees does not depend on the database."""
    path = tmp_path / "bridge.db"
    shutil.copy(request.getfixturevalue("_sqlite_template"), path)
    return f"sqlite:///{path}"


@pytest.fixture
def site(make_bridge: Callable[..., Bridge]) -> Iterator[Site]:
    """A console that listens on a port of this machine."""
    compile_words()
    bridge = make_bridge(more=PLAN)
    # Over plain HTTP a browser keeps no cookie that is marked Secure.
    bridge.use(replace(bridge.config, url="http://127.0.0.1"))
    queue = Intake(bridge)
    queue.start()
    yield Site(bridge, create_app(bridge, queue))
    queue.stop()


@pytest.fixture
def browser(site: Site, tmp_path: Path) -> Iterator[Browser]:
    """A browser with an empty profile, at the size of a phone."""
    server = make_server("127.0.0.1", 0, site.app, threaded=True)
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = _program("chromium", "chromium-browser", "google-chrome")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--lang=en"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(_program("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        found = Browser(driver, f"http://127.0.0.1:{server.server_port}")
        found.screen(*PHONE)
        yield found
    finally:
        driver.quit()
        server.shutdown()
        server.server_close()


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"none of {', '.join(names)} is installed: apt-get install chromium chromium-driver"
    return found
