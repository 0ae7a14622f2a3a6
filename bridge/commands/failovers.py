"""failover: plans, dry runs, runs by hand, and the kill switch."""

from __future__ import annotations

import getpass
import time
from pathlib import Path

import click

from bridge import failover as engine
from bridge.commands.shell import answers_in_words, as_json, bridge_of, show
from bridge.model import Actor
from bridge.store import history
from bridge.web import views


@click.group()
def failover() -> None:
    """Failover plans and the kill switch."""


@failover.command(name="list")
@as_json
@click.pass_obj
@answers_in_words
def list_plans(config_file: Path, as_json: bool) -> None:  # noqa: FBT001  # click passes flags
    """The plans and their last run."""
    bridge = bridge_of(config_file)
    with bridge.database.reading() as connection:
        runs = history.list_failovers(connection, history.LARGEST_PAGE).items
    rows = []
    for name, plan in bridge.config.plans.items():
        last = next((run for run in runs if run.plan == name), None)
        rows.append(
            {
                "plan": name,
                "mode": plan.mode.value,
                "service": plan.service,
                "last": last.state if last else None,
                "when": views.row_json(last)["started_at"] if last else None,
            }
        )
    show(rows, ("plan", "mode", "service", "last", "when"), json=as_json)


@failover.command(name="dry-run")
@click.argument("plan")
@as_json
@click.pass_obj
@answers_in_words
def dry_run(config_file: Path, plan: str, as_json: bool) -> None:  # noqa: FBT001  # click passes flags
    """What guards and pre-checks say now; changes nothing. Exit 1 when the plan would not run."""
    verdicts, probes = engine.dry_run(bridge_of(config_file), plan)
    rows = [{"what": v.guard, "green": v.green, "evidence": v.evidence} for v in verdicts]
    rows += [{"what": p.probe, "green": p.holds, "evidence": p.said} for p in probes]
    show(rows, ("what", "green", "evidence"), json=as_json)
    if not all(row["green"] for row in rows):
        raise SystemExit(1)


@failover.command()
@click.argument("plan")
@click.pass_obj
@answers_in_words
def run(config_file: Path, plan: str) -> None:
    """Run a plan now, by your hand: kill switch, budgets and a run in flight still hold it back."""
    _by_hand(config_file, plan, "to_standby")


@failover.command(name="switch-back")
@click.argument("plan")
@click.pass_obj
@answers_in_words
def switch_back(config_file: Path, plan: str) -> None:
    """Run a plan's rollback: traffic goes back to the primary."""
    _by_hand(config_file, plan, "back")


@failover.command()
@click.option("--reason", default="")
@click.pass_obj
@answers_in_words
def stop(config_file: Path, reason: str) -> None:
    """Press the kill switch: no failover takes another step."""
    engine.stop(bridge_of(config_file), _me(), reason)
    click.echo("stopped: no failover runs until `bridge failover resume`")


@failover.command()
@click.option("--reason", default="")
@click.pass_obj
@answers_in_words
def resume(config_file: Path, reason: str) -> None:
    """Release the kill switch."""
    engine.stop(bridge_of(config_file), _me(), reason, stopped=False)
    click.echo("resumed")


def _by_hand(config_file: Path, plan: str, direction: str) -> None:
    """Write the intent and wait for its outcome; this process takes the steps when no worker does."""
    bridge = bridge_of(config_file)
    token = engine.ask(bridge, plan, _me(), direction)
    while True:
        with bridge.database.reading() as connection:
            run = next(r for r in history.list_failovers(connection, 1000).items if r.token == token)
        if run.finished_at is not None:
            click.echo(f"{plan}: {run.state}: {run.detail}")
            raise SystemExit(0 if run.state == "done" else 1)
        engine.take_steps(bridge)
        time.sleep(0.2)


def _me() -> Actor:
    return Actor(getpass.getuser(), "cli")


COMMANDS = (failover,)
