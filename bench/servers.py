"""The servers under load: opsbridge, the bare view, and the databases below them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Table, func, select

from bench.payload import TOKEN
from bridge.store.database import connect
from tests import postgres  # the throw-away server of the tests

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("sqlite", "postgresql")
INGEST = "/ingest/alertmanager/main"
_READY_SECONDS = 30.0

CONFIG = f"""
url: http://127.0.0.1
database: {{database}}
sources:
  main: {{{{type: alertmanager, token: {TOKEN}}}}}
clients:
  acme: {{{{name: Acme}}}}
priorities:
  P1: {{{{respond: 10m, restore: 1h}}}}
  P3: {{{{page: false}}}}
triage: [triage.yml]
policies:
  page: {{{{steps: [{{{{after: 0m, notify: [wall]}}}}]}}}}
channels:
  wall: {{{{type: console}}}}
"""
TRIAGE = """
- name: payments
  match: ['service="payments"']
  priority: P1
  incident_by: [client, gateway]
- name: rest
"""


@dataclass(frozen=True)
class Server:
    """A server process that answers on a loopback port; it leads a process group of its own."""

    process: subprocess.Popen[bytes]
    port: int

    def peak_mb(self) -> float:
        """The most memory its processes ever held, added up (`VmHWM`), in MB."""
        return sum(_peak_kb(pid) for pid in _family(self.process.pid)) / 1024


@contextmanager
def server(
    command: list[str], folder: Path, port: int, ready: str, extra: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a program, wait until `ready` answers 200; kill it and its children at the end."""
    log = folder / "log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment() | dict(extra or {}),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}{ready}", log)
        yield Server(process, port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    """The view that only decodes."""
    folder.mkdir(parents=True, exist_ok=True)
    port = postgres.free_port()
    with server([sys.executable, "-m", "bench.bare"], folder, port, "/", {"PORT": str(port)}) as started:
        yield started


@contextmanager
def bridge(
    folder: Path, url: str, program: str = "web", config: str = CONFIG, triage: str = TRIAGE
) -> Iterator[Server]:
    """`bridge web` (or `run`) on a database, which is brought to the current schema first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bridge.yml").write_text(config.format(database=url))
    (folder / "triage.yml").write_text(triage)
    command = [sys.executable, "-m", "bridge", "--config", "bridge.yml"]
    migrated = subprocess.run(
        [*command, "db", "upgrade"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env=environment(),
    )
    if migrated.returncode:
        raise RuntimeError(f"bridge db upgrade failed: {migrated.stderr[-2000:]}")
    port = postgres.free_port()
    with server([*command, program, "--port", str(port)], folder, port, "/-/ready") as started:
        yield started


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """An empty database of a kind, with fsync on; gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "sqlite":
        try:
            yield f"sqlite:///{folder}/bridge.db"
        finally:
            for file in folder.glob("bridge.db*"):
                file.unlink()
        return
    with postgres.server(durable=True) as started:
        yield postgres.new_database(started, "bench")


def count(url: str, table: Table, *where: object) -> int:
    """How many rows of a table there are."""
    opened = connect(url)
    try:
        with opened.reading() as connection:
            query = select(func.count()).select_from(table).where(*where)  # type: ignore[arg-type]
            found: int = connection.execute(query).scalar_one()
    finally:
        opened.engine.dispose()
    return found


def environment() -> dict[str, str]:
    """The environment of every process of a bench."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:  # HTTPError is one: not ready yet
            time.sleep(0.05)
    told = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{url} does not answer; the end of its log:\n{told}")


def _family(pid: int) -> list[int]:
    """A process and everything below it."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [pid, *(found for child in text.split() for found in _family(int(child)))]


def _peak_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0  # it ended meanwhile
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
