"""Checks that need two places: every name that is used must be defined, every rule must end somewhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

from apscheduler.triggers.cron import CronTrigger

from bridge.config import settings as shape
from bridge.config.convert import suggestion
from bridge.config.tree import Path_, Tree
from bridge.matchers import BadMatcher, selector
from bridge.model import Priority

SHORTEST_HEARTBEAT = 10
_CYCLE_BEGINS = date(2000, 1, 1)
_CYCLE = 28 * 365 + 7  # days; leap years and weekdays come back together

Rules = list[tuple[Tree, Path_, shape.RuleSettings]]


def check(tree: Tree, found: dict[str, Any], rules: Rules, rule_trees: list[Tree]) -> None:
    """Note every name that leads nowhere in the trees."""
    _addresses(tree, found)
    _sources(tree, found)
    _links(tree, found)
    _priorities(tree, found)
    _people(tree, found)
    _policies(tree, found)
    _plans(tree, found)
    _triage(tree, rules, rule_trees)
    _figures(tree, found)
    for service, entry in found["services"].items():
        _known(
            tree, ("services", service, "failover"), entry.failover, _names(tree, "failover"), "failover plan"
        )
        for index, needed in enumerate(entry.depends_on):
            path = ("services", service, "depends_on", index)
            _known(tree, path, needed, _names(tree, "services"), "service")


def _names(tree: Tree, block: str) -> list[str]:
    """Names as written: an entry with a mistake of its own is still a name others may use."""
    value = tree.value.get(block)
    return list(value) if isinstance(value, dict) else []


def _known(tree: Tree, path: Path_, name: str, names: Iterable[str], what: str) -> None:
    names = list(names)
    if name and name not in names:
        tree.wrong(path, f'no {what} "{name}"{suggestion(name, names)}')


def _addresses(tree: Tree, found: dict[str, Any]) -> None:
    if found["url"] and not _is_address(found["url"]):
        tree.wrong(("url",), "expected an http or https address: how links in messages begin")
    if found["database"] and not found["database"].startswith(("sqlite:///", "postgresql+psycopg://")):
        tree.wrong(("database",), "expected sqlite:///FILE or postgresql+psycopg://…")


def _sources(tree: Tree, found: dict[str, Any]) -> None:
    """A heartbeat is fed by a source that has alerts; a routing key belongs to one source."""
    feeding = [name for name, typed in found["sources"].items() if typed.type != "heartbeat"]
    keys: dict[object, str] = {}
    for name, typed in found["sources"].items():
        path: Path_ = ("sources", name)
        if typed.type == "heartbeat":
            _heartbeat(tree, path, typed.settings, feeding)
        if typed.type == "pagerduty" and typed.settings.token is not None:
            first = keys.setdefault(typed.settings.token, name)
            if first != name:
                tree.wrong((*path, "token"), f'is the routing key of "{first}" already')


def _heartbeat(tree: Tree, path: Path_, given: Any, feeding: list[str]) -> None:
    if given.every.total_seconds() < SHORTEST_HEARTBEAT:
        tree.wrong(
            (*path, "every"),
            f"expected {SHORTEST_HEARTBEAT} seconds at least: lateness is looked for every 5",
        )
    _known(tree, (*path, "watches"), given.watches, feeding, "source with alerts")
    if given.watches and not given.match:
        tree.wrong((*path, "match"), "every alert would be a beat: name the one that always fires")
    if given.match and not given.watches:
        tree.wrong((*path, "match"), 'of which source? name it with "watches"')


def _figures(tree: Tree, found: dict[str, Any]) -> None:
    try:
        fires = _fires(CronTrigger.from_crontab(found["reports"].cron))
    except ValueError:
        tree.wrong(("reports", "cron"), 'expected five fields of cron such as "0 6 1 * *"')
    else:
        if not fires:
            tree.wrong(("reports", "cron"), "never fires: no month has such a day; for example 0 6 1 * *")
    for name, client in found["clients"].items():
        for key in ("selector", "host_selector"):
            _selector(tree, ("clients", name, "report", key), getattr(client.report, key))
        for service, percent in client.slo.items():
            if not 0 < percent < 100:
                tree.wrong(("clients", name, "slo", service), "expected a percentage between 0 and 100")


def _fires(cron: CronTrigger) -> bool:
    """Is there a day that all fields take, within the years after which weekdays and dates repeat?"""
    chosen = [field for field in cron.fields if field.name in ("month", "day", "day_of_week")]
    return any(
        all(field.get_next_value(day) == field.get_value(day) for field in chosen)
        for day in (_CYCLE_BEGINS + timedelta(days=number) for number in range(_CYCLE))
    )


def _selector(tree: Tree, path: Path_, text: str) -> None:
    """It is put between the braces of queries, where anything else could ask for other clients' series."""
    try:
        if text and not selector(text):
            tree.wrong(path, 'names no series: leave it out, or name them like client="acme"')
    except BadMatcher as error:
        tree.wrong(path, str(error))


