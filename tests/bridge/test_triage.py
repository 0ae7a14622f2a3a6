"""Triage: which rule decides, what it adds, and which alerts are one problem."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.matchers import parse
from bridge.model import Alert, Priority, Verdict
from bridge.triage import Known, Rule, ServiceFacts, Trigger, decide, incident_key, trials

BEGAN = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
DEFAULT = Rule(name="default")


def alert(annotations: dict[str, str] | None = None, **labels: str) -> Alert:
    return Alert(
        source="main", fingerprint="f1", starts_at=BEGAN, labels=labels, annotations=annotations or {}
    )


def rule(name: str, *match: str, **says: object) -> Rule:
    return Rule(name=name, match=tuple(map(parse, match)), **says)  # type: ignore[arg-type]


def known(*rules: Rule, **facts: object) -> Known:
    facts.setdefault("clients", frozenset({"acme", "nord"}))
    return Known(rules=(*rules, DEFAULT), version="v1", **facts)  # type: ignore[arg-type]


def verdict(told: Alert, *rules: Rule, route: dict[str, str] | None = None, **facts: object) -> Verdict:
    return decide(told, known(*rules, **facts), route or {})


PAY = rule("pay", 'service="payments"', priority=Priority.P1, policy="page")
CRITICAL = rule(
    "critical", 'severity="critical"', priority=Priority.P2, policy="office", runbook="https://r/c"
)
TEAM = rule("team", 'service="payments"', policy="team", continues=True)


@pytest.mark.parametrize(
    ("labels", "rules", "decided", "priority", "policy"),
    [
        pytest.param({"service": "payments"}, [PAY], "pay", "P1", "page", id="a rule matches"),
        pytest.param({"service": "orders"}, [PAY], "default", "P3", "first", id="none does: the default"),
        pytest.param(
            {"service": "payments", "severity": "critical"},
            [PAY, CRITICAL],
            "pay",
            "P1",
            "page",
            id="the first of two wins",
        ),
        pytest.param(
            {"service": "payments", "severity": "critical"},
            [CRITICAL, PAY],
            "critical",
            "P2",
            "office",
            id="order in the file is the order",
        ),
        pytest.param(
            {"service": "payments", "severity": "critical"},
            [TEAM, CRITICAL],
            "critical",
            "P2",
            "team",
            id="a continuing rule adds, and what it said stands",
        ),
        pytest.param(
            {"severity": "critical"},
            [TEAM, CRITICAL],
            "critical",
            "P2",
            "office",
            id="a continuing rule that does not match adds nothing",
        ),
        pytest.param({"service": "payments"}, [TEAM], "default", "P3", "team", id="continue to the default"),
    ],
)
def test_the_first_rule_that_holds_decides(
    labels: dict[str, str], rules: list[Rule], decided: str, priority: str, policy: str
) -> None:
    found = verdict(alert(**labels), *rules, default_policy="first")
    assert (found.rule, found.priority, found.policy) == (decided, priority, policy)


def test_the_reason_names_every_rule_that_took_part() -> None:
    told = alert(service="payments", severity="critical")
    assert verdict(told, TEAM, CRITICAL).why[0] == "rule team + critical"


@pytest.mark.parametrize(
    ("labels", "route", "priority", "client", "service"),
    [
        pytest.param({"priority": "P2"}, {}, "P2", "", "", id="the alert's own priority"),
        pytest.param({"priority": "p1"}, {}, "P1", "", "", id="small letters"),
        pytest.param({"priority": "high"}, {}, "P3", "", "", id="no priority of ours: P3"),
        pytest.param({}, {"priority": "P1"}, "P1", "", "", id="the route's, where the alert has none"),
        pytest.param(
            {"priority": "P4"}, {"priority": "P1"}, "P4", "", "", id="the alert's before the route's"
        ),
        pytest.param({"priority": ""}, {"priority": "P1"}, "P1", "", "", id="an empty label is no label"),
        pytest.param({"client": "acme"}, {}, "P3", "acme", "", id="client"),
        pytest.param({"client": "evil"}, {}, "P3", "", "", id="a client nobody configured is no client"),
        pytest.param(
            {}, {"client": "nord", "service": "x"}, "P3", "nord", "x", id="client and service by route"
        ),
        pytest.param({"service": "a\nb"}, {}, "P3", "", "a b", id="a service is one line"),
    ],
)
def test_labels_count_where_no_rule_says_otherwise(
    labels: dict[str, str], route: dict[str, str], priority: str, client: str, service: str
) -> None:
    found = verdict(alert(**labels), route=route)
    assert (found.priority, found.client, found.service) == (priority, client, service)


def test_what_a_rule_says_stands_against_labels() -> None:
    says = rule("says", 'x="1"', priority=Priority.P1, client="acme", service="payments")
    found = verdict(alert(x="1", priority="P4", client="nord", service="orders"), says)
    assert (found.priority, found.client, found.service) == ("P1", "acme", "payments")


def test_matchers_see_the_alert_and_not_the_route() -> None:
    assert verdict(alert(), PAY, route={"service": "payments"}).rule == "default"


@pytest.mark.parametrize(
    ("labels", "annotations", "runbook"),
    [
        pytest.param({}, {"runbook_url": "https://r/a"}, "https://r/a", id="annotation"),
        pytest.param({"runbook_url": "https://r/l"}, {}, "https://r/l", id="label"),
        pytest.param(
            {}, {"runbook_url": "javascript://r/%0aalert(1)"}, "https://r/svc", id="not even with a host"
        ),
        pytest.param(
            {}, {"runbook_url": "javascript:alert(1)"}, "https://r/svc", id="no script becomes a link"
        ),
        pytest.param({}, {"runbook_url": "https://r/a\nb"}, "https://r/svc", id="no line break in a link"),
        pytest.param({}, {"runbook_url": "http://[::1"}, "https://r/svc", id="half an address"),
        pytest.param({}, {"runbook_url": "https://a:b@r/"}, "https://r/svc", id="no password in a link"),
        pytest.param({}, {"runbook_url": "https:///x"}, "https://r/svc", id="no host"),
        pytest.param({}, {}, "https://r/svc", id="the service's, where nothing else says"),
        pytest.param(
            {"severity": "critical"}, {"runbook_url": "https://r/a"}, "https://r/c", id="the rule's first"
        ),
    ],
)
def test_the_runbook_is_the_nearest_safe_link(
    labels: dict[str, str], annotations: dict[str, str], runbook: str
) -> None:
    services = {"svc": ServiceFacts(runbook="https://r/svc")}
    found = verdict(alert(annotations, service="svc", **labels), CRITICAL, services=services)
    assert found.runbook == runbook


@pytest.mark.parametrize(
    ("labels", "annotations", "title"),
    [
        pytest.param({"alertname": "Down"}, {"summary": "It is down"}, "It is down", id="summary"),
        pytest.param({"alertname": "Down"}, {"title": "Grafana says"}, "Grafana says", id="title"),
        pytest.param({"alertname": "Down"}, {}, "Down", id="name"),
        pytest.param({}, {}, "f1", id="fingerprint: an alertname is not promised"),
        pytest.param({"alertname": "Down"}, {"summary": " \n "}, "Down", id="a blank summary says nothing"),
        pytest.param({"alertname": " "}, {}, "f1", id="nor does a blank name"),
        pytest.param({}, {"summary": "a\nb\u202ec"}, "a b‹U+202E›c", id="one clean line"),
    ],
)
def test_a_title_is_never_empty_and_one_line(
    labels: dict[str, str], annotations: dict[str, str], title: str
) -> None:
    assert verdict(alert(annotations, **labels)).title == title


def test_a_rule_may_give_the_title() -> None:
    assert verdict(alert({"summary": "s"}, x="1"), rule("r", 'x="1"', title="Blind")).title == "Blind"


@pytest.mark.parametrize(
    ("by", "labels", "key"),
    [
        pytest.param((), {}, "fingerprint=f1", id="nothing in common: each series its own problem"),
        pytest.param((), {"alertname": "A"}, "client=, service=, alertname=A", id="default labels"),
        pytest.param(("gateway",), {"gateway": "北付"}, "gateway=北付", id="Chinese as it is"),
        pytest.param(("gateway",), {}, "fingerprint=f1", id="the named label is missing"),
        pytest.param(("a", "b"), {"b": "2"}, "a=, b=2", id="one of two is missing"),
        pytest.param(
            ("client",), {"client": "evil"}, "client=evil", id="an unknown client is still told apart"
        ),
        pytest.param(("a",), {"a": "x, b=y"}, 'a="x, b=y"', id="quoted where it would look like two"),
        pytest.param(("a",), {"a": "x\ny"}, r'a="x\ny"', id="line breaks are told apart from spaces"),
        pytest.param(("a",), {"a": "\u202ex"}, 'a="‹U+202E›x"', id="nothing hidden in a key"),
    ],
)
def test_the_incident_key_names_the_problem(by: tuple[str, ...], labels: dict[str, str], key: str) -> None:
    by_rule = rule("r", incident_by=by)
    assert decide(alert(**labels), Known(rules=(by_rule,), version="v")).key == key


def test_long_values_give_short_keys_that_still_differ() -> None:
    keys = {incident_key(alert(a="x" * 5000 + end), ("a",), "", "") for end in "123"}
    assert len(keys) == 3
    # 480 characters of at most 4 bytes are 1,920, under the 2,700 of a PostgreSQL index row
    assert max(map(len, keys)) == 480


value = st.text(alphabet='ab,= "\\\n\t支', max_size=6)


@given(value, value, value, value)
def test_different_labels_never_share_a_key(a: str, b: str, c: str, d: str) -> None:
    first = incident_key(alert(a=a, b=b), ("a", "b"), "", "")
    second = incident_key(alert(a=c, b=d), ("a", "b"), "", "")
    assert (first == second) is ((a, b) == (c, d))


@pytest.mark.parametrize(
    ("priority", "match", "labels", "plan"),
    [
        pytest.param(Priority.P1, (), {}, "standby", id="priority fits"),
        pytest.param(Priority.P2, (), {}, "", id="priority does not"),
        pytest.param(None, ('g="a"',), {"g": "a"}, "standby", id="labels fit"),
        pytest.param(None, ('g="a"',), {"g": "b"}, "", id="labels do not"),
        pytest.param(Priority.P1, ('g="a"',), {"g": "b"}, "", id="all that is said must hold"),
    ],
)
def test_a_plan_starts_only_when_its_trigger_holds(
    priority: Priority | None, match: tuple[str, ...], labels: dict[str, str], plan: str
) -> None:
    found = verdict(
        alert(service="payments", **labels),
        PAY,
        services={"payments": ServiceFacts(plan="standby")},
        triggers={"standby": Trigger(priority, tuple(map(parse, match)))},
    )
    assert found.plan == plan
    assert any("not triggered" in why for why in found.why) is not bool(plan)


def test_the_rules_plan_goes_before_the_services() -> None:
    says = rule("r", 'service="payments"', failover="other")
    services = {"payments": ServiceFacts(plan="standby")}
    assert verdict(alert(service="payments"), says, services=services).plan == "other"


def test_only_priorities_that_page_page() -> None:
    paging = frozenset({Priority.P1})
    assert verdict(alert(service="payments"), PAY, paging=paging).page
    assert not verdict(alert(), PAY, paging=paging).page


def test_who_asks_why_sees_every_rule_up_to_the_one_that_decided() -> None:
    near = rule("near", 'service="payments"', 'region="eu"')
    tried = trials({"service": "payments"}, [near, PAY, DEFAULT])
    assert [(trial.rule.name, trial.matched, trial.nearly) for trial in tried] == [
        ("near", False, True),  # one of two matchers failed
        ("pay", True, False),
    ]
    assert [str(matcher) for matcher in tried[0].failed] == ['region="eu"']


def test_a_rule_is_left_at_its_first_matcher_that_fails() -> None:
    asked: list[str] = []

    class Labels(dict[str, str]):
        def get(self, name: str, *default: object) -> str:  # type: ignore[override]
            asked.append(name)
            return super().get(name, "")

    told = msgspec.structs.replace(alert(), labels=Labels(service="orders"))
    assert verdict(told, rule("r", 'service="payments"', 'region="eu"', 'zone="a"')).rule == "default"
    assert "service" in asked
    assert not {"region", "zone"} & set(asked)


@given(
    st.dictionaries(st.text(max_size=10), st.text(max_size=30), max_size=5),
    st.dictionaries(st.sampled_from(["summary", "title", "runbook_url"]), st.text(max_size=30)),
)
def test_no_labels_and_annotations_whatever_make_triage_fail(
    labels: dict[str, str], annotations: dict[str, str]
) -> None:
    told = Alert(source="m", fingerprint="f", starts_at=BEGAN, labels=labels, annotations=annotations)
    found = verdict(told, PAY, CRITICAL)
    assert found.title
    assert found.key
