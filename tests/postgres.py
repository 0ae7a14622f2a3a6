"""A throw-away PostgreSQL on a free loopback port, owned by a user without rights, gone after the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_QUICK = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def binaries() -> Path:
    """Where initdb and pg_ctl are; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    onpath = shutil.which("initdb")
    if onpath is None:
        raise RuntimeError("PostgreSQL is not installed: deploy/install.sh packages test")
    return Path(onpath).parent


@contextmanager
def server(*, durable: bool = False) -> Iterator[str]:
    """Start a cluster; yields the URL of its `postgres` database. `durable` keeps fsync on."""
    folder = Path(tempfile.mkdtemp(prefix="opsbridge-pg-", dir="/tmp"))
    asuser = _unprivileged(folder)
    data, port = folder / "data", free_port()
    _run(asuser, binaries() / "initdb", "-D", data, "-U", "bridge", "-A", "trust", "-E", "UTF8", "--locale=C")
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), *(() if durable else _QUICK)]
    command = ("-D", data, "-w", "-l", folder / "log", "-o", " ".join(options), "start")
    try:
        _run(asuser, binaries() / "pg_ctl", *command)
        yield f"postgresql+psycopg://bridge@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(
            [*asuser, str(binaries() / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"],
            check=False,
            capture_output=True,
        )
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server_url: str, name: str, template: str = "template1") -> str:
    """Make a database on a running server; its URL."""
    plain = server_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')  # type: ignore[arg-type]
    return server_url.rsplit("/", 1)[0] + f"/{name}"


def drop_database(server_url: str, name: str) -> None:
    """Remove a database with whoever is still connected."""
    with psycopg.connect(server_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type]


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _unprivileged(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root; its package made a user for it."""
    if os.geteuid() != 0:
        return []
    owner = pwd.getpwnam("postgres")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]


def _run(asuser: list[str], program: Path, *arguments: object) -> None:
    command = [*asuser, str(program), *map(str, arguments)]
    # A file, not a pipe: the server keeps the pipe open and a reader would wait for ever.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(command, stdout=said, stderr=said, check=False)
        if done.returncode:
            said.seek(0)
            raise RuntimeError(f"{program.name} failed: {said.read().decode(errors='replace')[-2000:]}")
