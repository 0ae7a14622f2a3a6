"""Which step of a policy comes next, and when. A round is all steps once; a policy may repeat it."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import msgspec

from bridge.model import Policy

_LEAST_PAUSE = 300.0


class Position(msgspec.Struct, frozen=True):
    """A step of a round and when it is due."""

    round: int
    step: int
    due_at: datetime


def first(policy: Policy, round_at: datetime) -> Position | None:
    """The first step of a policy whose rounds begin at `round_at`; None when it has no steps."""
    if not policy.steps:
        return None
    return Position(0, 0, round_at + timedelta(seconds=policy.steps[0].after))


def following(policy: Policy, at: Position, round_at: datetime) -> Position | None:
    """What comes after a step that was taken, or None when the policy has ended."""
    number, step = (at.round, at.step + 1) if at.step + 1 < len(policy.steps) else (at.round + 1, 0)
    if number > policy.repeat:
        return None
    start = round_at + timedelta(seconds=number * round_seconds(policy))
    return Position(number, step, start + timedelta(seconds=policy.steps[step].after))


def round_seconds(policy: Policy) -> float:
    """Length of a round: up to the last step, then as long as the longest pause between two steps.

    A policy with one step waits five minutes before it repeats.
    """
    times = [step.after for step in policy.steps]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    return times[-1] + (max(pauses, default=0.0) or _LEAST_PAUSE)
