"""user and token: who may come in."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy import Connection

from bridge.commands.shell import answers_in_words, as_json, bridge_of, show
from bridge.store import people as store
from bridge.web import views


@click.group()
def user() -> None:
    """Accounts of people."""


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice(store.ROLES), default="responder")
@click.option("--client", default="", help="For role client: which client's data they may see.")
@click.option("--language", type=click.Choice(["en", "zh"]), default="en")
@click.pass_obj
@answers_in_words
def add(config_file: Path, name: str, role: str, client: str, language: str) -> None:
    """Make an account and print its one-time sign-in link."""
    bridge = bridge_of(config_file)
    if (role == "client") != bool(client) or (client and client not in bridge.config.clients):
        raise click.UsageError(
            "role client needs --client with a client of the configuration; other roles none"
        )

    def work(connection: Connection) -> str:
        now = bridge.now()
        store.add_user(connection, name, role, now, client=client, language=language)
        return store.new_link(connection, name, now)

    click.echo(f"{bridge.config.url}/sign-in/{bridge.database.run(work)}")


@user.command()
@click.argument("name")
@click.pass_obj
@answers_in_words
def reset(config_file: Path, name: str) -> None:
    """Print a new one-time sign-in link; the old password works until it is used."""
    bridge = bridge_of(config_file)
    link = bridge.database.run(lambda connection: store.new_link(connection, name, bridge.now()))
    click.echo(f"{bridge.config.url}/sign-in/{link}")


@user.command(name="list")
@as_json
@click.pass_obj
@answers_in_words
def list_users(config_file: Path, as_json: bool) -> None:  # noqa: FBT001  # click passes flags
    """All accounts."""
    with bridge_of(config_file).database.reading() as connection:
        rows = [views.row_json(row) for row in store.list_users(connection)]
    show(rows, ("name", "role", "client", "language", "created_at"), json=as_json)


@click.group()
def token() -> None:
    """Tokens of machines."""


@token.command(name="add")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, help="ingest:SOURCE, api:read, api:write, client:NAME"
)
@click.pass_obj
@answers_in_words
def add_token(config_file: Path, name: str, scopes: tuple[str, ...]) -> None:
    """Make a token; it is printed once, alone on the last line."""
    bridge = bridge_of(config_file)
    known = {"api:read", "api:write"}
    known |= {f"ingest:{source}" for source in bridge.config.sources}
    known |= {f"client:{client}" for client in bridge.config.clients}
    unknown = set(scopes) - known
    if unknown:
        raise click.UsageError(f"no scope {min(unknown)!r}; there are {', '.join(sorted(known))}")
    secret = bridge.database.run(lambda c: store.new_token(c, name, list(scopes), bridge.now()))
    click.echo(f"token {name} for {', '.join(scopes)}; it is not shown again:", err=True)
    click.echo(secret)


@token.command()
@click.argument("name")
@click.pass_obj
@answers_in_words
def revoke(config_file: Path, name: str) -> None:
    """Revoke a token; it is refused everywhere within a second."""
    bridge = bridge_of(config_file)
    if not bridge.database.run(lambda connection: store.revoke_token(connection, name, bridge.now())):
        raise click.ClickException(f"there is no active token {name!r}")


@token.command(name="list")
@as_json
@click.pass_obj
@answers_in_words
def list_tokens(config_file: Path, as_json: bool) -> None:  # noqa: FBT001  # click passes flags
    """All tokens, without their secrets."""
    with bridge_of(config_file).database.reading() as connection:
        rows = [views.row_json(row) for row in store.list_tokens(connection)]
    show(rows, ("name", "scopes", "created_at", "revoked_at"), json=as_json)


COMMANDS = (user, token)
