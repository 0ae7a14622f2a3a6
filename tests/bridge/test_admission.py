"""What delivered alerts become: episodes, incidents, pages. Runs on both databases."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

from sqlalchemy import func, select

from bridge import operations
from bridge.admission import admit
from bridge.model import Priority, Status
from bridge.store.database import Conflict
from bridge.store.schema import alerts, deliveries, incidents, tasks
from tests.conftest import START
from tests.stories import LI, alert, episodes, kinds, pages, read, tell, waiting

MINUTE = timedelta(minutes=1)


def test_a_critical_payment_alert_becomes_a_p1_and_a_page_in_one_transaction(bridge):
    outcome = tell(bridge, alert(starts=START - MINUTE))
    assert (outcome.alerts, outcome.new, outcome.incidents) == (1, 1, ("INC-1",))
    incident = read(bridge)
    assert (incident.priority, incident.client, incident.service) == (Priority.P1, "acme", "payments")
    assert incident.key == "client=acme, service=payments, gateway=alipay"
    assert (incident.began_at, incident.opened_at) == (START - MINUTE, START)
    assert pages(bridge) == [("li", "li-chat")]
    assert kinds(bridge) == ["opened", "step_taken", "paging"]
    assert incident.escalate_at == START + 5 * MINUTE


def test_a_repeat_changes_nothing_but_when_it_was_last_seen(bridge, clock):
    told = alert(starts=START)
    tell(bridge, told)
    clock.forward(hours=4)
    outcome = tell(bridge, told)
    assert (outcome.new, outcome.incidents) == (0, ("INC-1",))
    assert kinds(bridge) == ["opened", "step_taken", "paging"]
    with bridge.database.reading() as connection:
        row = connection.execute(select(alerts)).one()
    assert (row.occurrences, row.last_seen) == (2, START + timedelta(hours=4))


def test_alerts_of_one_key_share_an_incident_and_others_do_not(bridge):
    tell(
        bridge,
        alert(starts=START, region="eu"),
        alert(starts=START, region="us"),
        alert(starts=START, gateway="wechat"),
    )
    assert [read(bridge, number).firing for number in (1, 2)] == [2, 1]


def test_a_second_alert_joins_without_a_second_page(bridge):
    tell(bridge, alert(starts=START, region="eu"))
    tell(bridge, alert(starts=START, region="us"))
    assert pages(bridge) == [("li", "li-chat")]
    assert "alerts_joined" in kinds(bridge)
    assert read(bridge).firing == 2


def test_service_is_restored_when_the_last_alert_ends_but_a_person_closes(bridge, clock):
    tell(bridge, alert(starts=START, region="eu"), alert(starts=START, region="us"))
    clock.forward(minutes=3)
    tell(bridge, alert(starts=START, ends=clock.moment, region="eu"))
    assert read(bridge).status is Status.TRIGGERED
    tell(bridge, alert(starts=START, ends=clock.moment, region="us"))
    incident = read(bridge)
    assert (incident.status, incident.resolved_at, incident.escalate_at) == (
        Status.RESOLVED,
        clock.moment,
        None,
    )
    assert pages(bridge, "resolved") == [("li", "li-chat")]


def test_an_alert_that_was_over_before_we_heard_of_it_is_kept_and_wakes_nobody(bridge):
    outcome = tell(bridge, alert(starts=START - 5 * MINUTE, ends=START - MINUTE))
    assert outcome.incidents == ("INC-1",)
    assert read(bridge).status is Status.RESOLVED
    assert pages(bridge) == []


def test_a_stale_firing_copy_never_reopens(bridge, clock):
    tell(bridge, alert(starts=START))
    clock.forward(minutes=1)
    tell(bridge, alert(starts=START, ends=clock.moment))
    tell(bridge, alert(starts=START))
    assert read(bridge).status is Status.RESOLVED
    assert episodes(bridge) == [("resolved", False, 1)]


def test_a_true_refire_soon_reopens_and_pages_again(bridge, clock):
    tell(bridge, alert(starts=START))
    clock.forward(minutes=1)
    tell(bridge, alert(starts=START, ends=clock.moment))
    clock.forward(minutes=5)
    tell(bridge, alert(starts=clock.moment))
    incident = read(bridge)
    assert (incident.status, incident.resolved_at, incident.firing) == (Status.TRIGGERED, None, 1)
    assert pages(bridge) == [("li", "li-chat")] * 2


def test_a_refire_after_the_window_opens_a_new_incident(bridge, clock):
    tell(bridge, alert(starts=START))
    clock.forward(minutes=1)
    tell(bridge, alert(starts=START, ends=clock.moment))
    clock.forward(minutes=31)  # intake.reopen_within is 30 minutes
    assert tell(bridge, alert(starts=clock.moment)).incidents == ("INC-2",)


def test_a_refire_of_a_closed_incident_opens_a_new_one(bridge, clock):
    tell(bridge, alert(starts=START))
    tell(bridge, alert(starts=START, ends=START))
    operations.close(bridge, 1, LI, "the provider was down")
    assert tell(bridge, alert(starts=clock.forward(minutes=1))).incidents == ("INC-2",)


def test_a_refire_whose_resolve_was_never_sent_ends_the_old_episode(bridge, clock):
    tell(bridge, alert(starts=START))
    tell(bridge, alert(starts=clock.forward(minutes=4)))
    assert episodes(bridge) == [("resolved", True, 1), ("firing", False, 1)]
    assert (read(bridge).firing, read(bridge).status) == (1, Status.TRIGGERED)


def test_a_truncated_delivery_never_closes_what_it_does_not_list(bridge):
    tell(bridge, alert(starts=START, region="eu"), alert(starts=START, region="us"))
    tell(bridge, alert(starts=START, ends=START, region="eu"), hidden=37)
    assert read(bridge).status is Status.TRIGGERED
    with bridge.database.reading() as connection:
        assert connection.execute(select(deliveries.c.hidden).order_by(deliveries.c.id)).scalars().all() == [
            0,
            37,
        ]


def test_a_more_urgent_alert_raises_the_incident_and_pages_again(make_bridge, clock):
    triage = """
