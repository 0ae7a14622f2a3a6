"""quarantine: deliveries that could not be understood."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from bridge import quarantine as ward
from bridge.commands.shell import answers_in_words, as_json, bridge_of, show
from bridge.model import Actor
from bridge.quarantine import Retried
from bridge.store import history
from bridge.store import quarantine as store
from bridge.web import views
from bridge.wiring import Bridge


@click.group()
def quarantine() -> None:
    """Authentic deliveries that could not be understood."""


@quarantine.command(name="list")
@click.option("--all", "settled_too", is_flag=True, help="Also what was taken or dismissed.")
@as_json
@click.pass_obj
@answers_in_words
def list_bodies(config_file: Path, settled_too: bool, as_json: bool) -> None:  # noqa: FBT001  # click passes flags
    """What waits, newest first, with its number, its size in bytes and the reason."""
    rows = _rows(bridge_of(config_file), settled_too=settled_too)
    columns = ("id", "received_at", "source", "kind", "size", "trace", "reason")
    show(rows, (*columns, "outcome") if settled_too else columns, json=as_json)


@quarantine.command(name="show")
@click.argument("number", type=int, metavar="ID")
@click.pass_obj
@answers_in_words
def show_body(config_file: Path, number: int) -> None:
    """The body with this number, as it came, to standard output."""
    with bridge_of(config_file).database.reading() as connection:
        sys.stdout.buffer.write(store.read(connection, number).body)


@quarantine.command()
@click.argument("numbers", type=int, nargs=-1, metavar="ID...")
@click.option("--all", "everything", is_flag=True, help="Everything that waits.")
@as_json
@click.pass_obj
@answers_in_words
def retry(config_file: Path, numbers: tuple[int, ...], everything: bool, as_json: bool) -> None:  # noqa: FBT001  # click passes flags
    """Read bodies again with what this version knows; exit 1 when one of them still cannot be understood."""
    if bool(numbers) is everything:
        raise click.UsageError("give the numbers to try, or --all")
    bridge = bridge_of(config_file)
    found = ward.retry_all(bridge) if everything else [ward.retry(bridge, one) for one in numbers]
    rows = [_outcome(one) for one in found]
    show(rows, ("id", "taken", "trace", "incidents", "reason"), json=as_json)
    if not all(one.taken for one in found):
        raise SystemExit(1)


@quarantine.command()
@click.argument("numbers", type=int, nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, help="Why it need not be taken.")
@click.pass_obj
@answers_in_words
def dismiss(config_file: Path, numbers: tuple[int, ...], reason: str) -> None:
    """Settle bodies without taking them."""
    bridge = bridge_of(config_file)
    for number in numbers:
        ward.dismiss(bridge, number, _me(), reason)


def _rows(bridge: Bridge, *, settled_too: bool) -> Iterator[dict[str, Any]]:
    cursor: str | None = ""
    while cursor is not None:
        with bridge.database.reading() as connection:
            settled = None if settled_too else False
            page = history.list_quarantine(connection, history.LARGEST_PAGE, cursor, settled=settled)
        yield from (views.row_json(row, without=("body",)) for row in page.items)
        cursor = page.next


def _outcome(one: Retried) -> dict[str, Any]:
    return {
        "id": one.number,
        "taken": one.taken,
        "trace": one.said if one.taken else None,
        "incidents": one.incidents,
        "reason": None if one.taken else one.said,
    }


def _me() -> Actor:
    return Actor(getpass.getuser(), "cli")


COMMANDS = (quarantine,)
