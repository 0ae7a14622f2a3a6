"""One real `bridge web` process and a socket that says to it whatever a test wants."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests
from sqlalchemy import func, select

from bridge import selfwatch
from bridge.store import database
from bridge.store.schema import alerts, quarantine
from tests import postgres

LARGEST = 1024 * 1024
CONFIG = """
url: http://127.0.0.1
database: sqlite:///{folder}/bridge.db
sources:
  main: {{type: alertmanager, token: secret}}
  other: {{type: alertmanager, token: other}}
clients:
  acme: {{name: Acme}}
priorities:
  P1: {{respond: 10m, restore: 1h}}
triage: [triage.yml]
policies:
  page: {{steps: [{{after: 0m, notify: [wall]}}]}}
channels:
  wall: {{type: console}}
intake: {{largest_body: {largest}}}
"""
TRIAGE = "- {name: all, priority: P1, incident_by: [alertname]}\n"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class Said:
    """The statuses of the answers, in order, without 100; and how long the last one took to come."""

    statuses: tuple[int, ...]
    seconds: float
    text: bytes


class Server:
    """The process; `folder` holds its configuration, its database and what it logged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = postgres.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "bridge.yml").write_text(CONFIG.format(folder=folder, largest=LARGEST))
        (folder / "triage.yml").write_text(TRIAGE)
        self._command = [sys.executable, "-m", "bridge", "--config", str(folder / "bridge.yml")]
        self._root = Path(__file__).parents[2]

    def __enter__(self) -> Server:
        subprocess.run([*self._command, "db", "upgrade"], cwd=self._root, check=True, capture_output=True)
        with (self.folder / "log").open("wb") as log:
            argv = [*self._command, "web", "--port", str(self.port)]
            self._process = subprocess.Popen(
                argv, cwd=self._root, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + 30
        while not self._ready():
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)
        (self.worker,) = psutil.Process(self._process.pid).children()
        self.database = database.connect(f"sqlite:///{self.folder}/bridge.db")
        return self

    def __exit__(self, *_: object) -> None:
        self.database.engine.dispose()
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=1).ok
        except requests.RequestException:
            return False

    def log(self) -> str:
        """Everything it wrote so far."""
        return (self.folder / "log").read_text("utf-8")

    @property
    def alive(self) -> bool:
        """The process that was started still serves; Granian would have put another in its place."""
        return bool(self.worker.is_running() and self.worker.status() != psutil.STATUS_ZOMBIE)

    def opened(self) -> socket.socket:
        """A connection; close it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def say(self, *parts: bytes, pause: float = 0.0, answers: int = 1, half_close: bool = False) -> Said:
        """Send the parts with a pause between them, and wait for so many answers or the end."""
        got = b""
        with self.opened() as link:
            try:
                for number, part in enumerate(parts):
                    time.sleep(pause if number else 0)
                    link.sendall(part)
                if half_close:
                    link.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before everything was said; the answer may still be there
            began = time.monotonic()
            link.settimeout(2.5)
            try:
                while len(_answers(got)) < answers or not _whole(got, head=parts[-1].startswith(b"HEAD")):
                    heard = link.recv(65536)
                    if not heard:
                        break
                    got += heard
            except OSError:
                pass
        return Said(_answers(got), time.monotonic() - began, got)

    def stored(self) -> list[str]:
        """The names of the alerts that are stored, but for our own."""
        with self.database.reading() as connection:
            query = select(alerts.c.labels).where(alerts.c.source != selfwatch.SOURCE)
            return [row.labels["alertname"] for row in connection.execute(query)]

    def kept(self) -> int:
        """How many bodies are in quarantine."""
        with self.database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(quarantine)).scalar_one())

    def told(self) -> Counter[str]:
        """How often each of our own alerts was told."""
        with self.database.reading() as connection:
            query = select(alerts).where(alerts.c.source == selfwatch.SOURCE)
            rows = connection.execute(query).all()
        return Counter({row.labels["alertname"]: row.occurrences for row in rows})


def _answers(got: bytes) -> tuple[int, ...]:
    return tuple(status for status in map(int, _STATUS.findall(got)) if status != 100)


def _whole(got: bytes, *, head: bool) -> bool:
    """Has the last answer's body arrived?"""
    top, _, body = got[max(got.rfind(b"HTTP/1."), 0) :].partition(b"\r\n\r\n")
    size = re.search(rb"(?i)content-length: (\d+)", top)
    return bool(_STATUS.search(top)) and (head or size is None or len(body) >= int(size[1]))
