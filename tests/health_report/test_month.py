"""Months in a client's zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from health_report.month import period

LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("month", "zone", "start", "end", "hours"),
    [
        ("2026-10", "Asia/Shanghai", "2026-09-30T16:00", "2026-10-31T16:00", 31 * 24),
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00", "2026-10-31T23:00", 31 * 24 + 1),
        ("2026-03", "Europe/Berlin", "2026-02-28T23:00", "2026-03-31T22:00", 31 * 24 - 1),
        ("2026-02", "UTC", "2026-02-01T00:00", "2026-03-01T00:00", 28 * 24),
        ("2028-02", "UTC", "2028-02-01T00:00", "2028-03-01T00:00", 29 * 24),
        ("2026-12", "America/New_York", "2026-12-01T05:00", "2027-01-01T05:00", 31 * 24),
        ("2026-04", "Asia/Kathmandu", "2026-03-31T18:15", "2026-04-30T18:15", 30 * 24),
        ("2018-11", "America/Sao_Paulo", "2018-11-01T03:00", "2018-12-01T02:00", 30 * 24 - 1),
    ],
)
def test_a_month_is_between_two_local_midnights(
    month: str, zone: str, start: str, end: str, hours: int
) -> None:
    found = period(month, zone, LATER)
    assert found.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert found.end == datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert found.seconds == hours * 3600
    assert found.finished


@pytest.mark.parametrize(
    ("month", "before"), [("2026-01", "2025-12"), ("2026-03", "2026-02"), ("2026-11", "2026-10")]
)
def test_the_month_before_ends_where_this_one_begins(month: str, before: str) -> None:
    found = period(month, "Europe/Berlin", LATER)
    assert found.previous.month == before
    assert found.previous.end == found.start
    assert found.previous.finished


def test_an_unfinished_month_is_cut_at_now_and_says_so() -> None:
    now = datetime(2026, 10, 10, 12, tzinfo=UTC)
    found = period("2026-10", "Asia/Shanghai", now)
    assert found.until == now
    assert not found.finished
    assert found.previous.finished
    assert found.end > now


def test_the_last_moment_is_not_the_end() -> None:
    end = period("2026-10", "Asia/Shanghai", LATER).end
    assert period("2026-10", "Asia/Shanghai", end).finished


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-00", "2026-1", "10/2026", "", "2026-10-01", "0000-01", "９９９９-01"]
)
def test_what_is_no_month(month: str) -> None:
    with pytest.raises(ValueError, match=r"month|reach"):
        period(month, "UTC", LATER)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "Asia/Shanghai\x00"])
def test_what_is_no_zone(zone: str) -> None:
    with pytest.raises(ValueError, match="zone"):
        period("2026-10", zone, LATER)


def test_a_month_that_has_not_begun() -> None:
    # In Shanghai it is November already, in New York it is not.
    now = datetime(2026, 10, 31, 20, tzinfo=UTC)
    assert period("2026-11", "Asia/Shanghai", now).month == "2026-11"
    with pytest.raises(ValueError, match="not begun"):
        period("2026-11", "America/New_York", now)


def test_labels() -> None:
    found = period("2026-10", "Asia/Shanghai", LATER)
    assert found.label("zh_Hans_CN") == "2026年10月"
    assert found.label("en_GB") == "October 2026"
