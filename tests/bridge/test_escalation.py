"""Rounds, repeats and the pauses between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.escalation import Position, first, following, round_seconds
from bridge.model import Policy, Step

BEGAN = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)


def policy(*minutes: float, repeat: int = 0) -> Policy:
    return Policy(
        name="page", steps=tuple(Step(after=m * 60, notify=("li",)) for m in minutes), repeat=repeat
    )


def played(found: Policy) -> list[tuple[int, int, float]]:
    """(round, step, minute) of every step in order."""
    steps: list[tuple[int, int, float]] = []
    at = first(found, BEGAN)
    while at is not None:
        steps.append((at.round, at.step, (at.due_at - BEGAN).total_seconds() / 60))
        at = following(found, at, BEGAN)
    return steps


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(policy(), [], id="no steps page nobody"),
        pytest.param(policy(0), [(0, 0, 0)], id="one step once"),
        pytest.param(policy(3), [(0, 0, 3)], id="the first step may wait"),
        pytest.param(
            policy(0, repeat=2), [(0, 0, 0), (1, 0, 5), (2, 0, 10)], id="one step repeats every 5 minutes"
        ),
        # a round with a first step at 3 is 3 + 5 = 8 minutes long
        pytest.param(policy(3, repeat=1), [(0, 0, 3), (1, 0, 11)], id="one late step"),
        pytest.param(policy(0, 5, 10), [(0, 0, 0), (0, 1, 5), (0, 2, 10)], id="three steps once"),
        # longest pause 10: the round is 15 + 10 = 25 minutes long
        pytest.param(
            policy(0, 5, 15, repeat=1),
            [(0, 0, 0), (0, 1, 5), (0, 2, 15), (1, 0, 25), (1, 1, 30), (1, 2, 40)],
            id="a round ends with its longest pause",
        ),
        # no pause between steps: five minutes until the next round
        pytest.param(
            policy(0, 0, repeat=1),
            [(0, 0, 0), (0, 1, 0), (1, 0, 5), (1, 1, 5)],
            id="two steps at the same time",
        ),
    ],
)
def test_a_policy_plays_its_rounds(found: Policy, expected: list[tuple[int, int, float]]) -> None:
    assert played(found) == expected


def test_times_count_from_the_rounds_start_even_when_a_step_was_taken_late() -> None:
    late = Position(0, 0, BEGAN + timedelta(minutes=4))
    assert following(policy(0, 5), late, BEGAN) == Position(0, 1, BEGAN + timedelta(minutes=5))


def test_a_position_beyond_the_last_round_has_nothing_after_it() -> None:
    assert following(policy(0, repeat=1), Position(7, 0, BEGAN), BEGAN) is None


@given(st.lists(st.integers(0, 600), min_size=1, max_size=5).map(sorted), st.integers(0, 5))
def test_every_step_of_every_round_is_played_once_in_order_of_time(after: list[int], repeat: int) -> None:
    found = Policy(name="p", steps=tuple(Step(after=s, notify=()) for s in after), repeat=repeat)
    steps = played(found)
    assert [step[:2] for step in steps] == [(r, s) for r in range(repeat + 1) for s in range(len(after))]
    moments = [step[2] for step in steps]
    assert moments == sorted(moments)
    assert round_seconds(found) > after[-1], "two rounds never begin in the same instant"
