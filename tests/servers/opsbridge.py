"""A bridge as people run it: a process of its own, on a database of its own, with a receiver of pages."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from bridge.demo.program import Program
from bridge.demo.stack import free_port
from bridge.store import database as stores
from bridge.store import people
from tests.servers.http import Server, says
from tests.servers.waiting import wait_for

TOKEN = "ingest-secret-of-this-test"

CONFIG = """\
url: http://127.0.0.1:{port}
database: {database}
sources:
{sources}
clients:
  acme: {{name: Acme}}
priorities:
  P1: {{respond: 10m, restore: 1h}}
  P3: {{page: false}}
triage: [triage.yml]
policies:
  page: {{steps: [{{after: 0m, notify: [wall]}}]}}
channels:
  wall: {{type: webhook, url: "{wall}"}}
egress: {{allow: [127.0.0.0/8]}}
{more}
"""
SOURCES = f"  main: {{type: alertmanager, token: {TOKEN}}}"
TRIAGE = """\
- {name: critical, match: ['severity="critical"'], priority: P1, incident_by: [client, service, alertname]}
- {name: everything else, priority: P3}
"""


class Opsbridge:
    """The bridge and its wall, where pages arrive; the wall's own list is the witness."""

    def __init__(
        self,
        folder: Path,
        *,
        database: str = "",
        port: int = 0,
        sources: str = SOURCES,
        triage: str = TRIAGE,
        more: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.wall = Server(says(200))
        self.file = folder / "bridge.yml"
        self.database = database or f"sqlite:///{folder}/bridge.db"
        text = CONFIG.format(
            port=self.port, database=self.database, sources=sources, wall=self.wall.url, more=more
        )
        self.file.write_text(text, "utf-8")
        (folder / "triage.yml").write_text(triage, "utf-8")
        command = [sys.executable, "-m", "bridge", "--config", str(self.file)]
        argv = [*command, "run", "--host", "127.0.0.1", "--port", str(self.port)]
        self.program = Program(folder.name, argv, folder / "log")
        self._token = ""

    def __enter__(self) -> Opsbridge:
        self.wall.__enter__()
        try:
            self.start()
            self._token = self._new_token()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()
        self.wall.__exit__()

    def start(self) -> None:
        """Start it (again) and wait until it is ready."""
        self.program.start()
        wait_for(self.ready, "the bridge to be ready", 60, self.program)

    def kill(self) -> None:
        """End all of it at once: the process that serves is a child of the one we started."""
        os.killpg(self.program.pid or 0, signal.SIGKILL)
        self.program.kill()

    def ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=10).ok
        except requests.RequestException:
            return False

    def _new_token(self) -> str:
        """What `bridge token add` does, without the seconds that a second program takes to start."""
        found = stores.connect(self.database)
        try:
            return found.run(
                lambda connection: people.new_token(connection, "test", ["api:read"], datetime.now(UTC))
            )
        finally:
            found.engine.dispose()

    def webhook(self, path: str = "/ingest/alertmanager") -> dict[str, Any]:
        """The receiver to put into an Alertmanager's `webhook_configs`."""
        authorization = {"type": "Bearer", "credentials": TOKEN}
        return {"url": self.url + path, "http_config": {"authorization": authorization}}

    def api(self, path: str) -> Any:
        """GET below /api/v1."""
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = requests.get(f"{self.url}/api/v1{path}", headers=headers, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def incidents(self, about: str = "") -> list[dict[str, Any]]:
        """Incidents whose title or key has this word, oldest first."""
        found: list[dict[str, Any]] = self.api(f"/incidents?limit=1000&q={about}")["items"]
        return found[::-1]

    def incident(self, number: str) -> dict[str, Any]:
        """One incident with its alerts, timeline and messages."""
        found: dict[str, Any] = self.api(f"/incidents/{number.removeprefix('INC-')}")
        return found

    def episodes(self, about: str) -> list[dict[str, Any]]:
        """Episodes of the alert with this name, oldest first."""
        found = self.api("/alerts?limit=1000")["items"]
        mine = [episode for episode in found if episode["labels"]["alertname"] == about]
        return sorted(mine, key=lambda episode: str(episode["starts_at"]))

    def deliveries_of(self, name: str) -> list[dict[str, Any]]:
        """What Alertmanagers that group by alert name delivered about this one, copies included."""
        rows = self.api("/deliveries?limit=1000")["items"]
        return [row for row in rows if f'alertname="{name}"' in row["group"]]

    def told(self, number: str) -> Counter[str]:
        """How often the wall was told of an incident, by reason."""
        bodies = [request.json for request in self.wall.requests]
        return Counter(body["reason"] for body in bodies if body["incident"] == number)

    def metric(self, name: str) -> float:
        """The sum of a metric's series; `name` may go on into the labels."""
        lines = requests.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))
