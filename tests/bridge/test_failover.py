"""A failover runs at most once per cause, only with every guard green, and a lost answer is read back."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import responses
from sqlalchemy import delete, select, update

from bridge import failover, operations
from bridge.demo.gateway import Gateway, GatewayConfig
from bridge.demo.switchboard import Trouble
from bridge.store import history, outbox
from bridge.store.schema import failover_runs, stops, tasks
from tests.conftest import START
from tests.stories import LI, alert, kinds, pages, tell

TRIAGE = """
- name: payments
  match: ['service="payments"']
  priority: P1
  incident_by: [client, gateway]
  failover: pay-standby
- name: rest
"""


@pytest.fixture
def gateway():
    """The simulated gateway, which keeps a ledger of every call."""
    with Gateway(GatewayConfig(secret=b"gateway-secret")) as running:
        yield running


@pytest.fixture
def make(make_bridge, gateway):
    """A bridge with one plan against the gateway."""

    def build(mode="auto", verify="/channels/standby/health", limits="{}", secret="gateway-secret"):
        return make_bridge(
            triage=TRIAGE,
            more=f"""
failover:
  pay-standby:
    mode: {mode}
    service: payments
    on: {{priority: P1, match: ['alertname="PaymentGatewayTimeout"']}}
    precheck: [{{http: "{gateway.url}/channels/standby/health"}}]
    act: {{type: http, url: "{gateway.url}/switch", secret: "{secret}", body: {{active: standby}}}}
    verify: [{{http: "{gateway.url}{verify}", within: 3s}}]
    rollback: {{type: http, url: "{gateway.url}/switch", body: {{active: primary}}, secret: gateway-secret}}
    limits: {limits}
