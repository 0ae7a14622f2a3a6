"""Checked settings become the pure objects that decide: rules, calendars, rotations, policies, terms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays

from bridge import matchers, oncall, sla, triage
from bridge.config import reach
from bridge.config import settings as shape
from bridge.config.references import Rules
from bridge.config.tree import Path_, Tree
from bridge.egress import Network
from bridge.model import Policy, Priority, Step, Term

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TARGETS = ("respond", "restore", "plan", "fix")


@dataclass(frozen=True)
class WatchedHeartbeat:
    """A heartbeat that an alert feeds: one of the source `watches` that fires and matches is a beat."""

    name: str
    watches: str
    match: tuple[matchers.Matcher, ...]
    every: timedelta
    grace: timedelta


@dataclass(frozen=True)
class Config:
    """Everything that was configured, checked, and the pure objects made of it."""

    url: str
    database: str
    clients: Mapping[str, shape.Client]
    services: Mapping[str, shape.Service]
    sources: Mapping[str, shape.Typed]
    channels: Mapping[str, shape.Typed]
    trackers: Mapping[str, shape.Typed]
    plans: Mapping[str, shape.PlanSettings]
    calendars: Mapping[str, sla.Calendar]
    terms: Mapping[Priority, tuple[Term, ...]]
    policies: Mapping[str, Policy]
    directory: oncall.Directory
    known: triage.Known
    rule_files: tuple[Path, ...] = ()
    reports: shape.Reports = field(default_factory=shape.Reports)
    intake: shape.Intake = field(default_factory=shape.Intake)
    web: shape.Web = field(default_factory=shape.Web)
    retention: shape.Retention = field(default_factory=shape.Retention)
    heartbeat_out: str = ""
    watched: tuple[WatchedHeartbeat, ...] = ()
    allow: tuple[Network, ...] = ()
    version: str = ""
    people: Mapping[str, shape.ResponderSettings] = field(default_factory=dict)


def config(found: dict[str, Any], rules: Rules, version: str, tree: Tree) -> Config | None:
    """The whole Config; mistakes in values (zones, hours, matchers) are noted, then it is None."""
    calendars = {name: _calendar(tree, name, entry) for name, entry in found["calendars"].items()}
    calendars.setdefault("always", sla.Calendar())
    schedules = {name: _rotation(tree, name, entry.rotation) for name, entry in found["schedules"].items()}
    for name, client in found["clients"].items():
        _zone(tree, ("clients", name, "time_zone"), client.time_zone)
    for name, plan in found["failover"].items():
        on: Path_ = ("failover", name, "on")
        reach.trigger(tree, on, plan.on, _matchers(tree, (*on, "match"), plan.on.match))
    watched = tuple(_watched(tree, typed) for typed in found["sources"].values() if _watches(typed))
    read_rules = tuple(_rule(rule_tree, path, rule) for rule_tree, path, rule in rules)
    reach.hidden(rules, read_rules)
    if tree.problems or any(rule_tree.problems for rule_tree, _, _ in rules):
        return None
    return Config(
        url=found["url"].rstrip("/"),
        database=found["database"],
        clients=found["clients"],
        services=found["services"],
        sources=found["sources"],
        channels=found["channels"],
        trackers=found["trackers"],
        plans=found["failover"],
        calendars={name: calendar for name, calendar in calendars.items() if calendar},
        terms={Priority(name): _terms(entry) for name, entry in found["priorities"].items()},
        policies={name: _policy(name, entry) for name, entry in found["policies"].items()},
        directory=oncall.Directory(
            responders={
                name: oncall.Responder(name, tuple(person.channels), person.language)
                for name, person in found["responders"].items()
            },
            schedules={name: rotation for name, rotation in schedules.items() if rotation},
            channels=frozenset(found["channels"]),
        ),
        known=_known(found, read_rules, version),
        rule_files=found["triage"],
        reports=found["reports"],
        intake=found["intake"],
        web=found["web"],
        retention=found["retention"],
        heartbeat_out=found["heartbeat_out"],
        watched=watched,
        allow=found["allow"],
        version=version,
        people=found["responders"],
    )


def _known(found: dict[str, Any], rules: tuple[triage.Rule, ...], version: str) -> triage.Known:
    return triage.Known(
        rules=rules,
        version=version,
        clients=frozenset(found["clients"]),
        services={
            name: triage.ServiceFacts(entry.runbook, entry.failover, tuple(entry.depends_on))
            for name, entry in found["services"].items()
        },
        triggers={
            name: triage.Trigger(plan.on.priority, tuple(map(matchers.parse, plan.on.match)))
            for name, plan in found["failover"].items()
        },
        default_policy=next(iter(found["policies"]), ""),
        paging=frozenset(
            priority
            for priority in Priority
            if (entry := found["priorities"].get(priority.value)) is not None and entry.page
        ),
    )


def _watches(typed: shape.Typed) -> bool:
    return typed.type == "heartbeat" and bool(typed.settings.watches)


def _watched(tree: Tree, typed: shape.Typed) -> WatchedHeartbeat:
    given = typed.settings
    match = _matchers(tree, ("sources", typed.name, "match"), given.match)
    return WatchedHeartbeat(typed.name, given.watches, match, given.every, given.grace)


def _rule(rule_tree: Tree, path: Path_, rule: shape.RuleSettings) -> triage.Rule:
    return triage.Rule(
        name=rule.name,
        match=_matchers(rule_tree, (*path, "match"), rule.match),
        priority=rule.priority,
        client=rule.client,
        service=rule.service,
        title=rule.title,
        incident_by=tuple(rule.incident_by),
        policy=rule.policy,
        failover=rule.failover,
        runbook=rule.runbook,
        continues=rule.continues,
        where=f"{rule_tree.file}:{rule_tree.line(path)}",
    )


def _matchers(tree: Tree, path: Path_, texts: Sequence[str]) -> tuple[matchers.Matcher, ...]:
    """Those that can be read; the others are noted as mistakes."""
    found: list[matchers.Matcher] = []
    for index, text in enumerate(texts):
        try:
            found.append(matchers.parse(text))
        except matchers.BadMatcher as error:
            tree.wrong((*path, index), str(error))
    return tuple(found)


def _terms(entry: shape.PriorityTerms) -> tuple[Term, ...]:
    return tuple(
        Term(target=target, seconds=length.total_seconds(), calendar=entry.calendar)
        for target in _TARGETS
        if (length := getattr(entry, target)) is not None
    )


def _policy(name: str, entry: shape.PolicySettings) -> Policy:
    steps = tuple(Step(after=step.after.total_seconds(), notify=tuple(step.notify)) for step in entry.steps)
    return Policy(name=name, steps=steps, repeat=entry.repeat)


def _zone(tree: Tree, path: Path_, name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        tree.wrong(path, f'no time zone "{name}"; write it like Asia/Shanghai')
        return None


def _rotation(tree: Tree, name: str, entry: shape.RotationSettings) -> oncall.Rotation | None:
    path: Path_ = ("schedules", name, "rotation")
    zone = _zone(tree, (*path, "time_zone"), entry.time_zone)
    start: datetime | None = None
    try:
        start = datetime.fromisoformat(entry.start)
    except ValueError:
        tree.wrong((*path, "from"), f'"{entry.start}" is not a moment such as 2026-01-05T09:00')
    if start is not None and start.tzinfo is not None:
        tree.wrong((*path, "from"), "is wall-clock time of time_zone: write it without an offset")
    if entry.every.total_seconds() < 60:
        tree.wrong((*path, "every"), "turns shorter than a minute cannot be kept")
        return None
    if zone is None or start is None:
        return None
    return oncall.Rotation(tuple(entry.people), entry.every, start, zone)


def _calendar(tree: Tree, name: str, entry: shape.CalendarSettings) -> sla.Calendar | None:
    path: Path_ = ("calendars", name)
    zone = _zone(tree, (*path, "time_zone"), entry.time_zone)
    days = _days(tree, (*path, "days"), entry.days)
    hours = _hours(tree, (*path, "hours"), entry.hours)
    workday = workdays(_known_country(tree, (*path, "holidays"), entry.holidays), days)
    if zone is None or (entry.hours and hours is None):
        return None
    opens, closes = hours or (None, None)
    if (entry.holidays or len(days) < 7) and opens is None:
        tree.wrong(path, 'days and holidays need "hours", for example "09:00-18:00"')
    return sla.Calendar(zone, days, opens, closes, workday)


def _days(tree: Tree, path: Path_, text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            tree.wrong(path, f'"{text}" is not a list of days such as mon-fri or mon,wed,fri')
            return frozenset()
        low, high = _DAYS.index(first), _DAYS.index(last or first)
        found |= {number % 7 for number in range(low, high + 1 if high >= low else high + 8)}
    return frozenset(found)


def _hours(tree: Tree, path: Path_, text: str) -> tuple[time, time] | None:
    if not text:
        return None
    opens, _, closes = text.partition("-")
    try:
        hours = time.fromisoformat(opens.strip()), time.fromisoformat(closes.strip())
    except ValueError:
        hours = None
    if hours is None or any(hour.tzinfo for hour in hours) or hours[0] >= hours[1]:
        tree.wrong(path, f'"{text}" is not a span of hours such as 09:00-18:00')
        return None
    return hours


def _known_country(tree: Tree, path: Path_, country: str) -> str:
    if country and country not in holidays.list_supported_countries():
        tree.wrong(path, f'no holidays known for "{country}"; use a country code such as CN')
        return ""
    return country


def workdays(country: str, days: frozenset[int]) -> Callable[[date], bool] | None:
    """Working days of a country; `holidays` knows the Chinese make-up workdays too."""
    if not country:
        return None

    @functools.cache
    def of_year(year: int) -> holidays.HolidayBase:
        return holidays.country_holidays(country, years=year)

    def is_workday(day: date) -> bool:
        known = of_year(day.year)
        made_up = known.is_weekend(day) and known.is_working_day(day)
        return made_up or (day.weekday() in days and day not in known)

    return is_workday
