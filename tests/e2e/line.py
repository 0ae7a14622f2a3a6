"""Alertmanager, a load balancer and a bridge, one behind the other.

The load balancer can be told to swallow: it says yes and passes nothing on. Alertmanager then believes
that we know, and says no more before its repeat_interval of four hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from bridge.demo.stack import free_port
from tests.servers.alertmanager import Alertmanager, Firing
from tests.servers.http import Exchange, Server, says
from tests.servers.opsbridge import TOKEN, Opsbridge
from tests.servers.waiting import wait_for

SOURCES = """\
  main: {{type: alertmanager, token: {token}, api: "{api}", receivers: [bridge]}}"""
INHIBITED = {
    "source_matchers": ['alertname="DataCentreDown"'],
    "target_matchers": ['alertname="NodeDown"'],
    "equal": ["client"],
}


class Balancer:
    """Passes everything on, or says yes to everything and forgets it."""

    def __init__(self, url: str) -> None:
        self.swallows = False
        self._url = url

    def __call__(self, exchange: Exchange) -> None:
        if self.swallows:
            says(200)(exchange)
            return
        headers = {"Authorization": exchange.request.headers["Authorization"]}
        url = self._url + exchange.request.path
        answer = requests.post(url, data=exchange.request.body, headers=headers, timeout=30)
        says(answer.status_code, answer.content)(exchange)


@dataclass
class Line:
    """Alertmanager, load balancer, bridge."""

    alertmanager: Alertmanager
    balancer: Balancer
    bridge: Opsbridge

    def wait(self, look, what: str, seconds: float = 60):
        return wait_for(look, what, seconds, self.bridge.program)

    def wait_for_page(self, alert: Firing) -> str:
        """The number of the alert's incident, as soon as somebody was paged for it."""
        name = alert.labels["alertname"]
        [opened] = self.wait(lambda: self.bridge.incidents(name), f"an incident of {name}")
        number: str = opened["number"]
        self.wait(lambda: self.bridge.told(number)["page"], f"the page of {name}")
        return number

    def state(self, alert: Firing) -> str:
        [episode] = self.bridge.episodes(alert.labels["alertname"])
        return str(episode["state"])

    def wait_for_state(self, alert: Firing, state: str) -> None:
        self.wait(lambda: self.state(alert) == state, f"{alert.labels['alertname']} to be {state}")

    def wait_for_end(self, number: str) -> None:
        """The incident is over, everybody paged was told once, and nobody was paged again."""
        self.wait(lambda: self.bridge.incident(number)["status"] == "resolved", f"the end of {number}")
        self.wait(lambda: self.bridge.told(number)["resolved"], f"people to be told the end of {number}")
        told = self.bridge.told(number)
        assert (told["page"], told["resolved"]) == (1, 1)


@contextmanager
def built(folder: Path, more: str = "") -> Iterator[Line]:
    """All three running; `more` is added to the bridge's configuration."""
    port = free_port()
    balancer = Balancer(f"http://127.0.0.1:{port}")
    with ExitStack() as stack:
        front = stack.enter_context(Server(balancer))
        webhook = {
            "url": f"{front.url}/ingest/alertmanager",
            "http_config": {"authorization": {"type": "Bearer", "credentials": TOKEN}},
        }
        route = {
            "receiver": "bridge",
            "group_by": ["alertname"],
            "group_wait": "500ms",
            "group_interval": "1s",
            "repeat_interval": "4h",
        }
        config = {
            "route": route,
            "inhibit_rules": [INHIBITED],
            "receivers": [{"name": "bridge", "webhook_configs": [webhook]}],
        }
        alertmanager = stack.enter_context(Alertmanager(folder / "alertmanager", config))
        sources = SOURCES.format(token=TOKEN, api=alertmanager.url)
        bridge = stack.enter_context(Opsbridge(folder / "bridge", port=port, sources=sources, more=more))
        yield Line(alertmanager, balancer, bridge)
