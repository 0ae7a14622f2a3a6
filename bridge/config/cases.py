"""Reading files of triage test cases, as strictly as the configuration itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import UNSET, UnsetType, field
from msgspec.structs import asdict

from bridge.cases import FIELDS, Case
from bridge.config.convert import convert
from bridge.config.load import ConfigError
from bridge.config.settings import Settings
from bridge.config.tree import Tree, read
from bridge.model import Alert, Priority

# A verdict does not depend on the time.
_STARTS_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Expected(Settings, frozen=True):
    """The parts of a verdict that a case names."""

    rule: str | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    client: str | UnsetType = UNSET
    service: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    policy: str | UnsetType = UNSET
    failover: str | UnsetType = UNSET
    page: bool | UnsetType = UNSET


class CaseSettings(Settings, frozen=True, kw_only=True):
    """One case of a test file."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str] = field(default_factory=dict)
    route_labels: dict[str, str] = field(default_factory=dict)
    expect: Expected


def beside(rules: Path) -> Path:
    """Where the cases of a rules file are kept: triage.test.yml beside triage.yml."""
    return rules.with_suffix(".test.yml")


def read_cases(files: Sequence[Path]) -> list[Case]:
    """Every case of the files, in order; raises ConfigError with all mistakes."""
    cases: list[Case] = []
    trees: list[Tree] = []
    for file in files:
        # Labels are data of alerts: neither variables nor files are put into them.
        tree = read(file, None)
        trees.append(tree)
        cases += _cases(tree)
    problems = [problem for tree in trees for problem in tree.problems]
    if problems:
        raise ConfigError(problems)
    return cases


def _cases(tree: Tree) -> list[Case]:
    if not isinstance(tree.value, list) or not tree.value:
        if not tree.problems:
            tree.wrong((), "expected a list of cases, each with name, labels and expect")
        return []
    cases: list[Case] = []
    names: set[str] = set()
    for index, value in enumerate(tree.value):
        found = convert(tree, (index,), value, CaseSettings)
        if found is None:
            continue
        if found.name in names:
            tree.wrong((index, "name"), f'a second case named "{found.name}"')
        names.add(found.name)
        expect: dict[str, Any] = {
            name: wanted for name, wanted in asdict(found.expect).items() if wanted is not UNSET
        }
        if not expect:
            tree.wrong((index, "expect"), f"nothing would be checked: name one of {', '.join(FIELDS)}")
        alert = Alert(
            source="test",
            fingerprint="test",
            starts_at=_STARTS_AT,
            labels=found.labels,
            annotations=found.annotations,
        )
        where = f"{tree.file}:{tree.line((index,))}"
        cases.append(Case(found.name, where, alert, expect, found.route_labels))
    return cases
