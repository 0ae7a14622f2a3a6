"""The truth about a series does not depend on the order in which it is told."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.episodes import Episode, doubted, merged
from bridge.model import Alert

START = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def told(start: float, end: float | None = None, **fields: object) -> Alert:
    ends_at = None if end is None else at(end)
    return replace(Alert(source="am", fingerprint="f1", starts_at=at(start), ends_at=ends_at), **fields)


def one_by_one(alerts: Iterable[Alert], known: Sequence[Episode] = ()) -> list[Episode]:
    """As deliveries come: each alone, on top of what is stored."""
    for alert in alerts:
        known = merged(known, [alert])
    return list(known)


def ends(episodes: Iterable[Episode]) -> list[tuple[float, float | None, bool]]:
    """(start, end, inferred) in minutes."""

    def minutes(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - START).total_seconds() / 60

    return [(minutes(e.alert.starts_at) or 0, minutes(e.alert.ends_at), e.inferred) for e in episodes]


# Fires at 0, repeats, ends at 5; fires again at 10, repeats, ends at 15.
DELIVERIES = [told(0), told(0), told(0, 5), told(10), told(10), told(10, 15)]


@pytest.mark.parametrize("end", [15, None], ids=["both ended", "the second still fires"])
def test_all_720_orders_of_six_deliveries_end_in_the_same_state(end: float | None) -> None:
    deliveries = [*DELIVERIES[:5], told(10, end)]
    outcomes = {
        tuple((*row, e.seen) for row, e in zip(ends(found), found, strict=True))
        for order in itertools.permutations(deliveries)
        if (found := one_by_one(order))
    }
    assert outcomes == {((0, 5, False, 3), (10, end, False, 3))}


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        pytest.param([told(0)], [(0, None, False)], id="fires"),
        pytest.param([told(0), told(0)], [(0, None, False)], id="a copy from the other replica"),
        pytest.param([told(0), told(0, 5)], [(0, 5, False)], id="ends"),
        pytest.param([told(0, 5)], [(0, 5, False)], id="only its end was ever told"),
        pytest.param([told(0, 5), told(0)], [(0, 5, False)], id="a late firing copy does not raise the dead"),
        pytest.param(
            [told(0, 5), told(0, 7)], [(0, 7, False)], id="replicas disagree: the later end is true"
        ),
        pytest.param([told(0, 7), told(0, 5)], [(0, 7, False)], id="in either order"),
        pytest.param(
            [told(0), told(10)], [(0, 10, True), (10, None, False)], id="a new start ends the old episode"
        ),
        pytest.param(
            [told(10), told(0)], [(0, 10, True), (10, None, False)], id="an older one told late is superseded"
        ),
        pytest.param(
            [told(0), told(10), told(0, 4)],
            [(0, 4, False), (10, None, False)],
            id="the true end replaces the inferred one",
        ),
        pytest.param(
            [told(0), told(10), told(0)],
            [(0, 10, True), (10, None, False)],
            id="a firing copy leaves the inferred end",
        ),
        pytest.param(
            [told(0), told(20), told(10)],
            [(0, 10, True), (10, 20, True), (20, None, False)],
            id="one in between moves the inferred end",
        ),
        pytest.param(
            [told(0), told(10), told(0, 12)],
            [(0, 12, False), (10, None, False)],
            id="a told end stands even after the next start",
        ),
    ],
)
def test_ends_are_told_or_follow_from_the_next_start(
    alerts: list[Alert], expected: list[tuple[float, float | None, bool]]
) -> None:
    assert ends(one_by_one(alerts)) == expected
    assert ends(merged((), alerts)) == expected, "one delivery with all of them says the same"


@pytest.mark.parametrize(
    ("known", "alert", "expected"),
    [
        pytest.param((0, 8), told(10), (8, True), id="it was gone before the next one began"),
        pytest.param((0, 12), told(10), (10, True), id="it was gone later: the next start ended it"),
        pytest.param((0, 8), told(0), (None, False), id="it is heard again"),
        pytest.param((0, 8), told(0, 5), (5, False), id="its end is told"),
    ],
)
def test_a_presumed_end_stands_until_something_better_is_known(
    known: tuple[float, float], alert: Alert, expected: tuple[float | None, bool]
) -> None:
    gone = merged(merged((), [told(known[0])]), [told(*known, presumed=True)])
    start, *found = ends(merged(gone, [alert]))[0]
    assert (start, tuple(found)) == (known[0], expected)


@pytest.mark.parametrize("minute", [10, 11, 9], ids=["at the same moment", "later", "by a clock set back"])
def test_what_fires_without_a_start_fires_whatever_ended_before(minute: float) -> None:
    before = [told(10, undated=True), told(10, 10, undated=True)]
    found = one_by_one([*before, told(minute, undated=True)])
    assert [episode.firing for episode in found] == [False, True]


def test_an_end_of_nothing_is_nothing_also_when_it_is_doubted() -> None:
    assert one_by_one([doubted(told(10, 10, undated=True), "Prometheus is gone")]) == []


some_alerts = st.builds(
    lambda start, lasted: told(start, None if lasted is None else start + lasted),
    st.integers(0, 4).map(float),
    st.none() | st.integers(1, 6).map(float),
)


@given(st.lists(some_alerts, max_size=8), st.randoms(use_true_random=False), st.integers(0, 8))
def test_any_order_and_any_grouping_give_the_same_truth(alerts: list[Alert], random, cut: int) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(alerts)
    random.shuffle(shuffled)
    grouped = merged(merged((), shuffled[:cut]), shuffled[cut:])
    assert ends(grouped) == ends(one_by_one(alerts))


@given(st.lists(some_alerts, min_size=1, max_size=8))
def test_at_most_the_newest_episode_of_a_series_fires(alerts: list[Alert]) -> None:
    found = one_by_one(alerts)
    assert [e.alert.starts_at for e in found] == sorted({a.starts_at for a in alerts})
    assert not any(episode.firing for episode in found[:-1])


def test_a_repeat_brings_new_texts_and_keeps_labels_identity_and_incident() -> None:
    first = told(0, labels={"a": "1"}, annotations={"summary": "5 s"}, link="http://old")
    stored = Episode(alert=first, id=7, incident=3, seen=4)
    repeat = told(0, labels={"a": "1"}, annotations={"summary": "9 s"}, link="http://new")
    (found,) = merged([stored], [repeat])
    assert (found.id, found.incident, found.seen) == (7, 3, 5)
    assert (found.alert.annotations, found.alert.link) == ({"summary": "9 s"}, "http://new")
    assert found.identity == stored.identity == ("am", "f1", at(0))


def test_a_resolved_copy_without_texts_keeps_those_that_are_known() -> None:
    first = told(0, annotations={"summary": "5 s"}, link="http://old")
    (found,) = one_by_one([first, told(0, 5)])
    assert (found.alert.annotations, found.alert.link) == ({"summary": "5 s"}, "http://old")
