"""The payments of a month that never happened, step by step, with one planted outage."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from typing import Final

from bridge.demo.traffic import BUCKETS, PERIOD, Condition, Mode, payments

# A client's month begins up to 14 h before UTC's and ends up to 12 h after it.
ZONES_AHEAD: Final = timedelta(hours=14)
ZONES_BEHIND: Final = timedelta(hours=12)
OUTAGE: Final = timedelta(minutes=45)
OUTAGE_PLACE: Final = 0.4
SHORTEST: Final = timedelta(hours=4)

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Interval:
    """The payments of one region in the step that ends at `at`; buckets are cumulative."""

    at: datetime
    outcomes: dict[str, int]
    buckets: tuple[int, ...]
    seconds: float

    @property
    def total(self) -> int:
        """The number of payments."""
        return self.buckets[-1]


def covered(month: str, now: datetime, step: timedelta) -> tuple[tuple[datetime, ...], Span | None]:
    """The ends of all steps that belong to the month in any time zone, and when the outage is."""
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    following = (first + timedelta(days=31)).replace(day=1)
    start, end = first - ZONES_AHEAD, min(following + ZONES_BEHIND, now.astimezone(UTC))
    if end < start:
        raise ValueError(f"{month} has not begun at {now.isoformat()}")
    times = tuple(start + step * number for number in range((end - start) // step + 1))
    inside = min(following, end) - first
    if inside < SHORTEST:
        return times, None
    began = first + (inside * OUTAGE_PLACE) // step * step
    return times, (began, began + OUTAGE)


def interval(at: datetime, step: timedelta, per_second: float, *, failing: bool) -> Interval:
    """Work out the payments of the step that ends at `at`."""
    total = round(per_second * activity(at) * step.total_seconds())
    if failing:
        share, lasting = {"timeout": 1.0}, _shares(Condition(Mode.TIMEOUT))
    else:
        busy = activity(at) - 0.5
        share = {"error": 0.001 + 0.002 * busy}
        lasting = _mixed(0.03 * busy)
    outcomes = {outcome: round(total * part) for outcome, part in share.items()}
    outcomes["ok"] = total - sum(outcomes.values())
    placed = [0.0] * (len(BUCKETS) + 1)
    for seconds, part in lasting.items():
        placed[bisect_left(BUCKETS, seconds)] += part
    return Interval(
        at=at,
        outcomes=outcomes,
        buckets=tuple(round(total * part) for part in accumulate(placed)),
        seconds=total * sum(seconds * part for seconds, part in lasting.items()),
    )


def activity(at: datetime) -> float:
    """How busy the time of day and the weekday are, between about 0.5 and 1.5."""
    hour = at.hour + at.minute / 60
    weekend = 0.8 if at.weekday() >= 5 else 1.0
    return (1 - 0.5 * math.cos(2 * math.pi * (hour - 2) / 24)) * weekend


def quantile(wanted: float, buckets: Sequence[int]) -> float:
    """As Prometheus' histogram_quantile, of cumulative counts."""
    rank = wanted * buckets[-1]
    place = next(place for place, count in enumerate(buckets) if count >= rank)
    if place == len(BUCKETS):
        return BUCKETS[-1]
    below, lower = (buckets[place - 1], BUCKETS[place - 1]) if place else (0, 0.0)
    return lower + (BUCKETS[place] - lower) * (rank - below) / (buckets[place] - below)


@cache
def _shares(condition: Condition) -> dict[float, float]:
    """Duration and share of the payments; no error mode, so a duration occurs once in the tally."""
    tally = payments(condition, 0, PERIOD)
    return {seconds: times / PERIOD for (_, seconds), times in tally.items()}


def _mixed(slow: float) -> dict[float, float]:
    normal = {seconds: part * (1 - slow) for seconds, part in _shares(Condition()).items()}
    sluggish = {seconds: part * slow for seconds, part in _shares(Condition(Mode.SLOW)).items()}
    return normal | sluggish
