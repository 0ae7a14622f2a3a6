"""A real Alertmanager whose `pagerduty_configs` point at a bridge instead of at PagerDuty."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.servers.alertmanager import Alertmanager, firing
from tests.servers.opsbridge import Opsbridge
from tests.servers.waiting import wait_for

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
SOURCES = f"  pd: {{type: pagerduty, token: {ROUTING_KEY}}}"


def configuration(bridge: Opsbridge) -> dict[str, object]:
    """As one writes it for PagerDuty itself, but for the address."""
    pagerduty = {
        "routing_key": ROUTING_KEY,
        "url": f"{bridge.url}/v2/enqueue",
        "severity": "{{ .CommonLabels.severity }}",
        "class": "{{ .CommonLabels.alertname }}",
        "component": "{{ .CommonLabels.service }}",
        "details": {"client": "{{ .CommonLabels.client }}", "service": "{{ .CommonLabels.service }}"},
    }
    route = {
        "receiver": "pagerduty",
        "group_by": ["alertname"],
        "group_wait": "500ms",
        "group_interval": "1s",
        "repeat_interval": "2s",
    }
    return {"route": route, "receivers": [{"name": "pagerduty", "pagerduty_configs": [pagerduty]}]}


@pytest.fixture
def running(tmp_path):
    with ExitStack() as stack:
        bridge = stack.enter_context(Opsbridge(tmp_path / "bridge", sources=SOURCES))
        yield bridge, stack.enter_context(Alertmanager(tmp_path / "alertmanager", configuration(bridge)))


def test_an_alertmanager_that_thinks_we_are_pagerduty_opens_one_incident_and_restores_it(running):
    bridge, alertmanager = running

    def wait(look, what):
        return wait_for(look, what, 60, alertmanager.program)

    first, second = firing("GatewayDown", instance="a"), firing("GatewayDown", instance="b")
    alertmanager.tell(first)
    [incident] = wait(bridge.incidents, "an incident")
    number = incident["number"]
    assert (incident["priority"], incident["client"], incident["service"]) == ("P1", "acme", "payments")
    assert "GatewayDown" in incident["title"]
    wait(lambda: bridge.told(number)["page"], "the page")

    before = alertmanager.delivered("pagerduty")
    alertmanager.tell(second)
    wait(lambda: alertmanager.delivered("pagerduty") >= before + 3, "repeats and a second alert of the group")
    assert [found["number"] for found in bridge.incidents()] == [number]
    assert bridge.told(number) == {"page": 1}

    assert failed_attempts(alertmanager) == 0, "our answers were PagerDuty's"
    bridge.kill()
    alertmanager.tell(first.ended(), second.ended())
    wait(lambda: failed_attempts(alertmanager), "an attempt while nobody listens")
    bridge.start()
    wait(lambda: bridge.incident(number)["status"] == "resolved", "the end")
    wait(lambda: bridge.told(number)["resolved"], "people to be told the end")

    assert [found["number"] for found in bridge.incidents()] == [number]
    assert bridge.told(number) == {"page": 1, "resolved": 1}
    assert {alert["state"] for alert in bridge.incident(number)["alert_list"]} == {"resolved"}
    assert bridge.api("/quarantine")["total"] == 0


def failed_attempts(alertmanager: Alertmanager) -> float:
    return alertmanager.metric("alertmanager_notification_requests_failed_total", integration="pagerduty")
