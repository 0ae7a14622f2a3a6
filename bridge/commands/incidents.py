"""export and send-test: what goes out by hand."""

from __future__ import annotations

import csv
import secrets
import sys
from pathlib import Path
from typing import Any

import click

from bridge import messages, registry
from bridge.commands.shell import answers_in_words, bridge_of, show
from bridge.delivery import DeliveryError
from bridge.store import history
from bridge.web import views

_COLUMNS = (
    "number", "status", "priority", "client", "service", "title", "opened_at", "acknowledged_at",
    "resolved_at", "closed_at", "alerts", "assignee", "rule",
)  # fmt: skip
# A spreadsheet runs what begins like this; the quote in front makes it text again (OWASP ASVS 1.2.10).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0", "＝", "＋", "－", "＠")


@click.group()
def export() -> None:
    """Take data out."""


@export.command(name="incidents")
@click.option("--format", "kind", type=click.Choice(["json", "csv"]), default="json")
@click.pass_obj
@answers_in_words
def export_incidents(config_file: Path, kind: str) -> None:
    """All incidents, newest first, to standard output."""
    bridge = bridge_of(config_file)
    rows: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        with bridge.database.reading() as connection:
            page = history.list_incidents(connection, history.Filters(), history.LARGEST_PAGE, cursor)
            rows += views.incidents_json(connection, page.items, bridge)
        cursor = page.next
    if kind == "json":
        show(rows, (), json=True)
        return
    writer = csv.writer(sys.stdout)
    writer.writerow(_COLUMNS)
    writer.writerows([_cell(row[column]) for column in _COLUMNS] for row in rows)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


@click.command(name="send-test")
@click.argument("target")
@click.pass_obj
@answers_in_words
def send_test(config_file: Path, target: str) -> None:
    """Send a test message to a CHANNEL, or to every channel of a RESPONDER."""
    bridge = bridge_of(config_file)
    person = bridge.config.directory.responders.get(target)
    names = person.channels if person else (target,)
    failed = False
    for name in names:
        typed = bridge.config.channels.get(name)
        if typed is None:
            raise click.ClickException(f"there is no channel or responder {name!r}")
        language = person.language if person else "en"
        message = messages.test_message(
            f"opsbridge-test-{secrets.token_hex(4)}", target, language, bridge.now()
        )
        try:
            call = registry.channels.entries()[typed.type].call
            receipt = call(typed.settings, message, bridge.outbound, bridge.now())
            click.echo(f"{name}: accepted ({receipt.said or receipt.id})")
        except DeliveryError as error:
            failed = True
            click.secho(f"{name}: not delivered: {error}", fg="red", err=True)
    if failed:
        raise SystemExit(1)


COMMANDS = (export, send_test)
