"""May this failover run? Every guard's verdict, as data. A missing answer is a closed door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

VALID_SECONDS = 60.0


class Mode(StrEnum):
    """How far a plan may go by itself."""

    OFF = "off"
    SHADOW = "shadow"
    SUGGEST = "suggest"
    AUTO = "auto"


@dataclass(frozen=True)
class Limits:
    """How often a plan may run."""

    cooldown: timedelta = timedelta(minutes=60)
    per_day: int = 2
    per_hour_all: int = 3


@dataclass(frozen=True)
class Situation:
    """What the store says at the moment of decision; read in the transaction that writes the intent."""

    stopped: bool | None
    incident_open: bool
    asked_at: datetime
    in_flight: int
    last_run_at: datetime | None
    runs_today: int
    runs_this_hour_all: int
    by_hand: bool = False


@dataclass(frozen=True)
class GuardVerdict:
    """One guard: green or red, with its evidence in words."""

    guard: str
    green: bool
    evidence: str


def judge(mode: Mode, limits: Limits, now_is: Situation, now: datetime) -> tuple[GuardVerdict, ...]:
    """Every guard's verdict, in a fixed order; all must be green.

    A person's own command overrides the cooldown, as in orchestrator, but neither the kill switch, the
    budgets nor a run in flight.
    """
    age = (now - now_is.asked_at).total_seconds()
    ready_at = now_is.last_run_at + limits.cooldown if now_is.last_run_at else None
    return (
        GuardVerdict("mode", mode is not Mode.OFF, f"the plan's mode is {mode}"),
        GuardVerdict(
            "kill_switch",
            now_is.stopped is False,
            {False: "not pressed", True: "pressed: nothing runs", None: "unreadable: treated as pressed"}[
                now_is.stopped
            ],
        ),
        GuardVerdict(
            "incident_open",
            now_is.incident_open or now_is.by_hand,
            "run by hand"
            if now_is.by_hand
            else ("the incident is open" if now_is.incident_open else "the incident is over"),
        ),
        GuardVerdict(
            "valid", 0 <= age <= VALID_SECONDS, f"decided {age:.0f} s ago, valid for {VALID_SECONDS:.0f} s"
        ),
        GuardVerdict(
            "one_in_flight", now_is.in_flight == 0, f"{now_is.in_flight} runs of this plan in flight"
        ),
        GuardVerdict(
            "cooldown", ready_at is None or now >= ready_at or now_is.by_hand, _cooldown(now_is, ready_at)
        ),
        GuardVerdict(
            "per_day",
            now_is.runs_today < limits.per_day,
            f"{now_is.runs_today} of {limits.per_day} runs in 24 h",
        ),
        GuardVerdict(
            "per_hour_all",
            now_is.runs_this_hour_all < limits.per_hour_all,
            f"{now_is.runs_this_hour_all} of {limits.per_hour_all} runs of all plans in 1 h",
        ),
    )


def _cooldown(now_is: Situation, ready_at: datetime | None) -> str:
    if ready_at is None:
        return "never ran"
    over = ", a person may run it earlier" if now_is.by_hand else ""
    return f"last run {now_is.last_run_at:%Y-%m-%d %H:%M:%S}Z, free from {ready_at:%H:%M:%S}Z{over}"


def red(verdicts: Sequence[GuardVerdict]) -> list[GuardVerdict]:
    """The guards that keep the door closed."""
    return [verdict for verdict in verdicts if not verdict.green]