- name: bad
  match: ['severity="critical"']
  priority: P1
  incident_by: [service]
- name: rest
  priority: P2
  incident_by: [service]
"""
    bridge = make_bridge(triage=triage)
    tell(bridge, alert(starts=START, severity="warning"))
    assert [term.target for term in read(bridge).terms] == ["plan", "fix"]
    clock.forward(minutes=2)
    tell(bridge, alert(starts=clock.moment))
    incident = read(bridge)
    assert incident.priority is Priority.P1
    assert [term.target for term in incident.terms] == ["respond", "restore"]
    assert pages(bridge) == [("li", "li-chat")] * 2
    assert "priority_changed" in kinds(bridge)
    tell(bridge, alert("Other", starts=clock.moment, severity="warning"))
    assert read(bridge).priority is Priority.P1, "priority falls only by hand"


def test_a_priority_that_does_not_page_opens_a_ticket_quietly(bridge):
    tell(bridge, alert("Nothing", starts=START, severity="", service="", gateway=""))
    assert read(bridge).priority is Priority.P3
    assert (pages(bridge), read(bridge).escalate_at) == ([], None)


def test_route_labels_speak_where_no_rule_does(bridge):
    tell(
        bridge,
        alert("X", starts=START, severity="", client="", service="", gateway=""),
        route_labels={"priority": "P2", "client": "nord"},
    )
    assert (read(bridge).priority, read(bridge).client) == (Priority.P2, "nord")


def test_an_unknown_client_is_no_client_and_the_reason_is_recorded(bridge):
    tell(bridge, alert(starts=START, client="evil' OR 1=1"))
    incident = read(bridge)
    assert incident.client == ""
    assert "evil' OR 1=1" in incident.key


def test_one_failover_is_wanted_for_an_incident_however_many_alerts_join(make_bridge, clock):
    bridge = make_bridge(
        more="""
failover:
  pay-standby:
    service: payments
    on: {priority: P1, match: ['alertname="PaymentGatewayTimeout"']}
    act: {type: console}
    verify: [{http: "http://127.0.0.1:1/"}]
""",
        triage="""
- name: payments
  match: ['service="payments"']
  priority: P1
  incident_by: [client]
  failover: pay-standby
- name: rest
""",
    )
    tell(bridge, alert("Slow", starts=START))
    assert _count(bridge, tasks, tasks.c.kind == "failover") == 0
    for region in ("eu", "us", "cn"):
        tell(bridge, alert(starts=clock.forward(seconds=5), region=region))
    assert _count(bridge, tasks, tasks.c.kind == "failover") == 1
    assert read(bridge).plan == "pay-standby"


def test_many_deliveries_commit_together_and_are_told_apart(bridge):
    batch = [waiting(alert(starts=START, gateway=f"g{n % 3}", region=str(n)), now=START) for n in range(9)]
    outcomes = bridge.database.run(lambda c: admit(c, batch, bridge, START))
    assert [outcome.incidents for outcome in outcomes] == [(f"INC-{n % 3 + 1}",) for n in range(9)]
    assert [outcome.new for outcome in outcomes] == [1] * 9
    assert _count(bridge, incidents) == 3


def test_ten_thousand_alerts_of_one_delivery_are_all_kept(bridge):
    outcome = tell(bridge, *(alert(starts=START, instance=f"host-{n}") for n in range(10_000)))
    assert (outcome.new, outcome.incidents) == (10_000, ("INC-1",))
    assert read(bridge).firing == 10_000
    assert _count(bridge, alerts) == 10_000


def test_two_replicas_that_get_the_same_alert_open_one_incident_and_page_once(bridge):
    told = alert(starts=START)
    failures: list[Exception] = []
    ready = threading.Barrier(8)

    def deliver() -> None:
        delivery = waiting(told, now=START)
        ready.wait()
        try:
            # Without the intake's lock on purpose: the unique indexes alone must hold.
            while True:
                try:
                    with bridge.database.transaction() as connection:
                        admit(connection, [delivery], bridge, START)
                    return
                except Conflict:
                    continue
        except Exception as error:  # collected for the assertion below
            failures.append(error)

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (_count(bridge, incidents), _count(bridge, alerts)) == (1, 1)
    assert pages(bridge) == [("li", "li-chat")]


def test_firing_and_resolved_copies_in_any_order_end_in_the_same_state(bridge):
    """Two episodes, each told firing and resolved: 4! orders, a series of its own for each."""
    ends = [
        lambda key: alert(starts=START, region=key),
        lambda key: alert(starts=START, ends=START + MINUTE, region=key),
        lambda key: alert(starts=START + 2 * MINUTE, region=key),
        lambda key: alert(starts=START + 2 * MINUTE, ends=START + 3 * MINUTE, region=key),
    ]
    for number, order in enumerate(itertools.permutations(ends)):
        for make in order:
            tell(bridge, make(f"r{number}"))
    with bridge.database.reading() as connection:
        rows = connection.execute(
            select(alerts.c.starts_at, alerts.c.ends_at, alerts.c.state).distinct()
        ).all()
    assert sorted(rows) == [
        (START, START + MINUTE, "resolved"),
        (START + 2 * MINUTE, START + 3 * MINUTE, "resolved"),
    ]
    assert read(bridge).firing == 0


def _count(bridge, table, *where):
    with bridge.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
