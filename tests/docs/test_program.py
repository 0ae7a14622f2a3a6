"""Every command, route, metric, family entry, package and make target is in the documents, and no other."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from flask import Flask

from bridge import registry
from bridge.__main__ import main
from bridge.wiring import Bridge
from tests.docs import pages

FAMILIES = (registry.sources, registry.channels, registry.trackers, registry.actions, registry.sections)
CLI = pages.sections(pages.read("docs/cli.md"))
OF_TARGETS = r"^([a-z-]+):.*##"
_HOST = r"(?:^|[\s`'\"]|bridge(?:\.example)?:8080|127\.0\.0\.1:8080)"
_OUR_ADDRESS = rf"{_HOST}(/(?:api|ingest|heartbeat|v2|portal|-)/[^\s`'\"?]*)"


def commands(command: click.Command, path: str = "bridge") -> Iterator[tuple[str, click.Command]]:
    """Every command by its full name."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from commands(inner, f"{path} {name}")


COMMANDS = dict(commands(main))
# A command's bare name in a sentence is no command line.
NAMES = {" ".join(name.split()[:length]) for name in COMMANDS for length in (2, 3)}


def options(command: click.Command) -> set[str]:
    return {max(option.opts, key=len) for option in command.params if isinstance(option, click.Option)}


def test_every_command_has_its_heading_and_no_heading_is_invented() -> None:
    assert {heading for heading in CLI if heading.startswith("bridge ")} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_options_and_arguments_stand_under_its_heading(name: str) -> None:
    told = CLI[name]
    assert set(re.findall(r"`(--[a-z-]+)", told)) == options(COMMANDS[name])
    for argument in (each for each in COMMANDS[name].params if isinstance(each, click.Argument)):
        assert re.search(rf"\b{argument.make_metavar(click.Context(COMMANDS[name]))}\b", told), argument.name


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_and_choices_of_options_are_told(name: str) -> None:
    for option in (each for each in COMMANDS[name].params if isinstance(each, click.Option)):
        known = option.type.choices if isinstance(option.type, click.Choice) else ()
        shown = (
            {str(option.default)} if isinstance(option.default, str | int) and not option.is_flag else set()
        )
        for text in filter(None, {*known, *shown}):
            assert f"`{text}`" in CLI[name], (option.name, text)


def test_the_options_of_every_command_are_told() -> None:
    assert {"--config", "--version"} <= set(pages.codes(pages.read("docs/cli.md")))
    assert options(main) == {"--config", "--version"}


@pytest.mark.parametrize("path", pages.documents(), ids=pages.name)
def test_every_command_line_shown_is_one_the_program_takes(path: Path) -> None:
    lines = pages.command_lines(path.read_text("utf-8"))
    wrong = {line: why for line in lines if f"bridge {line}" not in NAMES and (why := complaint(line))}
    assert wrong == {}


def complaint(line: str) -> str:
    """What click would say of `bridge LINE`; empty when it takes it."""
    rest = shlex.split(re.sub(r"[\[\]]", "", line))
    command: click.Command = main
    try:
        context = click.Context(main, info_name="bridge")
        while True:
            given, rest, _ = command.make_parser(context).parse_args(rest)
            if not isinstance(command, click.Group):
                break
            if not rest:
                return "a group alone does nothing"
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command, context = found, click.Context(found, parent=context)
        for parameter in command.params:
            value = given.get(parameter.name or "")
            values = value if isinstance(value, list | tuple) else [value]
            if parameter.required and not any(isinstance(each, str) for each in values):
                return f"{parameter.name} is missing"
            if isinstance(parameter.type, click.Choice):
                for each in (each for each in values if isinstance(each, str)):
                    parameter.type.convert(each, parameter, context)
    except click.UsageError as error:
        return error.format_message()
    return f"too much: {' '.join(rest)}" if rest else ""


@pytest.mark.parametrize(
    "line", ["explode", "run --prot 1", "db", "token add x", "user add x --role king", "check now"]
)
def test_a_wrong_command_line_is_found(line: str) -> None:
    assert complaint(line)


