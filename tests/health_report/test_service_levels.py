"""Times to react and agreed times, from incidents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bridge.model import Clock, ClockState
from health_report import service_levels
from health_report.facts import IncidentRecord

AT = datetime(2026, 10, 5, 8, tzinfo=UTC)


def incident(
    taken: float | None, restored: float | None, *clocks: Clock, began: float = 0, priority: str = "P1"
) -> IncidentRecord:
    return IncidentRecord(
        number=1,
        title="t",
        priority=priority,
        client="acme",
        service="payments",
        status="closed",
        began_at=AT - timedelta(seconds=began),
        opened_at=AT,
        acknowledged_at=None if taken is None else AT + timedelta(seconds=taken),
        resolved_at=None if restored is None else AT + timedelta(seconds=restored),
        clocks=clocks,
    )


def clock(state: ClockState, target: str = "respond", stopped: float | None = None) -> Clock:
    return Clock(
        target=target,
        started_at=AT,
        due_at=AT + timedelta(minutes=10),
        state=state,
        stopped_at=None if stopped is None else AT + timedelta(minutes=stopped),
    )


def test_means_leave_out_what_has_not_happened() -> None:
    own = [incident(60, 600, began=60), incident(120, None, began=0), incident(None, None)]
    detect, taken, restored = (
        f(own) for f in (service_levels.detect, service_levels.acknowledge, service_levels.restore)
    )
    assert detect == service_levels.Mean(20, 3)
    assert taken == service_levels.Mean(90, 2)
    assert restored == service_levels.Mean(660, 1)


def test_no_incidents_have_no_mean() -> None:
    assert service_levels.restore([]) is None
    assert service_levels.acknowledge([incident(None, None)]) is None


def test_a_clock_of_another_machine_makes_no_negative_time() -> None:
    assert service_levels.acknowledge([incident(-5, None)]) == service_levels.Mean(0, 1)


def test_attainment_counts_only_what_is_decided() -> None:
    own = [
        incident(1, 1, clock(ClockState.MET), clock(ClockState.BREACHED, "restore", 25)),
        incident(1, 1, clock(ClockState.AT_RISK), clock(ClockState.BREACHED, "restore")),
        incident(1, 1, clock(ClockState.PAUSED, "plan"), priority="P2"),
    ]
    respond, restore, plan = service_levels.attainment(own, AT + timedelta(hours=1))
    assert (respond.met, respond.undecided, respond.share) == (1, 1, 1.0)
    assert (restore.met, restore.share) == (0, 0.0)
    assert [breach.late_seconds for breach in restore.breaches] == [15 * 60, 50 * 60]
    assert (plan.priority, plan.share) == ("P2", None)
    assert service_levels.attainment([], AT) == ()


@pytest.mark.parametrize("order", [1, -1])
def test_urgent_targets_come_first(order: int) -> None:
    own = [
        incident(1, 1, clock(ClockState.MET, "fix"), priority="P2"),
        incident(1, 1, clock(ClockState.MET, "respond")),
    ]
    found = service_levels.attainment(own[::order], AT)
    assert [a.target for a in found] == ["respond", "fix"]
