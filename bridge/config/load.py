"""Reading the configuration: every block to its struct, every name to what it names."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bridge.config import build, references
from bridge.config import settings as shape
from bridge.config.build import Config
from bridge.config.convert import convert, suggestion
from bridge.config.tree import Path_, Problem, Tree, read
from bridge.egress import Network

Families = Mapping[str, Mapping[str, type[msgspec.Struct]]]

_BLOCKS: dict[str, type[Any]] = {
    "clients": shape.Client,
    "services": shape.Service,
    "priorities": shape.PriorityTerms,
    "calendars": shape.CalendarSettings,
    "responders": shape.ResponderSettings,
    "schedules": shape.Schedule,
    "policies": shape.PolicySettings,
    "failover": shape.PlanSettings,
}
_TYPED = ("sources", "channels", "trackers")
_SINGLE: dict[str, type[Any]] = {
    "reports": shape.Reports,
    "egress": shape.Egress,
    "intake": shape.Intake,
    "retention": shape.Retention,
    "web": shape.Web,
}
_TEXT = ("url", "database", "heartbeat_out")
_NEEDED = ("url", "database", "sources", "clients", "priorities", "triage", "policies", "channels")
KEYS = (*_BLOCKS, *_TYPED, *_SINGLE, *_TEXT, "triage")


class ConfigError(Exception):
    """The configuration has mistakes; `problems` names every one with file, line and path."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def load(
    file: Path,
    families: Families,
    environment: Mapping[str, str] = os.environ,
    rules_from: Sequence[Path] = (),
) -> Config:
    """Read and check a configuration; raises ConfigError with all its mistakes.

    `rules_from` are read instead of the files under `triage`, and checked against the same configuration.
    """
    tree = read(file, environment)
    if not isinstance(tree.value, dict):
        if not tree.problems:
            tree.wrong((), "is empty or not a block of settings")
        raise ConfigError(tree.problems)
    for key in tree.value:
        if key not in KEYS:
            tree.wrong((key,), f"there is no such setting{suggestion(key, KEYS)}")
    for key in _NEEDED:
        if not tree.value.get(key):
            tree.wrong((), f'"{key}" is missing')
    found = _blocks(tree, families)
    found["triage"] = tuple(rules_from) or _rule_files(tree, file.parent)
    rules, rule_trees = _rules(tree, found["triage"], environment, named=not rules_from)
    references.check(tree, found, rules, rule_trees)
    config = build.config(found, rules, _version((tree, *rule_trees)), tree)
    problems = [problem for each in (tree, *rule_trees) for problem in each.problems]
    if problems or config is None:
        raise ConfigError(sorted(set(problems), key=_place))
    return config


def _blocks(tree: Tree, families: Families) -> dict[str, Any]:
    """Every block as typed settings; entries with mistakes are left out but their names stay known."""
    found: dict[str, Any] = {}
    for key in _TEXT:
        value = tree.value.get(key, "")
        if not isinstance(value, str):
            tree.wrong((key,), "expected text")
            value = ""
        found[key] = value
    for key, kind in _SINGLE.items():
        found[key] = convert(tree, (key,), _block(tree.value.get(key)), kind) or kind()
    for key, kind in _BLOCKS.items():
        found[key] = {}
        for name, value in _entries(tree, key).items():
            whole = _with_actions(tree, (key, name), value, families) if key == "failover" else value
            entry = convert(tree, (key, name), whole, kind)
            if entry is not None:
                found[key][name] = entry
    for key in _TYPED:
        found[key] = {}
        for name, value in _entries(tree, key).items():
            typed = _typed(tree, (key, name), value, families[key], name)
            if typed is not None:
                found[key][name] = typed
    found["allow"] = _networks(tree, found["egress"])
    return found


def _entries(tree: Tree, key: str) -> dict[str, Any]:
    value = tree.value.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        tree.wrong((key,), "expected a block: name: {…}")
        return {}
    return {name: _block(entry) for name, entry in value.items()}


def _block(value: Any) -> Any:
    """`name:` with nothing behind it is a block without settings."""
    return {} if value is None else value


def _typed(
    tree: Tree, path: Path_, value: Any, kinds: Mapping[str, type[msgspec.Struct]], name: str
) -> shape.Typed | None:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        tree.wrong(path, f'"type" is missing; one of: {", ".join(sorted(kinds))}')
        return None
    kind = kinds.get(value["type"])
    if kind is None:
        near = suggestion(value["type"], kinds) or f"; there are {', '.join(sorted(kinds))}"
        tree.wrong((*path, "type"), f'there is no type "{value["type"]}"{near}')
        return None
    rest = {key: entry for key, entry in value.items() if key != "type"}
    settings = convert(tree, path, rest, kind)
    return None if settings is None else shape.Typed(name, value["type"], settings)


def _with_actions(tree: Tree, path: Path_, value: Any, families: Families) -> Any:
    """A plan's `act` and `rollback` are members of the actions family."""
    if not isinstance(value, dict):
        return value
    value = dict(value)
    for key in ("act", "rollback"):
        if value.get(key) is not None:
            typed = _typed(tree, (*path, key), value[key], families["actions"], key)
            value[key] = typed or shape.Typed(key, "", None)
    return value


def _networks(tree: Tree, egress: shape.Egress) -> tuple[Network, ...]:
    networks: list[Network] = []
    for index, text in enumerate(egress.allow):
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            tree.wrong(("egress", "allow", index), f"not a network such as 10.0.0.0/8: {error}")
    return tuple(networks)


def _rule_files(tree: Tree, folder: Path) -> tuple[Path, ...]:
    """The files under `triage`; their names are relative to the configuration's folder."""
    files = tree.value.get("triage")
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        if files:
            tree.wrong(("triage",), "expected a list of files")
        return ()
    return tuple(folder / name for name in files)


def _rules(
    tree: Tree, files: Sequence[Path], environment: Mapping[str, str], *, named: bool
) -> tuple[references.Rules, list[Tree]]:
    """Every rule of the files. One that cannot be read is a mistake where the configuration names it."""
    rules: references.Rules = []
    trees: list[Tree] = []
    for number, file in enumerate(files):
        rule_tree = read(file, environment)
        trees.append(rule_tree)
        if named and rule_tree.problems and not rule_tree.raw:
            name = tree.value["triage"][number]
            tree.wrong(("triage", number), f"{name} {rule_tree.problems.pop().reason}")
            continue
        if not isinstance(rule_tree.value, list):
            if not rule_tree.problems:
                rule_tree.wrong((), "expected a list of rules")
            continue
        for index, value in enumerate(rule_tree.value):
            rule = convert(rule_tree, (index,), value, shape.RuleSettings)
            if rule is not None:
                rules.append((rule_tree, (index,), rule))
    return rules, trees


def _version(trees: Iterable[Tree]) -> str:
    """A short name for exactly this text of configuration and rules."""
    return hashlib.sha256(b"\0".join(tree.raw for tree in trees)).hexdigest()[:12]


def _place(problem: Problem) -> tuple[str, int, str, str]:
    return (problem.file, problem.line, problem.path, problem.reason)
