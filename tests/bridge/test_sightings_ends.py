"""When an alert that Alertmanager no longer lists has ended, and when a told end was false: a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge import sightings
from bridge.model import State
from bridge.sightings import Ended, Known
from tests.sights import NOW, TERMS, TOLD, ago, known, listed, sight, told


@pytest.mark.parametrize(
    ("episode", "sees", "expected", "absent"),
    [
        (known(), "all", [], {1: NOW}),
        (known(absent_since=ago(59)), "all", [], {}),
        (known(absent_since=ago(60)), "all", [("resolved", 600, 0, "")], {}),
        (known(absent_since=ago(60)), "nothing", [], {1: None}),
        (known(), "nothing", [], {}),
        (known(absent_since=ago(60), last_seen=ago(30)), "all", [], {1: NOW}),
        (known(last_seen=ago(-1)), "all", [], {}),
        (
            known(absent_since=ago(60), standing=State.SILENCED, held_by=TOLD, last_seen=ago(30)),
            "all",
            [("resolved", 600, 0, "")],
            {},
        ),
        (known(absent_since=ago(60), standing=State.STALE), "all", [("resolved", 600, 0, "")], {}),
    ],
    ids=[
        "gone for the first time",
        "gone, not long enough",
        "gone for good",
        "the source does not see",
        "the source does not see, nothing to forget",
        "a delivery said meanwhile that it fires",
        "a delivery came after the look began",
        "silenced and gone",
        "stale and gone",
    ],
)
def test_what_is_no_longer_listed_ends_at_the_second_look_after_a_minute(
    episode: Known, sees: str, expected: list[object], absent: Mapping[int, datetime | None]
) -> None:
    found = sightings.compare("main", [episode], {}, sight(whole=sees == "all"), TERMS)
    assert told(found) == expected
    assert found.absent == absent
    assert all(alert.presumed for alert in found.alerts)


def test_one_look_alone_ends_nothing_however_long_ago_it_was_seen() -> None:
    found = sightings.compare(
        "main", [known(absent_since=NOW)], {}, sight(), replace(TERMS, absence=timedelta(0))
    )
    assert found.alerts == ()


def test_an_alert_that_is_back_in_the_list_is_absent_no_more() -> None:
    found = sightings.compare("main", [known(absent_since=ago(60))], {}, sight(listed()), TERMS)
    assert (found.alerts, found.absent) == ((), {1: None})


@pytest.mark.parametrize(
    ("there", "expected", "absent"),
    [
        ({1: "firing"}, [("stale", 600, None, sightings.FIRES_ELSEWHERE)], {1: ago(60)}),
        ({1: "pending"}, [("stale", 600, None, sightings.PENDS_ELSEWHERE)], {1: ago(60)}),
        ({1: ""}, [("resolved", 600, 0, "")], {}),
        ({}, [], {}),
        (None, [("resolved", 600, 0, "")], {}),
    ],
    ids=["fires there", "pending there", "not there either", "could not be asked now", "nobody to ask"],
)
def test_prometheus_has_the_last_word_on_an_end(
    there: Mapping[int, str] | None, expected: list[object], absent: Mapping[int, datetime | None]
) -> None:
    gone = known(absent_since=ago(60))
    found = sightings.compare("main", [gone], {}, sight(), TERMS, there)
    assert told(found) == expected
    assert found.absent == absent


def test_what_is_stale_already_is_not_told_again_and_ends_when_prometheus_lets_go() -> None:
    stale = known(
        absent_since=ago(60), standing=State.STALE, held_by=sightings.FIRES_ELSEWHERE, last_seen=ago(0)
    )
    assert sightings.compare("main", [stale], {}, sight(), TERMS, {1: "firing"}).alerts == ()
    assert told(sightings.compare("main", [stale], {}, sight(), TERMS, {1: ""})) == [("resolved", 600, 0, "")]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (known().starts_at, []),
        (known().starts_at + timedelta(microseconds=999), []),
        (known().starts_at - timedelta(hours=1), []),
        (ago(100), [("firing", 100, None, "")]),
        (ago(10), []),
    ],
    ids=["the same", "cut to milliseconds", "an earlier one", "a later one", "a later one, just begun"],
)
def test_only_a_later_start_is_another_firing(start: datetime, expected: list[object]) -> None:
    found = sightings.compare(
        "main", [known(absent_since=ago(60))], {}, sight(listed(starts_at=start)), TERMS
    )
    assert told(found) == expected
    assert found.absent == {1: None}


def ended(**fields: object) -> Ended:
    """It ended five minutes ago, by word of a delivery."""
    return replace(Ended(starts_at=ago(600), inferred=False, last_seen=ago(300)), **fields)


@pytest.mark.parametrize(
    ("over", "expected", "outcome"),
    [
        (ended(), [("firing", 0, None, "")], "false_end"),
        (ended(last_seen=ago(59)), [], ""),
        (ended(inferred=True), [("firing", 600, None, "")], "false_end"),
        (ended(starts_at=ago(599.9995)), [("firing", 0, None, "")], "false_end"),
        (ended(starts_at=ago(5000)), [("firing", 600, None, "")], "missed_firing"),
        (None, [("firing", 600, None, "")], "missed_firing"),
    ],
    ids=[
        "told as ended, yet it fires",
        "told as ended a moment ago",
        "only presumed to have ended",
        "the list cuts its start to milliseconds",
        "an earlier firing ended",
        "never heard of",
    ],
)
def test_an_end_that_was_false_is_undone(over: Ended | None, expected: list[object], outcome: str) -> None:
    past = {"f1": over} if over else {}
    found = sightings.compare("main", [], past, sight(listed()), TERMS)
    assert told(found) == expected
    assert found.outcomes == ({outcome: 1} if expected else {})


OURS = {"alertname": "Down", "host": "a", "cluster": "eu"}


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([({"alertname": "Down", "host": "a"}, "firing")], "firing"),
        ([({"alertname": "Down", "host": "a"}, "pending")], "pending"),
        (
            [({"alertname": "Down", "host": "a"}, "pending"), ({"alertname": "Down"}, "firing")],
            "firing",
        ),
        ([({"alertname": "Down", "host": "b"}, "firing")], ""),
        ([({"alertname": "Down", "host": "a", "disk": "sda"}, "firing")], ""),
        ([({"alertname": "Up", "host": "a"}, "firing")], ""),
        ([], ""),
    ],
    ids=[
        "the same without external labels",
        "pending",
        "two, one fires",
        "another host",
        "more labels",
        "another",
        "none",
    ],
)
def test_prometheus_alert_is_ours_when_all_its_labels_are(
    there: list[tuple[dict[str, str], str]], expected: str
) -> None:
    assert sightings.elsewhere({7: OURS}, there) == {7: expected}


def test_a_storm_is_compared_without_trying_each_with_each() -> None:
    many = range(20_000)
    ours = {number: {**OURS, "host": str(number)} for number in many}
    there = [({"alertname": "Down", "host": str(number)}, "firing") for number in many]
    assert set(sightings.elsewhere(ours, there).values()) == {"firing"}
