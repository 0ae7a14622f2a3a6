"""Playing stored episodes by two sets of decisions: what opens, merges and pages, and who would be missed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import replay
from bridge.matchers import parse
from bridge.model import Alert, Priority
from bridge.replay import Comparison, Past
from bridge.triage import Known, Rule, ServiceFacts, decide
from tests.conftest import START

P1, P2, P3 = Priority.P1, Priority.P2, Priority.P3
WINDOW = timedelta(minutes=30)
PAGING = frozenset({P1, P2})
BEFORE = (
    Rule("critical", (parse('severity="critical"'),), priority=P1, incident_by=("service",)),
    Rule("warning", (parse('severity="warning"'),), priority=P2, incident_by=("service",)),
    Rule("default", incident_by=("service",)),
)


def known(*rules: Rule, depends_on: tuple[str, ...] = ()) -> Known:
    return Known(
        rules=rules, version="1", paging=PAGING, services={"orders": ServiceFacts(depends_on=depends_on)}
    )


def minutes(number: float) -> datetime:
    return START + timedelta(minutes=number)


def past(
    at: float,
    ends: float | None = None,
    severity: str = "critical",
    service: str = "payments",
    incident: int = 1,
    rules: tuple[Rule, ...] = BEFORE,
    **labels: str,
) -> Past:
    """An episode first seen at a minute, as these rules decided it."""
    alert = Alert(
        source="main",
        fingerprint=f"{service}{severity}{sorted(labels.items())}",
        starts_at=minutes(at),
        ends_at=None if ends is None else minutes(ends),
        labels={"alertname": "A", "severity": severity, "service": service} | labels,
    )
    verdict = decide(alert, known(*rules))
    return Past(
        id=0,
        alert=alert,
        first_seen=minutes(at),
        incident=incident,
        service=service,
        storm=False,
        key=verdict.key,
        priority=verdict.priority,
        route_labels={},
    )


def played(*episodes: Past, rules: tuple[Rule, ...] = BEFORE) -> Comparison:
    return replay.replay(episodes, known(*rules), WINDOW)


@pytest.mark.parametrize(
    ("episodes", "opened", "merged", "pages"),
    [
        pytest.param([past(0)], 1, 0, 1, id="one alert opens and pages"),
        pytest.param([past(0), past(5)], 1, 1, 1, id="another joins while it fires, without a page"),
        pytest.param([past(0), past(5, service="orders")], 2, 0, 2, id="another key is another incident"),
        pytest.param([past(0, 10), past(40)], 1, 1, 2, id="a re-fire within the window reopens and pages"),
        pytest.param([past(0, 10), past(41)], 2, 0, 2, id="a re-fire after the window opens anew"),
        pytest.param([past(0, 10), past(5, 20), past(15)], 1, 2, 1, id="the last end counts"),
        pytest.param([past(0), past(60)], 1, 1, 1, id="what never ended is joined for ever"),
        pytest.param([past(10, 5)], 1, 0, 0, id="what was over before it came pages nobody"),
        pytest.param([past(0, 10), past(20, 15)], 1, 1, 1, id="what was over when it came reopens nothing"),
        pytest.param([past(60, 0), past(80)], 1, 1, 1, id="an end counts from when it was heard of"),
        pytest.param([past(0, severity="info")], 1, 0, 0, id="a P3 pages nobody"),
        pytest.param([past(0, severity="warning"), past(1)], 1, 1, 2, id="a rise pages again"),
        pytest.param([past(0), past(1, severity="warning")], 1, 1, 1, id="a fall does not"),
        pytest.param(
            [past(0, severity="warning"), past(0)],
            1,
            1,
            1,
            id="of what comes together the most urgent decides",
        ),
    ],
)
def test_both_sides_are_played_as_admission_does_it(
    episodes: list[Past], opened: int, merged: int, pages: int
) -> None:
    found = played(*episodes)
    assert (found.then.opened, found.then.merged, found.then.pages) == (opened, merged, pages)
    assert found.then == found.now
    assert found.episodes == len(episodes)


def test_incidents_are_counted_by_the_highest_priority_they_had() -> None:
    found = played(past(0, severity="warning"), past(1), past(0, severity="info", service="orders"))
    assert found.then.by_priority == {P1: 1, P3: 1}


def kinds(found: Comparison) -> dict[str, list[tuple[int, str, bool, str, bool]]]:
    """Everything that differs, as (incident, priority then, paged then, priority now, pages now)."""
    return {
        name: [(c.incident, c.then.value, c.paged_then, c.now.value, c.pages_now) for c in differences.listed]
        for name in ("missed", "newly_paging", "split", "merged")
        if (differences := getattr(found, name)).total
    }


LOWER = (
    Rule("critical", (parse('severity="critical"'),), priority=P3, incident_by=("service",)),
    *BEFORE[1:],
)
HIGHER = (*BEFORE[:2], Rule("default", priority=P2, incident_by=("service",)))
FINER = tuple(
    Rule(rule.name, rule.match, rule.priority, incident_by=("service", "gateway")) for rule in BEFORE
)
COARSER = tuple(Rule(rule.name, rule.match, rule.priority, incident_by=("severity",)) for rule in BEFORE)


@pytest.mark.parametrize(
    ("episodes", "rules", "expected"),
    [
        pytest.param([past(0)], BEFORE, {}, id="the same rules change nothing"),
        pytest.param([past(0)], LOWER, {"missed": [(1, "P1", True, "P3", False)]}, id="a P1 that is none"),
        pytest.param(
            [past(0), past(1, severity="warning")],
            LOWER,
            {"missed": [(1, "P1", True, "P2", True)]},
            id="still paging, but less urgent",
        ),
        pytest.param(
            [past(5, 1)], LOWER, {"missed": [(1, "P1", False, "P3", False)]}, id="a P1 that paged nobody"
        ),
        pytest.param(
            [past(0, severity="info")],
            HIGHER,
            {"newly_paging": [(1, "P3", False, "P2", True)]},
            id="it wakes",
        ),
        pytest.param(
            [past(0, gateway="a"), past(1, gateway="b")],
            FINER,
            {"split": [(1, "P1", True, "P1", True)]},
            id="split",
        ),
        pytest.param(
            [past(0), past(1, service="orders", incident=2)],
            COARSER,
            {"merged": [(1, "P1", True, "P1", True)]},
            id="merged",
        ),
        pytest.param(
            [past(0, severity="info"), past(1, severity="info", service="orders", incident=2)],
            (Rule("all", incident_by=("severity",)),),
            {"merged": [(1, "P3", False, "P3", False)]},
            id="merged, and it never mattered",
        ),
    ],
)
def test_the_incidents_that_make_the_difference_are_named(
    episodes: list[Past], rules: tuple[Rule, ...], expected: dict[str, list[tuple[int, str, bool, str, bool]]]
) -> None:
    assert kinds(played(*episodes, rules=rules)) == expected


def test_a_merged_incident_names_all_it_was_made_of_and_a_split_one_its_new_keys() -> None:
    [change] = played(past(0, incident=7), past(1, service="orders", incident=8), rules=COARSER).merged.listed
    assert (change.incident, change.incidents, change.keys) == (7, (7, 8), ("severity=critical",))
    [change] = played(past(0, gateway="a"), past(1, gateway="b"), rules=FINER).split.listed
    assert change.keys == ("service=payments, gateway=a", "service=payments, gateway=b")


def test_what_a_storm_or_a_needed_service_took_in_stays_there() -> None:
    took = {"storm": True, "key": "storm, client="}
    storm = [Past(**{**_fields(past(0, service=name)), **took}) for name in ("hosts", "network")]
    root = past(0)
    needs = Past(**{**_fields(past(1, service="orders")), "service": "payments", "key": root.key})
    rules = known(*BEFORE, depends_on=("payments",))
    found = replay.replay([*storm, root, needs], rules, WINDOW)
    assert (found.now.opened, kinds(found)) == (2, {})


def test_a_page_that_does_not_come_is_missed_even_if_the_priority_stays() -> None:
    """What was over pages nobody; what fires is urgent no more."""
    rules = (
        Rule("a", (parse('gateway="a"'),), priority=P1, incident_by=("gateway",)),
        Rule("rest", priority=P3, incident_by=("gateway",)),
    )
    found = played(past(5, 1, gateway="a"), past(6, gateway="b"), rules=rules)
    assert kinds(found)["missed"] == [(1, "P1", True, "P1", False)]


def test_an_incident_is_judged_when_nothing_can_change_what_became_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "_FEWEST_KEPT", 0)
    rules = (
        Rule("late", (parse('late="yes"'),), priority=P1, incident_by=("alertname",)),
        Rule("rest", priority=P3, incident_by=("alertname",)),
    )
    others = [past(99 + number, service=f"s{number}", severity="info") for number in range(5)]
    told = [past(0, service="long", severity="info"), past(1, 2), *others, past(200, late="yes")]
    assert kinds(played(*told, rules=rules)).keys() == {"merged"}


def test_a_blind_alert_is_no_rules_business() -> None:
    alert = Alert(
        source="main", fingerprint="f", starts_at=START, labels={"alertname": "DatasourceNoData"}, blind=True
    )
    key = decide(alert, known(*BEFORE)).key
    one = Past(**{**_fields(past(0)), "alert": alert, "key": key, "priority": P2})
    assert kinds(played(one, rules=LOWER)) == {}


def _fields(one: Past) -> dict[str, object]:
    return {name: getattr(one, name) for name in Past.__struct_fields__}


_episode = st.tuples(
    st.floats(0, 600),
    st.one_of(st.none(), st.floats(0, 90)),
    st.sampled_from(["critical", "warning", "info"]),
    st.sampled_from(["payments", "orders"]),
    st.sampled_from(["a", "b"]),
)


@given(st.lists(_episode, max_size=40))
def test_the_same_rules_never_make_a_difference(
    told: list[tuple[float, float | None, str, str, str]],
) -> None:
    episodes = [
        past(at, None if lasts is None else at + lasts, severity, service, number, gateway=gateway)
        for number, (at, lasts, severity, service, gateway) in enumerate(sorted(told, key=lambda one: one[0]))
    ]
    found = played(*episodes)
    assert found.then == found.now
    assert (found.missed.total, found.newly_paging.total) == (0, 0)


def _long_past(count: int) -> Iterator[Past]:
    for number in range(count):
        yield past(
            number * 10.0, number * 10.0 + 5, service=f"s{number % 7}", incident=number, number=str(number)
        )


def test_incidents_are_let_go_of_on_the_way_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    settled = replay._compare

    def watched(then: replay._Side, now: replay._Side, outcome: Comparison) -> None:
        nonlocal largest
        largest = max(largest, len(then) + len(now))
        settled(then, now, outcome)

    at_once = replay.replay(_long_past(500), known(*LOWER), WINDOW)
    monkeypatch.setattr(replay, "_FEWEST_KEPT", 20)
    monkeypatch.setattr(replay, "_compare", watched)
    found = replay.replay(_long_past(500), known(*LOWER), WINDOW)
    assert found == at_once
    assert found.missed.total == 500
    assert largest <= 40


def test_of_many_differences_the_first_are_listed_and_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MOST_LISTED", 3)
    found = replay.replay(itertools.islice(_long_past(50), 50), known(*LOWER), WINDOW)
    assert (found.missed.total, len(found.missed.listed)) == (50, 3)
