"""What takes every alert is told: a rule in front of others, and rules under which all is urgent."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bridge.config import warnings
from bridge.matchers import parse
from bridge.model import Priority
from bridge.triage import Rule

P1, P2 = Priority.P1, Priority.P2


def rule(*match: str, priority: Priority | None = None, continues: bool = False) -> Rule:
    found = tuple(map(parse, match))
    return Rule(name="r", match=found, priority=priority, continues=continues, where="triage.yml:1")


DEFAULT = rule()
PAY = 'service="payments"'


@pytest.mark.parametrize(
    ("rules", "all_urgent"),
    [
        pytest.param([rule(priority=P1)], True, id="the only rule says P1"),
        pytest.param([rule(PAY, priority=P1), rule(priority=P1)], True, id="every rule says P1"),
        pytest.param([rule(PAY, priority=P1), DEFAULT], False, id="the default says nothing"),
        pytest.param([rule(PAY), rule(priority=P1)], False, id="one rule leaves it to the label"),
        pytest.param([rule(PAY, priority=P2), rule(priority=P1)], False, id="one rule says P2"),
        pytest.param(
            [rule(priority=P1, continues=True), rule(PAY, priority=P2), DEFAULT],
            True,
            id="what goes on says P1 first",
        ),
        pytest.param(
            [rule('x=~".*"', priority=P1, continues=True), DEFAULT], True, id="with a pattern for everything"
        ),
        pytest.param(
            [rule(PAY, priority=P1, continues=True), DEFAULT], False, id="what goes on says it of some"
        ),
        pytest.param([DEFAULT], False, id="nobody says anything"),
    ],
)
def test_a_warning_tells_that_every_alert_would_be_p1(rules: Sequence[Rule], *, all_urgent: bool) -> None:
    said = [text for text in warnings(tuple(rules)) if "every alert would be P1" in text]
    assert bool(said) is all_urgent
    assert all(text.startswith("triage.yml:1: ") for text in said)


@pytest.mark.parametrize(
    ("rules", "warned"),
    [
        pytest.param([rule('alertname=~".+"'), DEFAULT], True, id="any name"),
        pytest.param([rule('alertname!=""', 'x=~".*"'), DEFAULT], True, id="any name, and nothing more"),
        pytest.param([rule('alertname=~".+"', PAY), DEFAULT], False, id="any name of a service"),
        pytest.param([rule('alertname=~".+"', continues=True), DEFAULT], False, id="reading goes on"),
        pytest.param([rule('service=~".+"'), DEFAULT], False, id="any service: not every alert has one"),
        pytest.param([rule('severity!="info"'), DEFAULT], False, id="all but one"),
        pytest.param([rule('alertname=~"[A-Z].*"'), DEFAULT], False, id="some names"),
        pytest.param([DEFAULT], False, id="nothing stands behind it"),
    ],
)
def test_a_warning_tells_of_a_rule_that_leaves_nothing_to_those_behind_it(
    rules: Sequence[Rule], *, warned: bool
) -> None:
    said = [text for text in warnings(tuple(rules)) if "hardly ever match" in text]
    assert bool(said) is warned
