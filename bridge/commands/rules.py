"""check, triage, oncall: questions to the configuration."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bridge import oncall as duty
from bridge import registry, triage
from bridge.commands.shell import answers_in_words, as_json, config_of, show
from bridge.sources import Delivery, NotUnderstood
from bridge.wiring import utc_now


@click.command()
@click.pass_obj
def check(config_file: Path) -> None:
    """Check configuration, rules and references; one line for every mistake."""
    config = config_of(config_file)
    rules = len(config.known.rules)
    click.echo(
        f"{config_file}: fine ({rules} rules, {len(config.clients)} clients, version {config.version})"
    )


@click.group(name="triage")
def triage_group() -> None:
    """Ask the triage rules."""


@triage_group.command()
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
        verdict = triage.decide(alert, config.known, notification.route_labels)
        trials = triage.trials(alert.labels, config.known.rules)
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


@click.group()
def oncall() -> None:
    """Ask the schedules."""


@oncall.command(name="show")
@click.option("--at", "moment", help="A time such as 2026-01-31T09:00:00Z; now by default.")
@as_json
@click.pass_obj
@answers_in_words
def show_on_call(config_file: Path, moment: str | None, as_json: bool) -> None:  # noqa: FBT001  # click passes flags
    """Who is on call, by schedule."""
    config = config_of(config_file)
    at = datetime.fromisoformat(moment) if moment else utc_now()
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    rows = []
    for name, rotation in config.directory.schedules.items():
        person = duty.on_call(rotation, at)
        rows.append({"schedule": name, "responder": person, "name": config.people[person].name})
    if not rows and not as_json:
        click.echo("there are no schedules in the configuration", err=True)
        sys.exit(1)
    show(rows, ("schedule", "responder", "name"), json=as_json)


COMMANDS = (check, triage_group, oncall)
