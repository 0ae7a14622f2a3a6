"""Databases that cannot take anything for a while, each as it happens to people."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bridge.store import database
from tests import postgres


@contextmanager
def sqlite_locked(url: str) -> Iterator[None]:
    """Another process (this one) holds the write lock: a backup, a shell that somebody left open."""
    found = database.connect(url)
    try:
        with found.transaction():
            yield
    finally:
        found.engine.dispose()


@contextmanager
def postgres_stopped(url: str) -> Iterator[None]:
    """The server is gone at once, without a goodbye to anybody, and comes back on the same port."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        [folder] = connection.execute("SHOW data_directory").fetchone() or [""]
    _pg_ctl(folder, "-m", "immediate", "stop")
    try:
        yield
    finally:
        # `restart`, unlike `start`, uses the options that the server was started with.
        _pg_ctl(folder, "-w", "-l", f"{folder}/log", "restart")


def _pg_ctl(folder: str, *arguments: str) -> None:
    owner = Path(folder).owner()
    become = ["setpriv", f"--reuid={owner}", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*become, str(postgres.binaries() / "pg_ctl"), "-D", folder, *arguments],
        # No pipe: the server would keep it open, and a reader wait for ever.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, f"pg_ctl {' '.join(arguments)}: {done.returncode}"
