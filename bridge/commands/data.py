"""db and doctor: the database and the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from bridge.commands.shell import answers_in_words, bridge_of, config_of, opened
from bridge.store import database
from bridge.wiring import wire


@click.group()
def db() -> None:
    """The database."""


@db.command()
@click.pass_obj
@answers_in_words
def upgrade(config_file: Path) -> None:
    """Bring the schema to this version; safe while other replicas start."""
    database.upgrade(opened(wire(config_of(config_file))).database)
    click.echo("the schema is up to date")


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
@answers_in_words
def backup(config_file: Path, file: Path) -> None:
    """Copy the SQLite database to FILE while it is in use."""
    if file.exists():
        raise click.ClickException(f"{file} exists already")
    database.backup(bridge_of(config_file).database, file)
    file.chmod(0o600)
    click.echo(file)


@db.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
@answers_in_words
def restore(config_file: Path, file: Path) -> None:
    """Put FILE, a backup, in the place of the SQLite database. Stop opsbridge first."""
    config = config_of(config_file)
    if not config.database.startswith("sqlite:///"):
        raise click.ClickException("this is PostgreSQL: restore it with pg_restore")
    copy = database.connect(f"sqlite:///{file.resolve()}")
    found = database.check(copy)
    copy.engine.dispose()
    if found:
        raise click.ClickException(f"{file} is damaged: {found[0]}")
    target = Path(config.database.removeprefix("sqlite:///"))
    fresh = target.with_suffix(".restoring")
    shutil.copyfile(file, fresh)
    for old in (target, Path(f"{target}-wal"), Path(f"{target}-shm")):
        if old.exists():
            old.rename(f"{old}.before-restore")
    os.replace(fresh, target)  # noqa: PTH105  # must be atomic
    click.echo(f"restored; the old database is {target}.before-restore")


@db.command()
@click.pass_obj
@answers_in_words
def check(config_file: Path) -> None:
    """Ask the database whether it is intact; exit 1 when it is not."""
    found = database.check(bridge_of(config_file).database)
    for line in found:
        click.secho(line, fg="red", err=True)
    if found:
        raise SystemExit(1)
    click.echo("intact")


@click.command()
@click.pass_obj
@answers_in_words
def doctor(config_file: Path) -> None:
    """Look at configuration, database, PDF libraries and free disk; exit 1 when something is wrong."""
    config = config_of(config_file)
    found: list[tuple[str, str]] = [("configuration", ""), ("database", "")]
    bridge = opened(wire(config))
    found[1] = (
        "database",
        database.schema_problem(bridge.database) or "; ".join(database.check(bridge.database)),
    )
    if bridge.database.is_sqlite:
        version = database.sqlite_version()
        old = version < database.SAFE_SQLITE
        text = f"SQLite {'.'.join(map(str, version))} can corrupt a database: install the pysqlite3 wheel"
        found.append(("sqlite version", text if old else ""))
    found.append(("pdf", _pdf_problem()))
    usage = shutil.disk_usage(Path.cwd())
    found.append(("disk", "less than 5 % free" if usage.free < 0.05 * usage.total else ""))
    for name, problem in found:
        click.secho(f"{name}: {problem or 'fine'}", fg="red" if problem else None)
    if any(problem for _, problem in found):
        raise SystemExit(1)


def _pdf_problem() -> str:
    try:
        import weasyprint  # noqa: F401, PLC0415  # loading it is the test: it needs Pango
    except (ImportError, OSError) as error:
        return f"reports can only be HTML: {str(error).splitlines()[0]}"
    return ""


COMMANDS = (db, doctor)
