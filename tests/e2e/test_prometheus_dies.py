"""A Prometheus that dies while an alert fires: Alertmanager calls that alert resolved, and it is not.

Prometheus gives every alert an end four resend delays ahead and moves it on. When it dies, nobody moves it
on: Alertmanager believes the end and tells it. Only the look at Prometheus itself shows what that is worth.
"""

from __future__ import annotations

import pytest

from bridge.demo.stack import ScrapeTarget, Stack, StackConfig, free_port
from tests.servers.http import Server, says
from tests.servers.opsbridge import TOKEN, Opsbridge
from tests.servers.waiting import wait_for

SOURCES = """\
  main: {{type: alertmanager, token: {token}, api: "{api}", prometheus: "{prometheus}"}}"""
RULES = """\
groups:
- name: gateway
  rules:
  - alert: GatewayDown
    expr: gateway_broken == 1
    labels: {client: acme, service: payments, severity: critical}
"""
BROKEN, WELL = (says(200, f"gateway_broken {value}\n".encode()) for value in (1, 0))


@pytest.fixture
def running(tmp_path):
    """Prometheus, Alertmanager, bridge, and the gateway that Prometheus looks at."""
    port = free_port()
    with Server(BROKEN) as gateway:
        stack = Stack(
            StackConfig(
                work=tmp_path / "stack",
                webhook_url=f"http://127.0.0.1:{port}/ingest/alertmanager",
                token=TOKEN,
                targets=(ScrapeTarget("gateway", f"127.0.0.1:{gateway.port}"),),
                rules=RULES,
                resend_delay="2s",
                repeat_interval="4h",
            )
        )
        sources = SOURCES.format(token=TOKEN, api=stack.alertmanager_urls[0], prometheus=stack.prometheus_url)
        more = "intake: {reconcile_every: 2s}"
        try:
            # Looked at, they must be there before the bridge is.
            stack.start(60)
            with Opsbridge(tmp_path / "bridge", port=port, sources=sources, more=more) as bridge:
                yield bridge, stack, gateway
        finally:
            stack.stop()


def test_an_end_told_because_prometheus_died_makes_the_alert_stale_and_restores_nothing(running):
    bridge, stack, gateway = running
    prometheus = stack._prometheus

    def wait(look, what):
        return wait_for(look, what, 90, bridge.program)

    def states():
        return [episode["state"] for episode in bridge.episodes("GatewayDown")]

    [opened] = wait(lambda: bridge.incidents("GatewayDown"), "the incident")
    number = opened["number"]
    wait(lambda: bridge.told(number)["page"], "the page")
    before = len(bridge.deliveries_of("GatewayDown"))

    prometheus.program.kill()
    [blind] = wait(lambda: bridge.incidents("blind"), "people to be told that monitoring is blind")
    wait(lambda: len(bridge.deliveries_of("GatewayDown")) > before, "the false end")
    assert states() == ["stale"]
    assert bridge.incident(number)["status"] == "triggered"

    prometheus.program.start()
    stack.wait_ready(60)
    wait(lambda: states()[-1] == "firing", "it to be seen firing again")
    wait(lambda: bridge.incident(blind["number"])["status"] == "resolved", "monitoring to see again")
    assert bridge.incident(number)["status"] == "triggered"
    assert bridge.told(number) == {"page": 1}

    gateway.behave(WELL)
    wait(lambda: bridge.incident(number)["status"] == "resolved", "the true end")
    wait(lambda: bridge.told(number)["resolved"], "people to be told the true end")
    assert set(states()) == {"resolved"}
    assert bridge.told(number) == {"page": 1, "resolved": 1}
    assert [found["number"] for found in bridge.incidents("GatewayDown")] == [number]
