"""triage: ask the rules, test them, and play the stored alerts against changed ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from bridge import registry
from bridge import triage as rules
from bridge.cases import Failure, Judgement, judge
from bridge.commands.replay import replay
from bridge.commands.shell import (
    answers_in_words,
    as_json,
    config_of,
    exits_2_for_mistakes,
    show,
    show_json,
)
from bridge.config import Config
from bridge.config.cases import beside, read_cases
from bridge.sources import Delivery, NotUnderstood
from bridge.text import one_line
from bridge.wiring import read_config, utc_now


@click.group()
def triage() -> None:
    """Ask the triage rules."""


@triage.command()
@click.argument("file", type=click.File("rb"))
@as_json
@click.pass_obj
@answers_in_words
def explain(config_file: Path, file: Any, as_json: bool) -> None:  # noqa: FBT001  # click passes flags
    """Which rule decides each alert of a webhook body (FILE, or - for standard input), and why."""
    config = config_of(config_file)
    entry = registry.sources.entries()["alertmanager"]
    delivery = Delivery("explain", file.read(), {}, utc_now())
    try:
        notification = entry.call(entry.settings(), delivery)
    except NotUnderstood as error:
        raise click.ClickException(f"not a webhook body: {error}") from error
    rows = []
    for alert in notification.alerts:
        verdict = rules.decide(alert, config.known, notification.route_labels)
        trials = rules.trials(alert.labels, config.known.rules)
        nearly = [f"{t.rule.name} ({t.rule.where}): not {t.failed[0]}" for t in trials if t.nearly]
        rows.append(
            {
                "alert": alert.name,
                "rule": verdict.rule,
                "where": next(trial.rule.where for trial in trials if trial.rule.name == verdict.rule),
                "priority": verdict.priority.value,
                "client": verdict.client,
                "service": verdict.service,
                "key": verdict.key,
                "policy": verdict.policy,
                "failover": verdict.plan,
                "why": list(verdict.why),
                "nearly": nearly,
            }
        )
    if as_json:
        show(rows, (), json=True)
        return
    for row in rows:
        click.secho(f"{row['alert']}: {row['priority']} by {row['rule']} ({row['where']})", bold=True)
        for name in ("client", "service", "key", "policy", "failover"):
            click.echo(f"  {name}: {row[name] or '-'}")
        for line in (*row["why"], *(f"nearly: {near}" for near in row["nearly"])):
            click.echo(f"  {line}")


@triage.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, metavar="[FILE]...")
@as_json
@click.pass_obj
def test(config_file: Path, files: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001  # click passes flags
    """Check the rules against test cases: FILEs, or X.test.yml beside every X.yml under `triage`.

    Exit 1 when a case fails, 2 when configuration or cases cannot be used.
    """
    with exits_2_for_mistakes():
        config = read_config(config_file)
        cases = read_cases(files or _beside(config))
    found = judge(cases, config.known)
    if as_json:
        show_json(_as_json(found))
    else:
        for failure in found.failures:
            _tell(failure)
        click.echo(_summary(found))
    if found.failures:
        raise SystemExit(1)


def _beside(config: Config) -> Sequence[Path]:
    there = [beside(file) for file in config.rule_files if beside(file).exists()]
    if not there:
        wanted = " or ".join(str(beside(file)) for file in config.rule_files)
        raise click.UsageError(f"there are no test cases: write them into {wanted}, or name a FILE")
    return there


def _tell(failure: Failure) -> None:
    differences = "; ".join(
        f"{one.field}: expected {_value(one.expected)}, got {_value(one.got)}" for one in failure.differences
    )
    place = click.style(f"{failure.case.where}:", fg="red")
    click.echo(f"{place} {one_line(failure.case.name)}: {differences}")
    for line in failure.why:
        click.echo(f"  {line}")


def _value(value: Any) -> str:
    """As it would be written in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return one_line(str(value), 200) or '""'


def _summary(found: Judgement) -> str:
    text = f"{found.cases} cases, {len(found.failures)} failed"
    if found.not_covered:
        text += f"; not covered: {', '.join(found.not_covered)}"
    return text


def _as_json(found: Judgement) -> dict[str, Any]:
    return {
        "cases": found.cases,
        "failed": [
            {
                "case": failure.case.name,
                "where": failure.case.where,
                "differences": [msgspec.to_builtins(one) for one in failure.differences],
                "why": failure.why,
            }
            for failure in found.failures
        ],
        "not_covered": found.not_covered,
    }


triage.add_command(replay)

COMMANDS = (triage,)
