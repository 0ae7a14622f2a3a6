"""Test cases for triage rules: an alert, and what the rules must say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bridge.model import Alert, Labels, Verdict
from bridge.triage import Known, decide, trials

# What a case may expect, by the verdict's name for it.
FIELDS = {
    "rule": "rule",
    "priority": "priority",
    "client": "client",
    "service": "service",
    "key": "key",
    "policy": "policy",
    "failover": "plan",
    "page": "page",
}


@dataclass(frozen=True)
class Case:
    """An alert and what is expected of its verdict; only what is named is checked. `where` is file:line."""

    name: str
    where: str
    alert: Alert
    expect: Mapping[str, Any]
    route_labels: Labels = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Difference:
    """One part of a verdict that is not as expected."""

    field: str
    expected: Any
    got: Any


@dataclass(frozen=True)
class Failure:
    """A case whose verdict is not as expected, and why the verdict is as it is."""

    case: Case
    differences: tuple[Difference, ...]
    why: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """What became of all cases. `not_covered` names the rules that matched the alert of no case."""

    cases: int
    failures: tuple[Failure, ...]
    not_covered: tuple[str, ...]


def judge(cases: Sequence[Case], known: Known) -> Judgement:
    """Decide the alert of every case and compare."""
    reached: set[str] = set()
    failures: list[Failure] = []
    for case in cases:
        reached |= {trial.rule.name for trial in trials(case.alert.labels, known.rules) if trial.matched}
        verdict = decide(case.alert, known, case.route_labels)
        differences = _differences(case.expect, verdict)
        if differences:
            failures.append(Failure(case, differences, verdict.why))
    not_covered = tuple(rule.name for rule in known.rules if rule.name not in reached)
    return Judgement(len(cases), tuple(failures), not_covered)


def _differences(expect: Mapping[str, Any], verdict: Verdict) -> tuple[Difference, ...]:
    got = {name: getattr(verdict, attribute) for name, attribute in FIELDS.items()}
    return tuple(
        Difference(name, wanted, got[name]) for name, wanted in expect.items() if wanted != got[name]
    )