@pytest.mark.parametrize(
    "line", ["run --demo", "token add NAME --scope api:read", "--config x.yml check", "db restore FILE"]
)
def test_a_right_command_line_is_taken(line: str) -> None:
    assert complaint(line) == ""


def test_every_route_stands_in_http_md_and_no_route_is_invented(app: Flask) -> None:
    routes = {
        f"{method} {path}"
        for rule in app.url_map.iter_rules()
        for path in (re.sub(r"<\w+:", "<", rule.rule),)
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    told = {
        f"{method} {path}"
        for methods, path in re.findall(
            r"`((?:[A-Z]+,)*[A-Z]+) (/\S*?)`", pages.prose(pages.read("docs/http.md"))
        )
        for method in methods.split(",")
    }
    assert told == routes


@pytest.mark.parametrize("path", pages.documents(), ids=pages.name)
def test_every_address_of_ours_that_is_shown_exists(path: Path, app: Flask) -> None:
    adapter = app.url_map.bind("bridge")
    text = re.sub(r"<(?:int:)?number>", "1", path.read_text("utf-8"))
    shown = re.findall(_OUR_ADDRESS, text, re.MULTILINE)
    assert [each for each in shown if not any(adapter.test(each, method) for method in ("GET", "POST"))] == []


def test_every_metric_stands_in_metrics_md_with_its_labels_and_type(made_bridge: Bridge) -> None:
    collectors = made_bridge.metrics.registry._collector_to_names
    real = {}
    for collector in collectors:
        kind = type(collector).__name__.lower()
        name = collector._name + ("_total" if kind == "counter" else "")
        real[name] = (kind, set(collector._labelnames))
    told = {
        name: (cells[0], set(re.findall(r"`(\w+)`", cells[1])))
        for name, cells in pages.table(pages.read("docs/metrics.md")).items()
        if name.startswith("bridge_")
    }
    assert told == real


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_entry_stands_in_families_md_and_no_other(family: registry.Family) -> None:
    body = pages.sections(pages.read("docs/families.md"))[family.name.capitalize()]
    assert set(pages.table(body)) == set(family.entries())


@pytest.mark.parametrize("entry", registry.sections.entries().values(), ids=lambda entry: entry.name)
def test_a_report_sections_thresholds_stand_in_reports_md(entry: registry.Entry) -> None:
    told = pages.table(pages.read("docs/reports.md"))[entry.name]
    for field in msgspec.structs.fields(entry.settings):
        assert f"`{field.name}` {field.default:g}" in told[-1]


def test_every_system_package_stands_in_install_md_with_its_use() -> None:
    lines = [
        line.split()[:2]
        for line in pages.read("packages.txt").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    told = pages.table(pages.sections(pages.read("docs/install.md"))["System packages"])
    assert {name: cells[0] for name, cells in told.items()} == dict(lines)


def test_every_make_target_is_told_and_every_target_told_exists() -> None:
    targets = set(re.findall(OF_TARGETS, pages.read("Makefile"), re.MULTILINE)) - {"help"}
    told = set()
    for path in pages.documents():
        told |= set(re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text("utf-8"), re.MULTILINE))
    assert told == targets


def test_the_readme_gives_the_two_commands_on_its_first_screen() -> None:
    first = "\n".join(pages.read("README.md").splitlines()[:40])
    assert "\nmake run\n" in first
    assert "\nmake run ARGS=--demo\n" in first
    assert "(docs/console.png)" in first


def test_the_alertmanager_snippets_of_the_readme_are_taken_by_alertmanager(tmp_path: Path) -> None:
    amtool = shutil.which("amtool")
    assert amtool is not None, "amtool is missing: deploy/install.sh packages demo"
    shown = [block.text for block in pages.blocks(pages.read("README.md")) if block.kind == "yaml"]
    assert len(shown) == 2
    file = tmp_path / "alertmanager.yml"
    file.write_text("\n".join(shown), "utf-8")
    done = subprocess.run([amtool, "check-config", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
