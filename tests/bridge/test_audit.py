"""The self-audit finds what was planted, and only a clean pass pings the heartbeat. Both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
import responses
from sqlalchemy import insert, update

from bridge.audit import audit
from bridge.store.schema import clocks, failover_runs, incidents, tasks
from tests.conftest import START
from tests.stories import alert, tell

PING = "http://127.0.0.1:9/ping"
LATE = START - timedelta(seconds=61)
RUN = {
    "plan": "p", "cause": "c", "direction": "to_standby", "mode": "auto", "state": "acting", "asked_by": "",
    "started_at": LATE, "next_at": LATE, "verdicts": [], "detail": "",
}  # fmt: skip


@pytest.fixture
def watched(make_bridge):
    """A bridge with an outgoing heartbeat and one open incident."""
    bridge = make_bridge(more=f"heartbeat_out: {PING}")
    tell(bridge, alert(starts=START))
    return bridge


@responses.activate
def test_a_clean_pass_pings_the_heartbeat(watched):
    responses.post(PING)
    assert set(audit(watched).values()) == {0}
    assert len(responses.calls) == 1


@responses.activate
@pytest.mark.parametrize(
    ("finding", "plant"),
    [
        ("task_overdue", update(tasks).where(tasks.c.kind == "page").values(due_at=LATE)),
        ("step_overdue", update(incidents).values(escalate_at=LATE)),
        ("clock_overdue", update(clocks).values(next_at=LATE)),
        ("failover_stuck", insert(failover_runs).values(RUN)),
    ],
)
def test_each_planted_fault_is_found_and_silences_the_heartbeat(watched, finding, plant):
    watched.database.run(lambda connection: connection.execute(plant))
    assert {name for name, count in audit(watched).items() if count} == {finding}
    assert watched.metrics.registry.get_sample_value("bridge_audit_findings", {"check": finding}) >= 1
    assert len(responses.calls) == 0


@responses.activate
def test_a_heartbeat_target_that_is_down_disturbs_nothing(watched):
    responses.post(PING, status=500)
    assert set(audit(watched).values()) == {0}
