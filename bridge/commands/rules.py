"""check and oncall: questions to the configuration."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bridge import oncall as duty
from bridge.commands.shell import answers_in_words, as_json, config_of, show
from bridge.config import warnings
from bridge.wiring import utc_now


@click.command()
@click.pass_obj
def check(config_file: Path) -> None:
    """Check configuration, rules and references; one line for every mistake and every warning."""
    config = config_of(config_file)
    for warning in warnings(config.known.rules):
        click.echo(click.style(f"warning: {warning}", fg="yellow"), err=True)
    rules = len(config.known.rules)
    click.echo(
        f"{config_file}: fine ({rules} rules, {len(config.clients)} clients, version {config.version})"
    )


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


COMMANDS = (check, oncall)
