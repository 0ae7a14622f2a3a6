"""Which rules and plans take every alert: what can never match, and what `bridge check` warns of."""

from __future__ import annotations

from itertools import pairwise

from bridge import triage
from bridge.config import settings as shape
from bridge.config.references import Rules
from bridge.config.tree import Path_, Tree
from bridge.matchers import Matcher, narrow, takes_all, takes_any
from bridge.model import Priority


def hidden(rules: Rules, read: tuple[triage.Rule, ...]) -> None:
    """Note the rule that takes every alert although others stand behind it; `read` are the same rules."""
    for (rule_tree, path, written), rule, (_, _, after) in zip(rules, read, rules[1:], strict=False):
        # A matcher that could not be read is missing in `rule`, and would have taken something only.
        if len(written.match) == len(rule.match) and _takes_all(rule):
            rule_tree.wrong(path, f'matches every alert, so "{after.name}" and what follows can never match')
            return


def trigger(tree: Tree, path: Path_, on: shape.Trigger, match: tuple[Matcher, ...]) -> None:
    """Note a plan that whatever happens would start: no priority, and matchers that name nothing."""
    if on.priority is None and match and len(match) == len(on.match) and not narrow(match):
        tree.wrong(
            (*path, "match"),
            "names nothing, so alerts about anything else would start it too: name a priority, or the "
            'alerts that are meant, such as alertname="PaymentGatewayTimeout"',
        )


def warnings(rules: tuple[triage.Rule, ...]) -> list[str]:
    """What is allowed but hardly meant, each with its place."""
    found = [
        f'{rule.where}: rule "{rule.name}" matches every alert with a name, '
        f'so "{after.name}" and what follows will hardly ever match'
        for rule, after in pairwise(rules)
        if not rule.continues and all(takes_all(m) or _any_name(m) for m in rule.match)
    ]
    last = _always_p1(rules)
    if last is not None:
        found.append(
            f"{last.where}: every alert would be P1, so nothing is more urgent than anything else: "
            "give what can wait another priority"
        )
    return found


def _any_name(matcher: Matcher) -> bool:
    return matcher.name == "alertname" and takes_any(matcher)


def _takes_all(rule: triage.Rule) -> bool:
    return not rule.continues and all(map(takes_all, rule.match))


def _always_p1(rules: tuple[triage.Rule, ...]) -> triage.Rule | None:
    """The rule after which no alert is left that could be anything but P1, or None."""
    for rule in rules:
        says = rule.priority is Priority.P1
        if rule.priority is not None and not says:
            return None
        if all(map(takes_all, rule.match)) and (says or not rule.continues):
            return rule if says else None
        if not rule.continues and not says:
            return None
    return None
