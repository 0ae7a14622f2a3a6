"""Where Alertmanager's list and the store differ, and what that means: a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from msgspec.structs import replace

from bridge import sightings
from bridge.model import State
from bridge.sightings import Known, Listed, Terms
from tests.sights import FOREVER, NOW, TERMS, TOLD, ago, known, listed, sight, told


@pytest.mark.parametrize(
    ("alert", "terms", "expected"),
    [
        (listed(), TERMS, [("firing", 600, None, "")]),
        (listed(starts_at=ago(45)), TERMS, [("firing", 45, None, "")]),
        (listed(starts_at=ago(44)), TERMS, []),
        (listed(starts_at=ago(1)), replace(TERMS, grace=timedelta(0)), [("firing", 1, None, "")]),
        (listed(starts_at=ago(-60)), TERMS, []),
        (listed(receivers=("null",)), TERMS, []),
        (listed(receivers=("null", "ops")), TERMS, [("firing", 600, None, "")]),
        (listed(receivers=("null",)), replace(TERMS, receivers=frozenset()), [("firing", 600, None, "")]),
        (listed(state="suppressed", silenced_by=("s1",)), TERMS, []),
        (listed(state="suppressed", inhibited_by=("f2",)), TERMS, []),
        (listed(state="suppressed", muted_by=("nights",)), TERMS, []),
        (listed(state="unprocessed"), TERMS, []),
    ],
    ids=[
        "missed",
        "just old enough",
        "its webhook may be on its way",
        "cut off: no webhook will come",
        "begins in the future",
        "routed to somebody else",
        "routed to us too",
        "no receivers known: all count",
        "silenced",
        "inhibited",
        "muted by a time interval",
        "not yet processed",
    ],
)
def test_a_firing_alert_nobody_told_is_admitted_when_it_is_ours_old_and_open(
    alert: Listed, terms: Terms, expected: list[object]
) -> None:
    found = sightings.compare("main", [], {}, sight(alert), terms)
    assert told(found) == expected
    assert found.outcomes == ({"missed_firing": 1} if expected else {})


def test_what_is_admitted_says_all_that_the_list_says() -> None:
    (alert,) = sightings.compare("main", [], {}, sight(listed()), TERMS).alerts
    assert (alert.source, alert.fingerprint, alert.link) == ("main", "f1", "http://prometheus.test/graph")
    assert alert.labels == {"alertname": "Down", "host": "a"}
    assert alert.annotations == {"summary": "it is down"}


SILENCED = listed(state="suppressed", silenced_by=("s1",))
INHIBITED = listed(state="suppressed", inhibited_by=("f2",))
BY = listed(fingerprint="f2", receivers=("null",), labels={"alertname": "RegionDown"})


@pytest.mark.parametrize(
    ("episode", "alerts", "expected", "outcomes"),
    [
        (known(), [listed()], [], {}),
        (known(), [SILENCED], [("silenced", 600, None, TOLD)], {"silenced": 1}),
        (known(standing=State.SILENCED, held_by=TOLD), [SILENCED], [], {}),
        (
            known(standing=State.SILENCED, held_by="silence s1 by li until 2026-11-25 03:00 UTC: x"),
            [SILENCED],
            [("silenced", 600, None, TOLD)],
            {"silenced": 1},
        ),
        (known(), [INHIBITED, BY], [("inhibited", 600, None, "inhibited by RegionDown")], {"inhibited": 1}),
        (known(), [INHIBITED], [("inhibited", 600, None, "inhibited by f2")], {"inhibited": 1}),
        (
            known(),
            [replace(INHIBITED, silenced_by=("s1",)), BY],
            [("silenced", 600, None, TOLD)],
            {"silenced": 1},
        ),
        (
            known(),
            [listed(state="suppressed", muted_by=("nights",))],
            [("silenced", 600, None, "muted: nights")],
            {"silenced": 1},
        ),
        (
            known(standing=State.SILENCED, held_by=TOLD),
            [listed()],
            [("firing", 600, None, "")],
            {"active": 1},
        ),
        (known(standing=State.STALE, held_by="x"), [listed()], [("firing", 600, None, "")], {"active": 1}),
        (known(standing=State.STALE, held_by="x"), [listed(state="unprocessed")], [], {}),
    ],
    ids=[
        "still firing",
        "silenced",
        "still silenced",
        "the silence was prolonged",
        "inhibited",
        "inhibited by what is not listed",
        "silenced and inhibited",
        "muted",
        "the silence is over",
        "stale and listed again",
        "not yet processed",
    ],
)
def test_the_list_says_how_a_known_alert_stands(
    episode: Known, alerts: list[Listed], expected: list[object], outcomes: Mapping[str, int]
) -> None:
    found = sightings.compare("main", [episode], {}, sight(*alerts, silences={"s1": FOREVER}), TERMS)
    assert told(found) == expected
    assert found.outcomes == outcomes


def test_a_silence_that_cannot_be_read_now_keeps_the_words_it_had() -> None:
    silenced = known(standing=State.SILENCED, held_by=TOLD)
    assert sightings.compare("main", [silenced], {}, sight(SILENCED), TERMS).alerts == ()
    (alert,) = sightings.compare("main", [known()], {}, sight(SILENCED), TERMS).alerts
    assert alert.held_by == "silence s1"


def test_of_several_silences_the_one_that_lasts_longest_is_told() -> None:
    short = replace(FOREVER, id="s0", until=NOW + timedelta(minutes=1))
    both = replace(SILENCED, silenced_by=("s0", "s1"))
    seen = sight(both, silences={"s0": short, "s1": FOREVER})
    (alert,) = sightings.compare("main", [known()], {}, seen, TERMS).alerts
    assert alert.held_by == TOLD


def test_what_people_wrote_into_a_silence_cannot_spoil_a_line() -> None:
    ugly = replace(FOREVER, by="a\nb\u202e", comment="x" * 5000)
    (alert,) = sightings.compare("main", [known()], {}, sight(SILENCED, silences={"s1": ugly}), TERMS).alerts
    assert len(alert.held_by) <= 300
    assert alert.held_by.isprintable()


def test_many_inhibiting_alerts_are_named_in_one_order_and_not_all() -> None:
    names = tuple(f"f{number}" for number in range(2, 9))
    seen = [sight(replace(INHIBITED, inhibited_by=order)) for order in (names, names[::-1])]
    said = {sightings.compare("main", [known()], {}, each, TERMS).alerts[0].held_by for each in seen}
    assert said == {"inhibited by f2, f3, f4 and 4 more"}


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        ("active", "suppressed", "active"),
        ("unprocessed", "suppressed", "suppressed"),
        ("unprocessed", "active", "active"),
    ],
)
def test_peers_together_list_what_any_of_them_lists(first: str, second: str, state: str) -> None:
    one, other = listed(state=first), listed(state=second, starts_at=ago(500))
    lone = listed(fingerprint="f2")
    for answers in ([[one], [other, lone]], [[other, lone], [one]]):
        found = sightings.union(answers)
        assert set(found) == {"f1", "f2"}
        assert found["f1"].state == state


def test_of_equal_peers_the_earlier_start_counts() -> None:
    assert sightings.union([[listed(starts_at=ago(1))], [listed()]])["f1"].starts_at == ago(600)
