"""What the tests of this folder share: settings of every family, and reading a text as a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bridge import registry
from bridge.config import Config, load
from bridge.config.load import Families

GOOD = Path(__file__).parent / "good"
SMALLEST = (GOOD / "smallest.yml").read_text("utf-8")
Read = Callable[..., Config]


@pytest.fixture(scope="session")
def families() -> Families:
    found = (registry.sources, registry.channels, registry.trackers, registry.actions)
    return {family.name: family.settings() for family in found}


@pytest.fixture
def read(tmp_path: Path, families: Families) -> Read:
    """Read a configuration and its rules, given as texts; raises ConfigError."""

    def reading(
        text: str, rules: str = "- name: all\n", environment: Mapping[str, str] | None = None
    ) -> Config:
        (tmp_path / "triage.yml").write_text(rules, "utf-8")
        (tmp_path / "bridge.yml").write_text(text, "utf-8")
        return load(tmp_path / "bridge.yml", families, environment or {})

    return reading
