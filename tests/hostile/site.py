"""A whole opsbridge without a socket, and what one delivery left behind in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from bridge import selfwatch
from bridge.intake import Intake
from bridge.model import State
from bridge.store import people
from bridge.store.schema import alerts, deliveries, quarantine
from bridge.web import create_app
from bridge.wiring import read_config, wire
from tests.conftest import CONFIG, Clock

# Beside the three sources of every test: one of each other kind.
SOURCES = """\
  grafana: {{type: grafana, token: grafana-secret}}
  pager: {{type: pagerduty, token: pager-secret}}
  beat: {{type: heartbeat, token: beat-secret, every: 1h}}
  form:"""
SLOWEST = 2.0  # seconds; a sender's patience is longer, a person's is not
# One incident for each `case`, and every one of them wakes somebody.
TRIAGE = """
- name: hostile
  match: ['case!=""']
  priority: P1
  incident_by: [case, client, service, alertname]
- name: the rest
  incident_by: [alertname]
"""


@dataclass(frozen=True)
class Left:
    """What one request changed: episodes of senders, raw bodies kept, own alerts told, oddities noted."""

    answer: TestResponse
    seconds: float
    stored: tuple[Any, ...]
    kept: tuple[bytes, ...]
    told: tuple[str, ...]
    flaws: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Nothing at all."""
        return not (self.stored or self.kept or self.told or self.flaws)


@dataclass
class Site:
    """An application over a database of its own; every request comes a `step` after the one before.

    `short`: Alertmanager's deliveries take the short way in front of Flask, as those of a busy sender do.
    """

    url: str
    folder: Path
    more: str = ""
    step: timedelta = timedelta(minutes=1)
    short: bool = False
    clock: Clock = field(default_factory=Clock)

    def __enter__(self) -> Site:
        (self.folder / "triage.yml").write_text(TRIAGE)
        self.file = self.folder / "bridge.yml"
        config = CONFIG.replace("  form:", SOURCES)
        self.file.write_text(config.format(database=self.url, more=self.more))
        self.bridge = wire(read_config(self.file), now=self.clock, file=self.file)
        self.intake = Intake(self.bridge)
        self.intake.start()
        self.app = create_app(self.bridge, self.intake)
        secret = self.bridge.database.run(
            lambda c: people.new_token(c, "robot", ["api:read", "api:write"], self.bridge.now())
        )
        self.robot = {"Authorization": f"Bearer {secret}"}
        return self

    def __exit__(self, *_: object) -> None:
        self.intake.stop()
        self.bridge.database.engine.dispose()

    def client(self) -> FlaskClient:
        """Somebody without credentials."""
        return self.app.test_client()

    def send(self, method: str, path: str, raw: bytes, headers: Mapping[str, str]) -> Left:
        """One request, its answer, and what it left behind."""
        self._warm()
        self.clock.forward(seconds=self.step.total_seconds())
        before = {table.name: self._newest(table) for table in (alerts, quarantine, deliveries)}
        began = time.monotonic()
        answer = self.client().open(path, method=method, data=raw, headers=dict(headers))
        seconds = time.monotonic() - began
        with self.bridge.database.reading() as connection:

            def fresh(table: Any) -> list[Any]:
                query = select(table).where(table.c.id > before[table.name]).order_by(table.c.id)
                return list(connection.execute(query))

            # Our own alerts go on with the episode that fires.
            own = select(alerts).where(
                alerts.c.source == selfwatch.SOURCE,
                alerts.c.last_seen >= self.clock(),
                alerts.c.state == State.FIRING,
            )
            return Left(
                answer=answer,
                seconds=seconds,
                stored=tuple(row for row in fresh(alerts) if row.source != selfwatch.SOURCE),
                kept=tuple(row.body for row in fresh(quarantine)),
                told=tuple(row.labels["alertname"] for row in connection.execute(own)),
                flaws=tuple(flaw for row in fresh(deliveries) for flaw in row.flaws),
            )

    def _warm(self) -> None:
        """Let the short way know its sender, or forget everybody."""
        self.app.extensions["fastlane"]._known.clear()
        if self.short:
            body = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Warm"}}]}
            headers = {"Authorization": "Bearer ingest-secret"}
            answer = self.client().post("/ingest/alertmanager/main", json=body, headers=headers)
            assert answer.status_code == 200

    def read(self, work: Callable[[Any], Any]) -> Any:
        """Look into the database."""
        with self.bridge.database.reading() as connection:
            return work(connection)

    def _newest(self, table: Any) -> int:
        return int(self.read(lambda c: c.execute(select(func.max(table.c.id))).scalar() or 0))

    @property
    def recently(self) -> str:
        """A start two minutes ago, as Alertmanager writes it."""
        return (self.clock() - timedelta(minutes=2)).isoformat().replace("+00:00", "Z")
