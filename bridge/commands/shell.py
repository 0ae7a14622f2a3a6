"""What every command needs: the bridge of the configuration, answers as table or JSON, errors as words."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from bridge.config import Config, ConfigError
from bridge.failover import NoSuchPlan
from bridge.incident import NotAllowed
from bridge.reporting import NoSuchClient
from bridge.store.database import Conflict, Unavailable, schema_problem
from bridge.store.incidents import NoSuchIncident
from bridge.store.people import NoSuchUser
from bridge.store.quarantine import NoSuchBody
from bridge.wiring import Bridge, read_config, wire

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")


def config_of(file: Path) -> Config:
    """The configuration, or exit 1 with one line for every mistake."""
    try:
        return read_config(file)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(click.style(str(problem), fg="red"), err=True)
        raise SystemExit(1) from None


def bridge_of(file: Path) -> Bridge:
    """A bridge on a database whose schema fits, or exit 1 with what to do."""
    return with_schema(opened(wire(config_of(file), file=file)))


def with_schema(bridge: Bridge) -> Bridge:
    """The bridge, or exit 1 with what to do when its database has another schema."""
    problem = schema_problem(bridge.database)
    if problem:
        raise click.ClickException(problem)
    return bridge


@contextlib.contextmanager
def exits_2_for_mistakes() -> Iterator[None]:
    """For commands whose exit code 1 is an answer: a configuration with mistakes is wrong usage."""
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            click.echo(click.style(str(problem), fg="red"), err=True)
        raise SystemExit(2) from None


def opened(bridge: Bridge) -> Bridge:
    """The bridge, with its database connections closed when the command ends."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(bridge.database.engine.dispose)
    return bridge


def answers_in_words(command: Command) -> Command:
    """Turn what can go wrong into one line on stderr and exit code 1."""

    @functools.wraps(command)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (
            NoSuchBody,
            NoSuchClient,
            NoSuchIncident,
            NoSuchPlan,
            NoSuchUser,
            NotAllowed,
            Unavailable,
            Conflict,
            ValueError,
        ) as error:
            raise click.ClickException(str(error)) from error

    return checked  # type: ignore[return-value]


def show(rows: Iterable[dict[str, Any]], columns: Sequence[str], *, json: bool) -> None:
    """Print rows as an aligned table, or all of them as JSON."""
    found = list(rows)
    if json:
        show_json(found)
        return
    texts = [[_text(row.get(column)) for column in columns] for row in found]
    widths = [max([len(name), *(len(text[index]) for text in texts)]) for index, name in enumerate(columns)]
    if found:
        click.secho(
            "  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)), dim=True
        )
    for text in texts:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(text, widths, strict=True)).rstrip())


def show_json(value: Any) -> None:
    """Print one answer as JSON."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value)) + b"\n")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)