""",
        )

    return build


def decide(bridge):
    """Let the worker judge what triage asked for."""
    for task in bridge.database.run(lambda c: outbox.claim(c, bridge.owner, bridge.now(), ("failover",), 9)):
        failover.start(bridge, task)


def go_on(bridge, clock, steps=8):
    """Let runs take their steps."""
    for _ in range(steps):
        failover.take_steps(bridge)
        clock.forward(seconds=1)


def runs(bridge):
    with bridge.database.reading() as connection:
        return connection.execute(select(failover_runs).order_by(failover_runs.c.token)).all()


def switches(gateway):
    return gateway.state()["switches"]


def test_a_timed_out_channel_is_switched_and_verified_within_seconds(make, gateway, clock):
    bridge = make()
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    [run] = runs(bridge)
    assert (run.state, gateway.active, switches(gateway)) == ("done", "standby", 1)
    assert (run.finished_at - run.started_at) < timedelta(seconds=3)
    assert all(verdict["green"] for verdict in run.verdicts)
    assert kinds(bridge).count("failover") >= 1
    assert pages(bridge, "failover") == [("li", "li-chat")]
    assert gateway.ledger()[0].token == str(run.token)


def test_shadow_mode_decides_and_records_but_touches_nothing(make, gateway, clock):
    bridge = make("shadow")
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, switches(gateway), gateway.ledger()) == ("shadow", 0, ())


def test_suggest_mode_waits_for_a_person_who_then_runs_it(make, gateway, clock):
    bridge = make("suggest")
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, switches(gateway)) == ("suggested", 0)
    failover.ask(bridge, "pay-standby", LI)
    go_on(bridge, clock)
    assert (runs(bridge)[1].state, switches(gateway)) == ("done", 1)


def test_a_dead_standby_is_never_switched_to(make, gateway, clock):
    gateway.break_channel("standby")
    bridge = make()
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    [run] = runs(bridge)
    assert (run.state, switches(gateway)) == ("refused", 0)
    assert "pre-check" in run.detail


def test_the_same_task_carried_out_twice_is_one_run(make, gateway, clock):
    bridge = make()
    tell(bridge, alert(starts=START))
    [task] = bridge.database.run(lambda c: outbox.claim(c, "w", clock(), ("failover",), 9))
    failover.start(bridge, task)
    failover.start(bridge, task)
    go_on(bridge, clock)
    assert (len(runs(bridge)), switches(gateway)) == (1, 1)


def test_the_cooldown_blocks_a_second_cause_and_says_so(make, gateway, clock):
    bridge = make()
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    clock.moment = START + timedelta(minutes=50)
    tell(bridge, alert(starts=clock.moment, gateway="wechat"))
    decide(bridge)
    go_on(bridge, clock)
    blocked = runs(bridge)[1]
    assert (blocked.state, switches(gateway)) == ("blocked", 1)
    assert blocked.detail.startswith("cooldown")
    sample = {"plan": "pay-standby", "guard": "cooldown"}
    assert bridge.metrics.registry.get_sample_value("bridge_failover_blocked_total", sample) == 1


def test_the_kill_switch_stops_a_run_between_decision_and_call(make, gateway, clock):
    bridge = make()
    tell(bridge, alert(starts=START))
    decide(bridge)
    failover.stop(bridge, LI, "hands off")
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, switches(gateway)) == ("blocked", 0)
    failover.stop(bridge, LI, "over", stopped=False)
    failover.ask(bridge, "pay-standby", LI)
    go_on(bridge, clock)
    assert switches(gateway) == 1


def test_an_unreadable_kill_switch_is_a_pressed_one(make, gateway, clock):
    bridge = make()
    bridge.database.run(lambda connection: connection.execute(delete(stops)))
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, switches(gateway)) == ("blocked", 0)


def test_a_decision_older_than_a_minute_is_thrown_away(make, gateway, clock):
    bridge = make()
    tell(bridge, alert(starts=START))
    clock.forward(seconds=61)
    decide(bridge)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, switches(gateway)) == ("blocked", 0)


def test_an_intent_that_waited_too_long_expires_before_the_call(make, gateway, clock):
    bridge = make()
    tell(bridge, alert(starts=START))
    decide(bridge)
    clock.forward(seconds=61)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, switches(gateway)) == ("expired", 0)


def test_an_incident_that_is_over_starts_nothing(make, gateway, clock):
    bridge = make()
    tell(bridge, alert(starts=START))
    operations.resolve(bridge, 1, LI)
    decide(bridge)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, switches(gateway)) == ("blocked", 0)


def test_a_lost_answer_is_read_back_and_never_called_again(make, gateway, clock):
    gateway.break_switch(Trouble.LOSE_ANSWER)
    bridge = make()
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, switches(gateway), len(gateway.ledger())) == ("done", 1, 1)


def test_a_lost_answer_that_cannot_be_verified_stays_unknown_and_is_told(make, gateway, clock):
    gateway.break_switch(Trouble.LOSE_ANSWER)
    bridge = make(verify="/no-such-page")
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, len(gateway.ledger())) == ("unknown", 1)
    assert pages(bridge, "failover") == [("li", "li-chat")]


def test_a_gateway_that_says_yes_and_does_nothing_fails_verification(make, gateway, clock):
    gateway.break_switch(Trouble.LIE)
    bridge = make(verify="/no-such-page")
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    assert runs(bridge)[0].state == "failed"
    assert "not verified" in runs(bridge)[0].detail


def test_a_refusal_of_the_gateway_fails_the_run(make, gateway, clock):
    bridge = make(secret="not the gateway's")
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, switches(gateway)) == ("failed", 0)
    assert "the target refused: 401" in runs(bridge)[0].detail


@pytest.mark.parametrize(
    ("found_in", "ends_as", "calls"),
    [
        pytest.param("checking", "expired", 0, id="before the call: nothing happened"),
        pytest.param("acting", "done", 0, id="in the call: read back, not repeated"),
    ],
)
def test_a_run_whose_worker_died_is_never_called_again(make, gateway, clock, found_in, ends_as, calls):
    bridge = make()
    tell(bridge, alert(starts=START))
    decide(bridge)
    gone = {
        "state": found_in,
        "acted_at": clock(),
        "owner": "dead",
        "lease_until": clock() + timedelta(seconds=30),
    }
    bridge.database.run(lambda connection: connection.execute(update(failover_runs).values(gone)))
    assert failover.take_steps(bridge) == 0, "its lease still lasts"
    clock.forward(seconds=31)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, len(gateway.ledger())) == (ends_as, calls)


def test_a_call_that_was_cut_off_and_cannot_be_read_back_is_unknown_and_told(make, gateway, clock):
    bridge = make(verify="/no-such-page")
    tell(bridge, alert(starts=START))
    decide(bridge)
    gone = {"state": "acting", "acted_at": clock(), "owner": "dead", "lease_until": clock()}
    bridge.database.run(lambda connection: connection.execute(update(failover_runs).values(gone)))
    clock.forward(seconds=1)
    go_on(bridge, clock)
    assert (runs(bridge)[0].state, len(gateway.ledger())) == ("unknown", 0)
    assert pages(bridge, "failover") == [("li", "li-chat")]


def test_two_workers_race_and_the_gateway_sees_one_switch_for_each_cause(make, gateway, clock):
    bridge = make(limits="{cooldown: 0s, per_day: 1000, per_hour_all: 1000}")
    for number in range(10):
        tell(bridge, alert(starts=START, gateway=f"g{number}"))
        ready = threading.Barrier(2)

        def work(ready=ready):
            ready.wait()
            decide(bridge)
            for _ in range(6):
                failover.take_steps(bridge)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.forward(seconds=2)
        go_on(bridge, clock, 3)
    tokens = [int(entry.token) for entry in gateway.ledger()]
    assert len(tokens) == len({run.cause for run in runs(bridge)}) == 10
    assert tokens == sorted(set(tokens))


def test_switching_back_is_asked_for_by_a_person(make, gateway, clock):
    bridge = make()
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    clock.forward(hours=2)
    failover.ask(bridge, "pay-standby", LI, "back")
    go_on(bridge, clock)
    assert (gateway.active, runs(bridge)[1].state, runs(bridge)[1].asked_by) == ("primary", "done", "li")


def test_a_dry_run_shows_every_guard_and_changes_nothing(make, gateway):
    bridge = make()
    verdicts, probes = failover.dry_run(bridge, "pay-standby")
    assert all(verdict.green for verdict in verdicts)
    assert [probe.holds for probe in probes] == [True]
    assert (runs(bridge), gateway.ledger()) == ([], ())
    with pytest.raises(failover.NoSuchPlan):
        failover.dry_run(bridge, "other")


@responses.activate
def test_an_action_that_breaks_the_program_leaves_the_run_unknown_not_hanging(
    make, gateway, clock, monkeypatch
):
    bridge = make()
    responses.add_passthru(gateway.url)

    def broken(*_):
        raise ZeroDivisionError

    entries = failover.registry.actions.entries()
    entry = entries["http"]
    monkeypatch.setattr(
        failover.registry.actions,
        "entries",
        lambda: {"http": type(entry)(entry.name, entry.settings, broken, "")},
    )
    tell(bridge, alert(starts=START))
    decide(bridge)
    go_on(bridge, clock)
    assert runs(bridge)[0].state in ("done", "unknown")
    assert gateway.ledger() == ()


def test_failovers_are_listed_newest_first(make, gateway, clock):
    bridge = make("off")
    tell(bridge, alert(starts=START))
    decide(bridge)
    with bridge.database.reading() as connection:
        [run] = history.list_failovers(connection, 10).items
        left = connection.execute(select(tasks.c.state).where(tasks.c.kind == "failover")).scalars().all()
    assert (run.state, left) == ("blocked", ["done"])
