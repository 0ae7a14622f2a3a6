"""docs/configuration.md names every setting with its kind and default, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest

from bridge import registry
from bridge.config import Duration, Secret, load
from bridge.config import settings as shape
from bridge.config.load import _BLOCKS, _SINGLE, KEYS
from bridge.config.tree import read
from bridge.config.values import duration_text
from tests.docs import pages

PAGE = pages.sections(pages.read("docs/configuration.md"))
NEEDED = "needed"
DATABASE = "sqlite:///bridge.db"
FAMILIES = (registry.sources, registry.channels, registry.trackers, registry.actions)
ENTRIES = [(family.name, entry) for family in FAMILIES for entry in family.entries().values()]
SHAPES: dict[str, type[msgspec.Struct]] = {
    **_BLOCKS,
    **_SINGLE,
    "triage.yml": shape.RuleSettings,
    **{f"{family}: {entry.name}": entry.settings for family, entry in ENTRIES},
}
MARKED = [
    pytest.param(block.text, id=f"{pages.name(path)}:{block.line}")
    for path in pages.documents()
    for block in pages.blocks(path.read_text("utf-8"))
    if block.kind == "yaml" and block.text.startswith(("# bridge.yml", "# triage.yml"))
]
BASE = """
url: https://bridge.test
database: sqlite:///bridge.db
sources: {main: {type: alertmanager, token: a-token, prometheus: "https://prometheus.test"}}
clients: {acme: {name: Acme}}
services: {payments: {}, orders: {}}
priorities: {P1: {respond: 10m}, P2: {plan: 24h}, P3: {page: false}}
calendars: {office: {days: mon-fri, hours: "09:00-18:00"}}
triage: [triage.yml]
responders: {li: {name: Li, channels: [mail]}, han: {name: Han, channels: [mail]}}
schedules: {payments: {rotation: {people: [li, han], every: 1w, from: 2026-01-05T09:00}}}
policies: {page: {steps: [{after: 0m, notify: [mail]}]}}
channels: {mail: {type: console}, team-wecom: {type: console}, team-hook: {type: console}}
failover:
  pay-standby:
    service: payments
    on: {priority: P1}
    act: {type: console}
    verify: [{http: "https://standby.test/health"}]
"""


def inner_structs(kind: Any) -> type[msgspec.Struct] | None:
    """The struct inside `Struct`, `Struct | None` and `list[Struct]`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return None if kind is shape.Typed else kind
    return next((found for part in get_args(kind) if (found := inner_structs(part))), None)


def settings(
    kind: type[msgspec.Struct], before: str = "", made: msgspec.Struct | None = None
) -> Iterator[tuple[str, Any, Any]]:
    """Every setting under a struct by its path (`report.to`, `steps[].after`), with its type and default."""
    for field in msgspec.structs.fields(kind):
        path = before + field.encode_name
        value = getattr(made, field.name) if made is not None else default_of(field)
        inside = inner_structs(field.type)
        if inside is None:
            yield path, field.type, value
        elif get_origin(field.type) is list:
            yield from settings(inside, f"{path}[].")
        else:
            yield from settings(inside, f"{path}.", value if isinstance(value, msgspec.Struct) else None)


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    if field.required:
        return NEEDED
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def written(value: Any) -> str:
    """How the page writes a default."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value)
    return "none" if value in ("", None, [], {}) else str(value)


def contains(kind: Any, wanted: type) -> bool:
    return kind is wanted or any(contains(part, wanted) for part in get_args(kind))


def choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    return [name for part in get_args(kind) for name in choices(part)]


@pytest.mark.parametrize("heading", SHAPES)
def test_every_setting_of_a_block_stands_in_its_table_and_no_other(heading: str) -> None:
    assert heading in PAGE, f"docs/configuration.md has no heading {heading!r}"
    assert set(pages.table(PAGE[heading])) == {path for path, _, _ in settings(SHAPES[heading])}


@pytest.mark.parametrize("heading", SHAPES)
def test_every_setting_tells_its_default(heading: str) -> None:
    told = pages.table(PAGE[heading])
    for path, _, value in settings(SHAPES[heading]):
        assert told[path][1].strip("`") == written(value), path


@pytest.mark.parametrize("heading", SHAPES)
def test_secrets_durations_and_choices_are_told_as_such(heading: str) -> None:
    told = pages.table(PAGE[heading])
    for path, kind, _ in settings(SHAPES[heading]):
        words = told[path][0]
        assert ("secret" in words) == contains(kind, Secret), path
        assert ("duration" in words) == contains(kind, Duration), path
        assert {f"`{choice}`" for choice in choices(kind)} <= set(re.findall(r"`[^`]+`", words)), path


def test_every_block_of_the_file_has_its_heading_or_row() -> None:
    top = pages.table(PAGE["The whole file"])
    assert set(top) == set(KEYS)


def test_internal_networks_are_explained_with_prometheus() -> None:
    assert "Prometheus" in PAGE["egress"]


@pytest.mark.parametrize("text", MARKED)
def test_a_block_marked_as_configuration_loads(text: str, tmp_path: Path) -> None:
    for number, secret in enumerate(sorted(set(re.findall(r"_file: (/[\w./-]+)", text)))):
        (tmp_path / f"secret{number}").write_text(DATABASE if "database" in secret else "a-secret-text")
        text = text.replace(f"_file: {secret}", f"_file: {tmp_path}/secret{number}")
    is_rules = text.startswith("# triage.yml")
    (tmp_path / "triage.yml").write_text(text if is_rules else "- name: all\n", "utf-8")
    (tmp_path / "alert_rules").symlink_to(pages.ROOT / "alert_rules")
    file = tmp_path / "bridge.yml"
    whole = plain(BASE, file) if is_rules else merged(plain(BASE, file), plain(text, file))
    file.write_text(json.dumps(whole, ensure_ascii=False), "utf-8")
    load(file, {family.name: family.settings() for family in FAMILIES}, {})


def plain(text: str, file: Path) -> dict[str, Any]:
    """The text as the configuration reader sees it, with every variable set."""
    file.write_text(text, "utf-8")
    tree = read(file, dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "a-secret-text"))
    assert not tree.problems
    return dict(tree.value)


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The block's own entries beside and over those of the base."""
    blocks = {key: {**base.get(key, {}), **value} for key, value in more.items() if isinstance(value, dict)}
    return {**base, **more, **blocks}


def test_some_blocks_are_marked() -> None:
    assert len(MARKED) >= 5
