"""Triage: an alert and the rules become a verdict that says why.

Rules are read in order and the first match wins. A rule with `continue: true` only adds what it says;
what an earlier rule said stands. Where no rule says otherwise, the labels `priority`, `client`,
`service` and the annotation or label `runbook_url` are honoured, the alert's own before the route's.

An alert that says the look at a service is broken is never the service's P1: no rule sees it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from bridge.matchers import Matcher
from bridge.model import Alert, Labels, Priority, Verdict
from bridge.text import one_line, visible, web_link

INCIDENT_BY = ("client", "service", "alertname")
BLIND_BY = ("client", "service", "rulename", "datasource_uid")
BLIND = "monitoring is blind"
_HONOURED = ("priority", "client", "service")
_MOST_REMEMBERED = 10_000
_LONGEST_KEY = 480  # characters; PostgreSQL's index rows end near 2,700 bytes


@dataclass(frozen=True)
class Rule:
    """One entry of triage.yml; None and empty mean "says nothing"."""

    name: str
    match: tuple[Matcher, ...] = ()
    priority: Priority | None = None
    client: str = ""
    service: str = ""
    title: str = ""
    incident_by: tuple[str, ...] = ()
    policy: str = ""
    failover: str = ""
    runbook: str = ""
    continues: bool = False
    where: str = ""


@dataclass(frozen=True)
class ServiceFacts:
    """What the configuration knows about a service."""

    runbook: str = ""
    plan: str = ""
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trigger:
    """Which alerts start a failover plan: all that is said must hold."""

    priority: Priority | None = None
    match: tuple[Matcher, ...] = ()

    def holds(self, priority: Priority, labels: Labels) -> bool:
        """Does an alert of this priority with these labels start the plan?"""
        return self.priority in (None, priority) and all(matcher.matches(labels) for matcher in self.match)


@dataclass(frozen=True)
class Known:
    """What triage may rely on besides the rules."""

    rules: tuple[Rule, ...]
    version: str
    clients: frozenset[str] = frozenset()
    services: Mapping[str, ServiceFacts] = field(default_factory=dict)
    triggers: Mapping[str, Trigger] = field(default_factory=dict)
    default_policy: str = ""
    paging: frozenset[Priority] = frozenset(Priority)

    @functools.cached_property
    def looked_at(self) -> tuple[str, ...]:
        """The labels that can make a difference to priority, key, client, service, policy or plan."""
        matchers = [m for rule in self.rules for m in rule.match]
        matchers += [m for trigger in self.triggers.values() for m in trigger.match]
        keys = [name for rule in self.rules for name in rule.incident_by]
        return tuple(dict.fromkeys([m.name for m in matchers] + keys + [*INCIDENT_BY, *_HONOURED]))

    @functools.cached_property
    def needs(self) -> Mapping[str, frozenset[str]]:
        """Every service that a service needs, directly or by way of others; a circle is no hindrance."""
        found: dict[str, frozenset[str]] = {}
        for name in self.services:
            reached: set[str] = set()
            ahead = [*self.services[name].depends_on]
            while ahead:
                needed = ahead.pop()
                if needed not in reached and needed != name:
                    reached.add(needed)
                    ahead += self.services.get(needed, ServiceFacts()).depends_on
            if reached:
                found[name] = frozenset(reached)
        return found

    @functools.cached_property
    def remembered(self) -> dict[object, Verdict | None]:
        """Verdicts by the labels looked at; None where the fingerprint itself makes a difference."""
        return {}


@dataclass(frozen=True)
class Trial:
    """One rule tried on one alert: which of its matchers failed."""

    rule: Rule
    failed: tuple[Matcher, ...]

    @property
    def matched(self) -> bool:
        """Every matcher held."""
        return not self.failed

    @property
    def nearly(self) -> bool:
        """Exactly one of several matchers failed: worth telling who asks why."""
        return len(self.failed) == 1 and len(self.rule.match) > 1


def decide(alert: Alert, known: Known, route_labels: Labels = MappingProxyType({})) -> Verdict:
    """What this alert means. Never fails: the configuration check guarantees a default rule."""
    # An empty label is no label, so it hides nothing that the route says.
    told = {**route_labels, **{name: value for name, value in alert.labels.items() if value}}
    if alert.blind:
        return _blind(alert, told, known)
    rule, names = _merged(alert.labels, known.rules)
    why = [f"rule {' + '.join(names)}"]
    priority = rule.priority or _priority(told, why)
    client = rule.client or _client(told, known, why)
    service = rule.service or told.get("service", "")
    facts = known.services.get(service, ServiceFacts())
    runbook = rule.runbook or web_link(alert.annotations.get("runbook_url") or told.get("runbook_url", ""))
    return Verdict(
        rule=names[-1],
        priority=priority,
        client=client,
        service=one_line(service, 100),
        key=incident_key(alert, rule.incident_by or INCIDENT_BY, client, service),
        title=_title(rule.title, alert),
        policy=rule.policy or known.default_policy,
        plan=_plan(rule.failover or facts.plan, priority, alert.labels, known, why),
        runbook=runbook or facts.runbook,
        page=priority in known.paging,
        why=tuple(why),
    )


def gist(alert: Alert, known: Known, route_labels: Labels = MappingProxyType({})) -> Verdict:
    """As `decide`, but title and runbook may be those of another alert with the same labels that matter.

    A storm is thousands of alerts that differ in a host name no rule looks at: they are decided once.
    """
    if alert.blind:
        return decide(alert, known, route_labels)
    mark: object = tuple(map(alert.labels.get, known.looked_at))
    if route_labels:
        mark = (mark, tuple(sorted(route_labels.items())))
    remembered = known.remembered
    found = remembered.get(mark)
    if found is None:
        found = decide(alert, known, route_labels)
        if mark not in remembered:
            if len(remembered) >= _MOST_REMEMBERED:
                remembered.clear()
            remembered[mark] = None if found.key.startswith("fingerprint=") else found
    return found


def trials(labels: Labels, rules: Sequence[Rule]) -> list[Trial]:
    """Every rule tried, in order, up to the one that decided; to explain, `decide` asks for less."""
    tried: list[Trial] = []
    for rule in rules:
        tried.append(Trial(rule, tuple(m for m in rule.match if not m.matches(labels))))
        if tried[-1].matched and not rule.continues:
            break
    return tried


def incident_key(alert: Alert, by: Sequence[str], client: str, service: str) -> str:
    """The identity of the problem: the labels a rule names, as text a person can read."""
    told = {**alert.labels, "client": client or alert.labels.get("client", ""), "service": service}
    parts = [(name, told.get(name, "")) for name in by]
    if not any(value for _, value in parts):
        # Alerts that share none of the labels are not one problem.
        parts = [("fingerprint", alert.fingerprint)]
    key = ", ".join(f"{name}={_in_key(value)}" for name, value in parts)
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[: _LONGEST_KEY - 65]}#{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()}"


def _in_key(value: str) -> str:
    """The value as it is, or quoted where two different alerts could otherwise end in the same key."""
    plain = value.isprintable() and value == value.strip() and not any(mark in value for mark in ',="\\')
    return value if plain else visible(json.dumps(value, ensure_ascii=False))


def _merged(labels: Labels, rules: Sequence[Rule]) -> tuple[Rule, list[str]]:
    hits: list[Rule] = []
    for rule in rules:
        if all(matcher.matches(labels) for matcher in rule.match):
            hits.append(rule)
            if not rule.continues:
                break
    if len(hits) == 1:
        return hits[0], [hits[0].name]

    def first(name: str) -> object:
        return next((getattr(rule, name) for rule in hits if getattr(rule, name)), None)

    says = {
        name: value
        for name in ("priority", "client", "service", "title", "incident_by", "policy", "failover", "runbook")
        if (value := first(name)) is not None
    }
    return Rule(name=hits[-1].name, **says), [rule.name for rule in hits]  # type: ignore[arg-type]


def _blind(alert: Alert, told: Labels, known: Known) -> Verdict:
    """Somebody must mend the monitoring; of the service itself nothing is known."""
    why = [BLIND]
    client = _client(told, known, why)
    service = told.get("service", "")
    about = one_line(alert.labels.get("rulename") or alert.name, 100)
    return Verdict(
        rule=BLIND,
        priority=Priority.P2,
        client=client,
        service=one_line(service, 100),
        key=f"{BLIND}: {incident_key(alert, BLIND_BY, client, service)}",
        title=one_line(f"Monitoring is blind: {about} ({alert.name})"),
        policy=known.default_policy,
        runbook=web_link(alert.annotations.get("runbook_url", "")),
        page=Priority.P2 in known.paging,
        why=tuple(why),
    )


def _plan(name: str, priority: Priority, labels: Labels, known: Known, why: list[str]) -> str:
    if name and not known.triggers.get(name, Trigger()).holds(priority, labels):
        why.append(f"failover {name} is not triggered by this alert")
        return ""
    return name


def _priority(told: Labels, why: list[str]) -> Priority:
    label = told.get("priority", "").upper()
    if label in Priority.__members__:
        why.append(f"priority {label} from the label")
        return Priority(label)
    why.append("no rule and no label gives a priority: P3")
    return Priority.P3


def _client(told: Labels, known: Known, why: list[str]) -> str:
    name = told.get("client", "")
    if name and name not in known.clients:
        why.append(f"client {one_line(name, 60)!r} is not in the configuration")
        return ""
    return name


def _title(wanted: str, alert: Alert) -> str:
    told = (wanted, alert.annotations.get("summary", ""), alert.annotations.get("title", ""), alert.name)
    return next((line for line in map(one_line, told) if line), alert.fingerprint)
