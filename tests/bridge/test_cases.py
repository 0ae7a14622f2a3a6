"""Judging rules by cases: what differs, why, and which rules no case reaches."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cases import FIELDS, Case, Difference, judge
from bridge.matchers import parse
from bridge.model import Alert, Priority
from bridge.triage import Known, Rule, Trigger
from tests.conftest import START

RULES = (
    Rule("adds a policy", (parse('client="acme"'),), policy="night", continues=True),
    Rule(
        "payments",
        (parse('service="payments"'),),
        priority=Priority.P1,
        incident_by=("client", "gateway"),
        failover="standby",
    ),
    Rule("never", (parse('service="none"'),)),
    Rule("default"),
)
KNOWN = Known(
    rules=RULES,
    version="1",
    clients=frozenset({"acme"}),
    triggers={"standby": Trigger(priority=Priority.P1)},
    default_policy="page",
    paging=frozenset({Priority.P1}),
)
PAYMENTS = {"alertname": "Down", "client": "acme", "service": "payments", "gateway": "alipay"}


def case(labels: dict[str, str], route_labels: dict[str, str] | None = None, **expect: Any) -> Case:
    alert = Alert(source="test", fingerprint="test", starts_at=START, labels=labels)
    return Case("a case", "t.yml:3", alert, expect, route_labels or {})


RIGHT = {
    "rule": "payments",
    "priority": Priority.P1,
    "client": "acme",
    "service": "payments",
    "key": "client=acme, gateway=alipay",
    "policy": "night",
    "failover": "standby",
    "page": True,
}


def test_a_case_that_names_everything_rightly_holds() -> None:
    assert set(RIGHT) == set(FIELDS)
    assert judge([case(PAYMENTS, **RIGHT)], KNOWN).failures == ()


@pytest.mark.parametrize("field", FIELDS)
def test_each_part_that_differs_is_told_with_what_came_instead(field: str) -> None:
    wrong = not RIGHT[field] if field == "page" else "something else"
    [failure] = judge([case(PAYMENTS, **{field: wrong})], KNOWN).failures
    assert failure.differences == (Difference(field, wrong, RIGHT[field]),)
    assert failure.why == ("rule adds a policy + payments",)


def test_what_is_not_named_is_not_checked() -> None:
    assert judge([case(PAYMENTS, page=True)], KNOWN).failures == ()


def test_route_labels_count_as_they_do_for_a_delivery() -> None:
    assert judge([case({}, {"priority": "P4", "client": "acme"}, priority="P4", client="acme")], KNOWN) == (
        judge([case({}, priority="P3")], KNOWN)
    )


def test_rules_that_no_case_reaches_are_named_also_those_that_only_add() -> None:
    assert judge([case({}, rule="default")], KNOWN).not_covered == ("adds a policy", "payments", "never")
    assert judge([case(PAYMENTS, page=True)], KNOWN).not_covered == ("never", "default")