def _links(tree: Tree, found: dict[str, Any]) -> None:
    """Addresses that are called are http or https; their text is not repeated, it may hold a secret."""
    places: list[tuple[Path_, str]] = [(("heartbeat_out",), found["heartbeat_out"])]
    for block in ("sources", "channels", "trackers"):
        for name, typed in found[block].items():
            places += [
                ((block, name, key), getattr(typed.settings, key, "")) for key in ("url", "prometheus")
            ]
            places += [((block, name, "api"), address) for address in getattr(typed.settings, "apis", ())]
    for name, plan in found["failover"].items():
        path: Path_ = ("failover", name)
        places.append(((*path, "prometheus"), plan.prometheus))
        for key, action in (("act", plan.act), ("rollback", plan.rollback)):
            places.append(((*path, key, "url"), getattr(action and action.settings, "url", "")))
        for block in ("precheck", "verify"):
            places += [
                ((*path, block, i, "http"), probe.http) for i, probe in enumerate(getattr(plan, block))
            ]
    for path, text in places:
        if text and not _is_address(text):
            tree.wrong(path, "expected an http or https address")


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _priorities(tree: Tree, found: dict[str, Any]) -> None:
    calendars = [*_names(tree, "calendars"), "always"]
    for name, entry in found["priorities"].items():
        _known(tree, ("priorities", name), name, list(Priority), "priority")
        _known(tree, ("priorities", name, "calendar"), entry.calendar, calendars, "calendar")


def _people(tree: Tree, found: dict[str, Any]) -> None:
    channels, people = _names(tree, "channels"), _names(tree, "responders")
    for name, responder in found["responders"].items():
        if name in channels:
            tree.wrong(
                ("responders", name), "a channel has the same name; a policy could not tell them apart"
            )
        if not responder.channels:
            tree.wrong(("responders", name, "channels"), "a responder without a channel cannot be paged")
        for index, channel in enumerate(responder.channels):
            _known(tree, ("responders", name, "channels", index), channel, channels, "channel")
    for name, schedule in found["schedules"].items():
        if not schedule.rotation.people:
            tree.wrong(("schedules", name, "rotation", "people"), "nobody would be on call")
        for index, person in enumerate(schedule.rotation.people):
            _known(tree, ("schedules", name, "rotation", "people", index), person, people, "responder")


def _policies(tree: Tree, found: dict[str, Any]) -> None:
    people = [*_names(tree, "responders"), *_names(tree, "channels")]
    schedules = _names(tree, "schedules")
    for name, policy in found["policies"].items():
        if not policy.steps:
            tree.wrong(("policies", name, "steps"), "a policy without steps pages nobody")
        if not 0 <= policy.repeat <= 100:
            tree.wrong(("policies", name, "repeat"), "expected 0 to 100")
        before = None
        for index, step in enumerate(policy.steps):
            path = ("policies", name, "steps", index)
            if before is not None and step.after < before:
                tree.wrong(
                    (*path, "after"), "earlier than the step before it; times count from the round's start"
                )
            before = step.after
            if not step.notify:
                tree.wrong((*path, "notify"), "tells nobody")
            for target in step.notify:
                if target.startswith("schedule:"):
                    _known(tree, (*path, "notify"), target.removeprefix("schedule:"), schedules, "schedule")
                else:
                    _known(tree, (*path, "notify"), target, people, "responder or channel")


def _plans(tree: Tree, found: dict[str, Any]) -> None:
    servers = [typed.settings.prometheus for typed in found["sources"].values() if typed.settings.prometheus]
    for name, plan in found["failover"].items():
        path: Path_ = ("failover", name)
        _known(tree, (*path, "service"), plan.service, _names(tree, "services"), "service")
        if not plan.verify:
            tree.wrong(
                (*path, "verify"), "a plan that is not verified cannot be trusted: name one probe at least"
            )
        if plan.on.priority is None and not plan.on.match:
            tree.wrong((*path, "on"), "would start for every incident: name a priority or matchers")
        for block in ("precheck", "verify"):
            for index, probe in enumerate(getattr(plan, block)):
                if bool(probe.http) == bool(probe.promql):
                    tree.wrong((*path, block, index), "a probe has either http or promql")
                if probe.promql and not (plan.prometheus or servers):
                    tree.wrong(
                        (*path, block, index), "no Prometheus to ask: give the plan or a source `prometheus`"
                    )


def _triage(tree: Tree, rules: Rules, rule_trees: list[Tree]) -> None:
    names: set[str] = set()
    for rule_tree, path, rule in rules:
        if rule.name in names:
            rule_tree.wrong((*path, "name"), f'a second rule named "{rule.name}"')
        names.add(rule.name)
        _known(rule_tree, (*path, "policy"), rule.policy, _names(tree, "policies"), "policy")
        _known(rule_tree, (*path, "failover"), rule.failover, _names(tree, "failover"), "failover plan")
        _known(rule_tree, (*path, "client"), rule.client, _names(tree, "clients"), "client")
    written = [len(rule_tree.value) for rule_tree in rule_trees if isinstance(rule_tree.value, list)]
    if len(written) < len(rule_trees) or not written or sum(written) > len(rules):
        return  # a rule with a mistake of its own may be the default
    if not any(not rule.match and not rule.continues for _, _, rule in rules):
        rule_trees[-1].wrong((), "a default rule is mandatory: end with a rule without `match`")
