"""bridge.example.yml at the root is complete, loads, and says the defaults it claims."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bridge.config import Config, load
from bridge.config import settings as shape
from bridge.config.load import KEYS, Families
from bridge.config.tree import read

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "bridge.example.yml").read_text("utf-8")
WRITTEN = read(ROOT / "bridge.example.yml", {}).value
SECRET_FILES = re.findall(r"_file: /run/secrets/(\w+)", TEXT)
SHAPES = [
    kind
    for kind in vars(shape).values()
    if isinstance(kind, type)
    and issubclass(kind, shape.Settings)
    and kind not in (shape.Settings, shape.RuleSettings)
]


@pytest.fixture
def example(tmp_path: Path, families: Families) -> Config:
    (tmp_path / "alert_rules").symlink_to(ROOT / "alert_rules")
    for name in SECRET_FILES:
        (tmp_path / name).write_text("a secret")
    (tmp_path / "bridge.yml").write_text(TEXT.replace("/run/secrets", str(tmp_path)), "utf-8")
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", TEXT), "a secret")
    return load(tmp_path / "bridge.yml", families, variables)


def test_the_example_loads_with_its_secrets_provided(example: Config) -> None:
    assert len(SECRET_FILES) == 7
    assert example.known.default_policy == "page"
    assert [network.prefixlen for network in example.allow] == [16]


def test_every_block_is_in_the_example() -> None:
    assert set(WRITTEN) == set(KEYS)


def keys_of(value: object) -> set[str]:
    if isinstance(value, list):
        return {key for entry in value for key in keys_of(entry)}
    if isinstance(value, dict):
        return {*value} | keys_of(list(value.values()))
    return set()


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)
def test_every_setting_is_in_the_example(kind: type[msgspec.Struct]) -> None:
    names = {field.encode_name for field in msgspec.structs.fields(kind)}
    assert names - keys_of(WRITTEN) == set()


def test_the_defaults_it_tells_are_the_defaults(example: Config) -> None:
    assert example.reports == shape.Reports()
    assert example.intake == shape.Intake()
    plan = example.plans["pay-standby"]
    assert plan.limits == shape.LimitSettings()
    assert plan.mode == "shadow"
    assert (plan.act.settings.method, plan.act.settings.timeout.total_seconds()) == ("POST", 5)
    mail = example.channels["li-mail"].settings
    assert (mail.port, mail.security) == (587, "starttls")
