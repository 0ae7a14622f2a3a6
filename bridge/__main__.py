"""The command line. Exit codes: 0 done, 1 the answer is no, 2 wrong usage."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.commands import data, failovers, incidents, people, quarantine, reports, rules, serve, triage
from bridge.metrics import program_version


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(program_version(), prog_name="opsbridge")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    default=Path("bridge.yml"),
    envvar="BRIDGE_CONFIG",
    help="The configuration file.",
)
@click.pass_context
def main(context: click.Context, config_file: Path) -> None:
    """From an alert to a ticket that somebody acts on in time."""
    context.obj = config_file


for group in (serve, rules, triage, quarantine, incidents, failovers, reports, people, data):
    for command in group.COMMANDS:
        main.add_command(command)


if __name__ == "__main__":
    main(prog_name="bridge")
