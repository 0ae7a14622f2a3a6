"""The main line on a fake clock: every minute of an outage, on both databases."""

from __future__ import annotations

from bridge import failover, operations, paging, reporting
from bridge.demo.gateway import Gateway, GatewayConfig
from bridge.model import Status
from bridge.store import outbox
from tests.conftest import START
from tests.stories import LI, alert, kinds, read, tell

WORK = {"page": paging.run_page, "ticket": paging.run_ticket, "failover": failover.start}


def let_it_work(bridge, clock, seconds):
    """A worker's life, second by second."""
    for _ in range(seconds):
        operations.take_due_steps(bridge)
        operations.tell_due_clocks(bridge)
        claimed = bridge.database.run(lambda c: outbox.claim(c, bridge.owner, bridge.now(), tuple(WORK), 50))
        for task in claimed:
            WORK[task.kind](bridge, task)
        failover.take_steps(bridge)
        clock.forward(seconds=1)


def test_from_the_first_failed_payment_to_the_report(make_bridge, clock, tmp_path, capsys):
    with Gateway(GatewayConfig(secret=b"gateway-secret")) as gateway:
        bridge = make_bridge(
            triage="""
- name: payment path down
  match: ['service="payments"', 'severity="critical"']
  priority: P1
  incident_by: [client, service, gateway]
  failover: pay-standby
- name: default
""",
            more=f"""
trackers:
  board: {{type: console}}
reports: {{folder: {tmp_path}/reports}}
failover:
  pay-standby:
    mode: auto
    service: payments
    on: {{priority: P1}}
    precheck: [{{http: "{gateway.url}/channels/standby/health"}}]
    act: {{type: http, url: "{gateway.url}/switch", body: {{active: standby}}, secret: gateway-secret}}
    verify: [{{http: "{gateway.url}/channels/standby/health", within: 10s}}]
""",
        )
        tell(bridge, alert(starts=START))
        let_it_work(bridge, clock, 3)
        assert (gateway.active, gateway.state()["switches"]) == ("standby", 1)
        assert "to li: P1 PaymentGatewayTimeout" in capsys.readouterr().out

        let_it_work(bridge, clock, 300)
        assert "to han: P1 PaymentGatewayTimeout" in capsys.readouterr().out
        let_it_work(bridge, clock, 180)
        assert "P1 即将超时" in capsys.readouterr().out

        operations.acknowledge(bridge, 1, LI)
        tell(bridge, alert(starts=START, ends=clock.moment))
        let_it_work(bridge, clock, 2)
        assert read(bridge).status is Status.RESOLVED
        assert "P1 已恢复" in capsys.readouterr().out

        operations.close(bridge, 1, LI, "the provider's primary channel was down")
        let_it_work(bridge, clock, 2)
    order = [
        kind
        for kind in kinds(bridge)
        if kind in ("opened", "told", "failover", "clock", "acknowledged", "resolved", "closed")
    ]
    assert order[0] == "opened"
    assert (
        order.index("failover")
        < order.index("clock")
        < order.index("acknowledged")
        < order.index("resolved")
        < order.index("closed")
    )
    [path] = reporting.build(bridge, "acme", "2026-11", formats=("html",)).paths
    report = path.read_text()
    assert "INC-1" in report
    assert "pay-standby" in report
    assert "primary channel was down" in report
