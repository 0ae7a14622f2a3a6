"""Figures from samples. Pure. Nothing for no data: a figure that cannot be known is None, never 100 %."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

Values = Sequence[float | None]
"""Values on a grid: None where nothing was recorded."""


class Series(Protocol):
    """What is needed of a series: where it was recorded (Unix seconds) and what. Labels tell whose it is."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Whose it is."""

    @property
    def times(self) -> Sequence[float]:
        """When something was recorded, ascending."""

    @property
    def values(self) -> Sequence[float]:
        """What was recorded at those times."""


AnySeries = TypeVar("AnySeries", bound=Series)


@dataclass(frozen=True)
class Grid:
    """Evenly spaced moments of a period. Point k stands for the `step` seconds that end at it."""

    start: float
    step: float
    count: int

    def index(self, time: float) -> int | None:
        """Which point a time is, None when it is none."""
        place = round((time - self.start) / self.step) - 1
        near = abs(self.start + (place + 1) * self.step - time) < min(1.0, self.step / 2)
        return place if near and 0 <= place < self.count else None

    def time(self, index: int) -> float:
        """Unix seconds of a point."""
        return self.start + (index + 1) * self.step


def grid(start: datetime, until: datetime, step: float) -> Grid:
    """The grid of a period; a rest shorter than a step is not told about."""
    seconds = (until - start).total_seconds()
    return Grid(start.timestamp(), step, max(0, int(seconds // step)))


def on_grid(series: Series, points: Grid) -> list[float | None]:
    """The series' value at every point: None where nothing was recorded; NaN and ±Inf stay as they are."""
    found: list[float | None] = [None] * points.count
    for time, value in zip(series.times, series.values, strict=True):
        place = points.index(time)
        if place is not None:
            found[place] = value
    return found


def numbers(values: Iterable[float | None]) -> list[float]:
    """Only what is a number: without gaps, NaN and ±Inf."""
    return [value for value in values if value is not None and math.isfinite(value)]


@dataclass(frozen=True)
class Gap:
    """A stretch without any record, Unix seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it was blind."""
        return self.end - self.start


@dataclass(frozen=True)
class Coverage:
    """How much of a period was seen. `idle` points were recorded but hold no number (no traffic)."""

    expected: int
    counted: int
    idle: int
    gaps: tuple[Gap, ...]

    @property
    def share(self) -> float | None:
        """Recorded points of expected ones, 0 to 1; None for an empty period."""
        return (self.counted + self.idle) / self.expected if self.expected else None

    @property
    def blind_seconds(self) -> float:
        """Time without a record."""
        return sum(gap.seconds for gap in self.gaps)


def coverage(values: Values, points: Grid) -> Coverage:
    """Coverage and gaps of a series on its grid."""
    gaps: list[Gap] = []
    for place, value in enumerate(values):
        if value is not None:
            continue
        end = points.time(place)
        if gaps and gaps[-1].end == end - points.step:
            gaps[-1] = Gap(gaps[-1].start, end)
        else:
            gaps.append(Gap(end - points.step, end))
    counted = len(numbers(values))
    return Coverage(len(values), counted, len(values) - counted - values.count(None), tuple(gaps))


@dataclass(frozen=True)
class Availability:
    """Share of good, 0 to 1: over what was seen, and with every blind point counted as bad."""

    seen: float
    with_blind: float
    coverage: Coverage


def from_counts(good: Values, total: Values, points: Grid) -> Availability | None:
    """Availability from good and total requests per point.

    Where there are requests but no good series, none was good. Blind time counts as failed at the
    volume of the time that was seen. None without a single request.
    """
    ok, all_of_them = 0.0, 0.0
    for fine, every in zip(good, total, strict=True):
        if every is None or not math.isfinite(every) or every <= 0:
            continue
        all_of_them += every
        ok += _part(fine, every) * every
    if all_of_them <= 0:
        return None
    return _with_blind(ok / all_of_them, coverage(total, points))


def from_ratios(ratios: Values, points: Grid) -> Availability | None:
    """Availability from a recorded success ratio: the mean over time of what is a number."""
    known = numbers(ratios)
    if not known:
        return None
    mean = math.fsum(min(max(value, 0.0), 1.0) for value in known) / len(known)
    return _with_blind(mean, coverage(ratios, points))


def _with_blind(seen: float, cover: Coverage) -> Availability:
    share = cover.share
    return Availability(seen, seen * share if share is not None else seen, cover)


@dataclass(frozen=True)
class Budget:
    """An error budget. `used` is the share spent, above 1 when broken; None when nothing was allowed."""

    slo: float
    used: float | None
    allowed_seconds: float
    spent_seconds: float

    @property
    def kept(self) -> bool:
        """The promise was kept."""
        return self.used <= 1.0 + 1e-9 if self.used is not None else self.spent_seconds <= 0


def budget(availability: float, slo: float, seconds: float) -> Budget:
    """What a promise (0 to 1) allowed over so many seconds, and what of it was spent."""
    bad, allowed = 1.0 - availability, 1.0 - slo
    used = bad / allowed if allowed > 1e-12 else None
    return Budget(slo, used, allowed * seconds, bad * seconds)


def ratio_of(good: Values, total: Values) -> list[float | None]:
    """Good of total per point, with the rules of `from_counts`; NaN where there was no request."""
    return [
        None if every is None else _part(fine, every) if math.isfinite(every) and every > 0 else math.nan
        for fine, every in zip(good, total, strict=True)
    ]


def _part(fine: float | None, every: float) -> float:
    return min(max(fine, 0.0), every) / every if fine is not None and math.isfinite(fine) else 0.0


def percentile(values: Iterable[float | None], share: float) -> float | None:
    """The value that `share` (0 to 1) of the numbers do not exceed, with linear interpolation."""
    known = sorted(numbers(values))
    if not known:
        return None
    place = share * (len(known) - 1)
    low = math.floor(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (known[high] - known[low]) * (place - low)


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is a number."""
    known = numbers(values)
    return math.fsum(known) / len(known) if known else None


def increase(values: Iterable[float | None]) -> float | None:
    """How much a counter grew, honouring resets; None with fewer than two numbers."""
    known = numbers(values)
    if len(known) < 2:
        return None
    return math.fsum(b - a if b >= a else b for a, b in itertools.pairwise(known))


@dataclass(frozen=True)
class Change:
    """How a figure moved since last month; `relative` is None when it was zero."""

    absolute: float
    relative: float | None


def change(now: float | None, before: float | None) -> Change | None:
    """The change from `before` to `now`; None unless both are known numbers."""
    if now is None or before is None or not (math.isfinite(now) and math.isfinite(before)):
        return None
    return Change(now - before, (now - before) / abs(before) if before else None)


def total(series: Iterable[Series], points: Grid) -> list[float | None]:
    """Several series added point by point; None only where none of them has a record."""
    sums: list[float | None] = [None] * points.count
    for one in series:
        for place, value in enumerate(on_grid(one, points)):
            if value is None:
                continue
            known = sums[place]
            if known is None or math.isnan(known):
                sums[place] = value
            elif math.isfinite(value):
                sums[place] = known + value
    return sums


def by_label(series: Iterable[AnySeries], label: str) -> Mapping[str, list[AnySeries]]:
    """Series grouped by the value of a label, sorted; series without it stand under an empty name."""
    groups: dict[str, list[AnySeries]] = {}
    for one in series:
        groups.setdefault(one.labels.get(label, ""), []).append(one)
    return dict(sorted(groups.items()))


def thinned(values: Values, per: int) -> list[float | None]:
    """Means of `per` points each, to draw a long series; None where a stretch holds no number."""
    return [mean(values[place : place + per]) for place in range(0, len(values), max(per, 1))]
