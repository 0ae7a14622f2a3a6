"""A failover runs only when every guard is green; what cannot be known is red."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.guards import Limits, Mode, Situation, judge, red

NOW = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
FINE = Situation(
    stopped=False,
    incident_open=True,
    asked_at=NOW,
    in_flight=0,
    last_run_at=None,
    runs_today=0,
    runs_this_hour_all=0,
)
LIMITS = Limits()
GUARDS = [
    "mode",
    "kill_switch",
    "incident_open",
    "valid",
    "one_in_flight",
    "cooldown",
    "per_day",
    "per_hour_all",
]


def closed(mode: Mode = Mode.AUTO, limits: Limits = LIMITS, **situation: object) -> dict[str, str]:
    """The guards that are red, with their evidence."""
    return {
        verdict.guard: verdict.evidence
        for verdict in red(judge(mode, limits, replace(FINE, **situation), NOW))  # type: ignore[arg-type]
    }


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def test_with_everything_in_order_every_guard_is_green_and_says_so() -> None:
    verdicts = judge(Mode.AUTO, LIMITS, FINE, NOW)
    assert [verdict.guard for verdict in verdicts] == GUARDS
    assert all(verdict.green and verdict.evidence for verdict in verdicts)


@pytest.mark.parametrize(
    ("guard", "mode", "situation", "evidence"),
    [
        pytest.param("mode", Mode.OFF, {}, "the plan's mode is off", id="switched off"),
        pytest.param("kill_switch", Mode.AUTO, {"stopped": True}, "pressed: nothing runs", id="stopped"),
        pytest.param(
            "kill_switch", Mode.AUTO, {"stopped": None}, "unreadable: treated as pressed", id="nobody knows"
        ),
        pytest.param("incident_open", Mode.AUTO, {"incident_open": False}, "the incident is over", id="over"),
        pytest.param(
            "valid", Mode.AUTO, {"asked_at": ago(seconds=61)}, "decided 61 s ago, valid for 60 s", id="old"
        ),
        pytest.param(
            "one_in_flight", Mode.AUTO, {"in_flight": 1}, "1 runs of this plan in flight", id="running"
        ),
        pytest.param(
            "cooldown",
            Mode.AUTO,
            {"last_run_at": ago(minutes=1)},
            "last run 2026-11-18 01:59:00Z, free from 02:59:00Z",
            id="just ran",
        ),
        pytest.param("per_day", Mode.AUTO, {"runs_today": 2}, "2 of 2 runs in 24 h", id="twice today"),
        pytest.param(
            "per_hour_all",
            Mode.AUTO,
            {"runs_this_hour_all": 3},
            "3 of 3 runs of all plans in 1 h",
            id="too much at once",
        ),
    ],
)
def test_each_guard_alone_closes_the_door(
    guard: str, mode: Mode, situation: dict[str, object], evidence: str
) -> None:
    assert closed(mode, **situation) == {guard: evidence}


@pytest.mark.parametrize(
    ("situation", "green"),
    [
        pytest.param(
            {"last_run_at": ago(minutes=59, seconds=59)}, False, id="59:59 of a cooldown of an hour"
        ),
        pytest.param({"last_run_at": ago(minutes=60)}, True, id="60:00"),
        pytest.param({"last_run_at": NOW + timedelta(seconds=1)}, False, id="a last run in the future"),
        pytest.param({"asked_at": ago(seconds=60)}, True, id="60 s old"),
        pytest.param({"asked_at": ago(seconds=60, microseconds=1)}, False, id="a microsecond older"),
        pytest.param({"asked_at": NOW + timedelta(microseconds=1)}, False, id="asked in the future"),
        pytest.param({"runs_today": 1}, True, id="second run of the day"),
        pytest.param({"runs_today": 3}, False, id="more than the budget"),
        pytest.param({"runs_this_hour_all": 2}, True, id="third run of the hour"),
        pytest.param({"incident_open": False, "by_hand": True}, True, id="by hand without an incident"),
        pytest.param({"stopped": True, "by_hand": True}, False, id="by hand against the kill switch"),
        pytest.param({"stopped": None, "by_hand": True}, False, id="by hand with an unreadable switch"),
        pytest.param({"in_flight": 1, "by_hand": True}, False, id="by hand while one runs"),
    ],
)
def test_guards_are_exact_at_their_limits(situation: dict[str, object], *, green: bool) -> None:
    assert (closed(**situation) == {}) is green


@pytest.mark.parametrize(
    ("limits", "guard"),
    [
        pytest.param(Limits(per_day=0), "per_day", id="no run a day"),
        pytest.param(Limits(per_hour_all=0), "per_hour_all", id="no run an hour"),
    ],
)
def test_a_budget_of_none_is_a_closed_door(limits: Limits, guard: str) -> None:
    assert list(closed(limits=limits)) == [guard]


def test_every_red_guard_is_told_not_only_the_first() -> None:
    found = closed(Mode.OFF, stopped=None, incident_open=False, in_flight=2, runs_today=9)
    assert list(found) == ["mode", "kill_switch", "incident_open", "one_in_flight", "per_day"]


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.SUGGEST, Mode.AUTO])
def test_every_mode_but_off_is_judged_alike(mode: Mode) -> None:
    assert closed(mode) == {}
