"""Deciding a storm once: the short answer is the long one in everything that decides; and blind alerts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge import triage
from bridge.matchers import parse
from bridge.model import Alert, Priority, Verdict
from bridge.triage import BLIND, Known, Rule, ServiceFacts, Trigger, decide, gist

BEGAN = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
DECIDES = ("rule", "priority", "key", "client", "service", "policy", "plan", "page")


def rule(name: str, *match: str, **says: object) -> Rule:
    return Rule(name=name, match=tuple(map(parse, match)), **says)  # type: ignore[arg-type]


def rules() -> tuple[Rule, ...]:
    """Rules of every kind: patterns, negations, continuing ones, keys of their own, quoted names."""
    return (
        rule("team", 'region=~"e.*"', policy="team", continues=True),
        rule("pay", 'service="pay"', 'severity!="info"', priority=Priority.P1, incident_by=("client", "gw")),
        rule("says", '"up.time"!~"a|b"', 'x="1"', client="nord", service="web", failover="standby"),
        rule("series", 'x="2"', incident_by=("instance",)),
        rule("all"),
    )


def known() -> Known:
    return Known(
        rules=rules(),
        version="v",
        clients=frozenset({"acme", "nord"}),
        services={"pay": ServiceFacts(plan="standby"), "web": ServiceFacts(runbook="https://r/web")},
        triggers={"standby": Trigger(Priority.P1, (parse('zone="z"'),))},
        default_policy="page",
        paging=frozenset({Priority.P1, Priority.P2}),
    )


def alert(labels: dict[str, str], fingerprint: str = "f", **more: object) -> Alert:
    return Alert(source="m", fingerprint=fingerprint, starts_at=BEGAN, labels=labels, **more)  # type: ignore[arg-type]


def decided(verdict: Verdict) -> dict[str, object]:
    return {name: getattr(verdict, name) for name in DECIDES}


# Few values each, so that rules and triggers hold often.
VALUES = {
    "alertname": ["A", ""],
    "client": ["acme", "nord", "evil", ""],
    "service": ["pay", "web"],
    "severity": ["info", "critical"],
    "priority": ["P1", "p2", "high"],
    "region": ["eu", "us"],
    "gw": ["a", "b"],
    "x": ["1", "2"],
    "up.time": ["a", "c"],
    "zone": ["z", "y"],
    "instance": ["i", "j"],
    "host": ["h", "k"],
}
labels = st.fixed_dictionaries({}, optional={name: st.sampled_from(each) for name, each in VALUES.items()})
# A storm: alerts that differ from one another in one label or two.
one = st.sampled_from([(name, value) for name, each in VALUES.items() for value in each])
variants = st.lists(st.lists(one, max_size=2).map(dict), min_size=2, max_size=12)


@given(labels, variants, st.lists(st.sampled_from("fgh"), min_size=12, max_size=12), st.just({}) | labels)
@example({"client": "acme", "service": "pay"}, [{"zone": "z"}, {"zone": "y"}], ["f", "f"], {})
def test_what_is_remembered_of_others_decides_as_if_each_were_looked_at(
    base: dict[str, str], differing: list[dict[str, str]], fingerprints: list[str], route: dict[str, str]
) -> None:
    rules_in_force = known()
    for more, fingerprint in zip(differing, fingerprints, strict=False):
        each = alert({**base, **more}, fingerprint)
        for way in (route, {}):
            assert decided(gist(each, rules_in_force, way)) == decided(decide(each, rules_in_force, way))


def test_a_storm_that_differs_in_what_no_rule_looks_at_is_decided_once() -> None:
    rules_in_force = known()
    verdicts = {
        id(gist(alert({"client": "acme", "host": f"h{n}"}, f"f{n}"), rules_in_force)) for n in range(99)
    }
    assert len(verdicts) == 1
    assert len(rules_in_force.remembered) == 1


def test_alerts_that_share_no_label_are_each_their_own_problem() -> None:
    rules_in_force = known()
    keys = {gist(alert({"host": "h"}, fingerprint), rules_in_force).key for fingerprint in "abc"}
    assert keys == {"fingerprint=a", "fingerprint=b", "fingerprint=c"}


def test_what_is_remembered_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triage, "_MOST_REMEMBERED", 10)
    rules_in_force = known()
    for number in range(100):
        each = alert({"alertname": f"a{number}"})
        assert gist(each, rules_in_force).key == decide(each, rules_in_force).key
        assert len(rules_in_force.remembered) <= 10


# Blind


@pytest.mark.parametrize("ask", [decide, gist])
def test_a_blind_alert_is_about_the_monitoring_and_no_rule_sees_it(ask: object) -> None:
    labels = {
        "service": "pay",
        "severity": "critical",
        "client": "acme",
        "rulename": "Pay p95",
        "priority": "P1",
    }
    blind = alert({**labels, "alertname": "DatasourceNoData"}, blind=True)
    found = ask(blind, known())  # type: ignore[operator]
    assert decided(found) == {
        "rule": BLIND,
        "priority": "P2",
        "key": f"{BLIND}: client=acme, service=pay, rulename=Pay p95, datasource_uid=",
        "client": "acme",
        "service": "pay",
        "policy": "page",
        "plan": "",
        "page": True,
    }
    assert found.title == "Monitoring is blind: Pay p95 (DatasourceNoData)"
    seeing = alert({**labels, "alertname": "DatasourceNoData"})
    assert decide(seeing, known()).priority == "P1"


@pytest.mark.parametrize(
    ("labels", "key"),
    [
        ({"datasource_uid": "u1"}, f"{BLIND}: client=, service=, rulename=, datasource_uid=u1"),
        ({"client": "evil"}, f"{BLIND}: client=evil, service=, rulename=, datasource_uid="),
        ({}, f"{BLIND}: fingerprint=f"),
    ],
)
def test_each_look_that_is_broken_is_a_problem_of_its_own(labels: dict[str, str], key: str) -> None:
    assert decide(alert(labels, blind=True), known()).key == key


def test_a_blind_alert_pages_only_where_a_p2_does() -> None:
    silent = Known(rules=rules(), version="v", paging=frozenset({Priority.P1}))
    assert not decide(alert({}, blind=True), silent).page
