"""triage replay: the stored alerts played against changed rules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from bridge import replay as player
from bridge.commands.shell import (
    answers_in_words,
    as_json,
    exits_2_for_mistakes,
    opened,
    show,
    show_json,
    with_schema,
)
from bridge.config import Duration, load
from bridge.model import Priority
from bridge.replay import Change, Comparison, Differences, Past
from bridge.store import incidents, past
from bridge.text import one_line
from bridge.wiring import FAMILIES, Bridge, wire

_KINDS = {
    "missed": "would have been missed",
    "newly_paging": "newly paging",
    "split": "split into several",
    "merged": "merged into one",
}
_SHOWN = 20
_AT_ONCE = 500


@click.command()
@click.option("--since", "length", default="30d", help="How far back, such as 12h, 30d or 8w.")
@click.option(
    "--rules",
    "files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="Rules to try instead of those under `triage`; can be given several times.",
)
@click.option("--client", help="Only what belonged to incidents of this client.")
@as_json
@click.pass_obj
@answers_in_words
def replay(
    config_file: Path,
    length: str,
    files: tuple[Path, ...],
    client: str | None,
    as_json: bool,  # noqa: FBT001  # click passes flags
) -> None:
    """Play the stored alerts against the rules as they are now, or against other ones, and say what changes.

    Exit 1 when an incident would have been missed, 2 when configuration or rules cannot be used.
    """
    with exits_2_for_mistakes():
        settings = {family.name: family.settings() for family in FAMILIES}
        config = load(config_file, settings, rules_from=files)
    if client is not None and client not in config.clients:
        raise click.UsageError(f"there is no client {client!r} in the configuration")
    bridge = with_schema(opened(wire(config)))
    since = bridge.now() - _length(length)
    with bridge.database.reading() as connection:
        ids = past.span(connection, since)
        real = past.recorded(connection, ids, since, client)
    with click.progressbar(length=len(ids), label="playing", file=sys.stderr) as bar:
        played = _watched(past.episodes(bridge.database, ids, client), ids, bar)
        found = player.replay(played, config.known, config.intake.reopen_within)
    titles = _titles(bridge, found)
    if as_json:
        show_json(_as_json(found, since, real, titles))
    else:
        _tell(found, since, real, titles)
    if since < bridge.now() - config.retention.deliveries:
        click.echo("labels of Alertmanager's routes are known as long as deliveries are kept", err=True)
    if found.missed.total:
        raise SystemExit(1)


def _length(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from error


def _watched(episodes: Iterator[Past], ids: range, bar: Any) -> Iterator[Past]:
    """The same episodes; the bar moves with their ids."""
    at = ids.start
    for number, episode in enumerate(episodes):
        if number % 1000 == 0:
            bar.update(episode.id - at)
            at = episode.id
        yield episode
    bar.update(ids.stop - at)


def _titles(bridge: Bridge, found: Comparison) -> dict[int, str]:
    """The titles of incidents that are listed."""
    wanted = sorted({change.incident for kind in _KINDS for change in getattr(found, kind).listed})
    titles: dict[int, str] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        with bridge.database.reading() as connection:
            read = incidents.read_many(connection, wanted[first : first + _AT_ONCE])
        titles |= {number: incident.title for number, incident in read.items()}
    return titles


def _tell(found: Comparison, since: datetime, real: tuple[int, int], titles: dict[int, str]) -> None:
    click.echo(f"{found.episodes} episodes since {since:%Y-%m-%d %H:%M} UTC")
    rows = [
        {"": name, "then": then, "now": now, "difference": f"{now - then:+d}" if now != then else "0"}
        for name, then, now in _figures(found)
    ]
    show(rows, ("", "then", "now", "difference"), json=False)
    click.echo(f"recorded: {real[0]} incidents, of which {real[1]} paged, with all that people did")
    for name, words in _KINDS.items():
        differences: Differences = getattr(found, name)
        if not differences.total:
            continue
        click.secho(f"{words}: {differences.total}", fg="red" if name == "missed" else None, bold=True)
        for change in sorted(differences.listed, key=lambda change: change.incident)[:_SHOWN]:
            click.echo(f"  INC-{change.incident}  {_what(change)}  {one_line(titles[change.incident], 80)}")
        if differences.total > _SHOWN:
            click.echo(f"  and {differences.total - _SHOWN} more")


def _what(change: Change) -> str:
    text = change.then if change.then == change.now else f"{change.then} → {change.now}"
    if change.paged_then != change.pages_now:
        text += ", pages" if change.pages_now else ", pages nobody"
    if len(change.keys) > 1:
        text += f", {len(change.keys)} incidents"
    others = [number for number in change.incidents if number != change.incident]
    if others:
        text += f", with {', '.join(f'INC-{number}' for number in others[:5])}"
        text += "…" if len(others) > 5 else ""
    return text


def _figures(found: Comparison) -> Iterator[tuple[str, int, int]]:
    yield "incidents", found.then.opened, found.now.opened
    for priority in Priority:
        yield f"  {priority}", found.then.by_priority[priority], found.now.by_priority[priority]
    yield "merged", found.then.merged, found.now.merged
    yield "pages", found.then.pages, found.now.pages


def _as_json(
    found: Comparison, since: datetime, real: tuple[int, int], titles: dict[int, str]
) -> dict[str, Any]:
    sides = {
        name: {
            "incidents": figures.opened,
            "merged": figures.merged,
            "pages": figures.pages,
            "by_priority": {priority.value: figures.by_priority[priority] for priority in Priority},
        }
        for name, figures in (("then", found.then), ("now", found.now))
    }
    lists = {
        name: {
            "total": getattr(found, name).total,
            "incidents": [_listed(change, titles) for change in getattr(found, name).listed],
        }
        for name in _KINDS
    }
    recorded = {"incidents": real[0], "paged": real[1]}
    return {"since": since, "episodes": found.episodes, **sides, "recorded": recorded, **lists}


def _listed(change: Change, titles: dict[int, str]) -> dict[str, Any]:
    return {
        "incident": f"INC-{change.incident}",
        "title": titles[change.incident],
        "then": {"priority": change.then, "pages": change.paged_then},
        "now": {"priority": change.now, "pages": change.pages_now, "keys": change.keys},
        "with": [f"INC-{number}" for number in change.incidents if number != change.incident],
    }
