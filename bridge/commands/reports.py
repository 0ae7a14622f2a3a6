"""report: build a client's monthly report."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bridge import reporting
from bridge.commands.shell import answers_in_words, bridge_of


@click.group()
def report() -> None:
    """Monthly reports."""


@report.command()
@click.argument("client")
@click.argument("month")
@click.option("--format", "formats", default="", help="html, pdf or html,pdf; the client's own by default.")
@click.option(
    "--language", type=click.Choice(["", "en", "zh"]), default="", help="The client's own by default."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the files.")
@click.pass_obj
@answers_in_words
def build(config_file: Path, client: str, month: str, formats: str, language: str, out: Path | None) -> None:
    """Build CLIENT's report for MONTH (YYYY-MM); prints the paths of the files, one a line."""
    bridge = bridge_of(config_file)
    with click.progressbar(range(100), label="building", file=sys.stderr) as bar:

        def progress(_: str, done: int, total: int) -> None:
            bar.update(max(int(100 * done / max(total, 1)) - bar.pos, 0))

        built = reporting.build(
            bridge,
            client,
            month,
            formats=tuple(filter(None, formats.split(","))),
            language=language,
            folder=out,
            progress=progress,
        )
    for missing in built.missing:
        click.secho(f"missing: {missing}", fg="yellow", err=True)
    for path in built.paths:
        click.echo(path)


COMMANDS = (report,)
