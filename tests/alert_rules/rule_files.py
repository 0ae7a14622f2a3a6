"""What the tests of this folder share: where the rule files are, and how to run Prometheus' own tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "alert_rules"
DEPLOY = ROOT / "deploy"
RUNBOOKS = ROOT / "docs" / "runbooks"

# triage.yml and its tests lie beside the rule files, but the bridge reads them, not Prometheus.
RULE_FILES = sorted(path for path in RULES.glob("*.yml") if not path.name.startswith("triage"))
TEST_FILES = sorted(path for path in (RULES / "tests").glob("*.yml") if not path.name.startswith("triage"))


class Rule(NamedTuple):
    """An alerting rule and the file it stands in."""

    file: Path
    alert: dict[str, Any]

    @property
    def name(self) -> str:
        """The alert's name."""
        return str(self.alert["alert"])

    @property
    def labels(self) -> dict[str, str]:
        """The labels the rule itself sets."""
        return dict(self.alert.get("labels", {}))

    def __str__(self) -> str:
        extra = "-".join(value for key, value in self.labels.items() if key in ("severity", "stage", "burn"))
        return f"{self.file.stem}/{self.name}-{extra}"


class Expected(NamedTuple):
    """An alert that a promtool test expects to fire."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str]


def read(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text("utf-8"))


def _rules() -> list[Rule]:
    return [
        Rule(path, rule)
        for path in RULE_FILES
        for group in read(path)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


def _expected() -> list[Expected]:
    return [
        Expected(case["alertname"], alert["exp_labels"], alert["exp_annotations"])
        for path in TEST_FILES
        for test in read(path)["tests"]
        for case in test.get("alert_rule_test", [])
        for alert in case["exp_alerts"]
    ]


ALERTS = _rules()
EXPECTED = _expected()


def seconds(text: str) -> float:
    """A Prometheus duration such as 90s or 1h30m."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    parts = {units[unit]: int(number) for number, unit in re.findall(r"(\d+)([smhdw])", text)}
    return timedelta(**parts).total_seconds()


def run(tool: str, *arguments: str | Path) -> str:
    """Run promtool or amtool and fail the test with its words. A missing tool is a failure, never a skip."""
    found = shutil.which(tool)
    if found is None:
        package = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}[tool]
        pytest.fail(
            f"{tool} is not installed, so nothing was checked. Debian and Ubuntu: apt-get install {package}",
            pytrace=False,
        )
    done = subprocess.run(
        [found, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        pytest.fail(f"{tool} {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout
