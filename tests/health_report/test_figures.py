"""Figures: nothing for no data, never 100 %."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from bridge.model import Series
from health_report import figures
from health_report.figures import Gap, grid

NAN, INF = math.nan, math.inf
START = datetime(2026, 10, 1, tzinfo=UTC)
FIVE = grid(START, START + timedelta(seconds=300), 60)


def test_the_grid_puts_samples_in_their_place() -> None:
    series = Series(
        {}, tuple(START.timestamp() + t for t in (60, 180.2, 300, 360, 0)), (1.0, 3.0, 5.0, 9.0, 9.0)
    )
    assert figures.on_grid(series, FIVE) == [1.0, None, 3.0, None, 5.0]


def test_a_rest_shorter_than_a_step_is_not_told_about() -> None:
    assert grid(START, START + timedelta(seconds=299), 60).count == 4
    assert grid(START, START, 60).count == 0


def test_gaps_are_what_was_not_recorded() -> None:
    at = START.timestamp()
    cover = figures.coverage([1.0, None, None, NAN, None], FIVE)
    assert cover.gaps == (Gap(at + 60, at + 180), Gap(at + 240, at + 300))
    assert (cover.expected, cover.counted, cover.idle) == (5, 1, 1)
    assert cover.share == pytest.approx(0.4)
    assert cover.blind_seconds == 180


def test_coverage_of_nothing() -> None:
    empty = grid(START, START, 60)
    assert figures.coverage([], empty).share is None
    assert figures.coverage([None] * 5, FIVE).share == 0


@pytest.mark.parametrize(
    ("good", "total", "seen", "with_blind"),
    [
        ([9, 9, 9, 9, 9], [10, 10, 10, 10, 10], 0.9, 0.9),
        ([90, 1, 1, 1, 1], [100, 1, 1, 1, 1], 94 / 104, 94 / 104),  # weighted by volume
        ([10, None, None, 10, 10], [10, None, None, 10, 10], 1.0, 0.6),  # blind time counts in one of both
        ([None] * 5, [10] * 5, 0.0, 0.0),  # requests and no good series: none was good
        ([10, 10, NAN, 10, 10], [10, 10, 10, 10, 10], 0.8, 0.8),
        ([10, 0, 10, 10, 10], [10, 0, 10, 10, 10], 1.0, 1.0),  # no traffic is not a failure
        ([11, 10, 10, 10, 10], [10, 10, 10, 10, 10], 1.0, 1.0),  # extrapolation never gives more than all
        ([10, 10, 10, 10, INF], [10, 10, 10, 10, INF], 1.0, 1.0),
    ],
)
def test_availability_from_counts(
    good: list[float | None], total: list[float | None], seen: float, with_blind: float
) -> None:
    found = figures.from_counts(good, total, FIVE)
    assert found is not None
    assert found.seen == pytest.approx(seen)
    assert found.with_blind == pytest.approx(with_blind)


@pytest.mark.parametrize("total", [[None] * 5, [0.0] * 5, [NAN] * 5, [None, 0.0, NAN, INF, None]])
def test_no_requests_give_no_availability(total: list[float | None]) -> None:
    assert figures.from_counts(total, total, FIVE) is None
    assert figures.from_counts([5.0] * 5, total, FIVE) is None


def test_availability_from_ratios() -> None:
    found = figures.from_ratios([1.0, 0.5, NAN, None, INF], FIVE)
    assert found is not None
    assert found.seen == pytest.approx(0.75)
    assert found.with_blind == pytest.approx(0.75 * 0.8)
    assert figures.from_ratios([None, NAN, INF, -INF, None], FIVE) is None


def test_ratio_over_time_follows_the_same_rules() -> None:
    ratios = figures.ratio_of([9, None, None, 5, 20], [10, 10, None, 0, 10])
    assert ratios[:3] == [0.9, 0.0, None]
    assert ratios[3] is not None
    assert math.isnan(ratios[3])
    assert ratios[4] == 1.0


@pytest.mark.parametrize(
    ("availability", "slo", "used", "kept"),
    [
        (0.9995, 0.999, 0.5, True),
        (0.999, 0.999, 1.0, True),
        (0.998, 0.999, 2.0, False),
        (1.0, 1.0, None, True),
        (0.9999, 1.0, None, False),
    ],
)
def test_error_budget(availability: float, slo: float, used: float | None, *, kept: bool) -> None:
    found = figures.budget(availability, slo, 1000)
    assert found.used == (pytest.approx(used) if used is not None else None)
    assert found.kept is kept
    assert found.allowed_seconds == pytest.approx((1 - slo) * 1000)


def test_percentiles() -> None:
    assert figures.percentile([3, 1, None, NAN, 2, INF], 0.5) == 2
    assert figures.percentile([1, 2], 0.95) == pytest.approx(1.95)
    assert figures.percentile([7], 0.95) == 7
    assert figures.percentile([None, NAN], 0.95) is None


@pytest.mark.parametrize(
    ("values", "grown"),
    [([1, 5, 9], 8), ([1, 5, 0, 3], 7), ([5, None, NAN, 8], 3), ([4], None), ([], None), ([7, 2], 2)],
)
def test_a_counter_that_restarts_still_grows(values: list[float | None], grown: float | None) -> None:
    assert figures.increase(values) == grown


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (3.0, 2.0, (1.0, 0.5)),
        (3.0, 0.0, (3.0, None)),
        (3.0, None, None),
        (None, 3.0, None),
        (NAN, 3.0, None),
        (1.0, INF, None),
    ],
)
def test_change(now: float | None, before: float | None, expected: tuple[float, float | None] | None) -> None:
    found = figures.change(now, before)
    assert (found and (found.absolute, found.relative)) == expected


def test_series_are_added_where_one_of_them_is_known() -> None:
    at = START.timestamp()
    first = Series({}, (at + 60, at + 120, at + 180), (1.0, NAN, NAN))
    second = Series({}, (at + 60, at + 120, at + 240), (2.0, 3.0, 4.0))
    found = figures.total([first, second], FIVE)
    assert found[:2] == [3.0, 3.0]
    assert found[2] is not None
    assert math.isnan(found[2])
    assert found[3:] == [4.0, None]
    assert figures.total([], FIVE) == [None] * 5


def test_figures_agree_with_a_naive_recomputation_over_forty_months() -> None:
    chance = random.Random(7)
    for _ in range(40):
        points = grid(START, START + timedelta(days=3), 300)
        total = [
            None if chance.random() < 0.03 else chance.choice([0.0, NAN, chance.random() * 90])
            for _ in range(points.count)
        ]
        good = [
            t * chance.uniform(0.9, 1) if t is not None and chance.random() > 0.01 else None for t in total
        ]
        found = figures.from_counts(good, total, points)
        assert found is not None
        pairs = [(g or 0.0, t) for g, t in zip(good, total, strict=True) if t is not None and t > 0]
        expected = sum(g for g, _ in pairs) / sum(t for _, t in pairs)
        assert abs(found.seen - expected) < 1e-9
        assert found.with_blind == pytest.approx(expected * sum(t is not None for t in total) / len(total))
