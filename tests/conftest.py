"""What every test can ask for: a clock to turn, a bridge on either database, captured payloads."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.store import database
from bridge.wiring import Bridge, read_config, wire
from tests import postgres

FIXTURES = Path(__file__).parent / "fixtures"
START = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)  # a Wednesday, 10:00 in Shanghai
_numbers = itertools.count()

CONFIG = """
url: https://bridge.test
database: {database}
sources:
  main: {{type: alertmanager, token: ingest-secret}}
  second: {{type: alertmanager, token: other-secret}}
  form: {{type: form, token: form-secret}}
clients:
  acme: {{name: 安可科技, language: zh, time_zone: Asia/Shanghai, slo: {{payments: 99.9}}}}
  nord: {{name: Nord Direct, time_zone: Europe/Berlin}}
services:
  payments: {{runbook: https://runbooks.test/payments}}
priorities:
  P1: {{respond: 10m, restore: 1h}}
  P2: {{plan: 24h, fix: 2w, calendar: office}}
  P3: {{page: false}}
calendars:
  office: {{time_zone: Asia/Shanghai, days: mon-fri, hours: "09:00-18:00", holidays: CN}}
triage: [triage.yml]
responders:
  li: {{name: 李雷, language: zh, channels: [li-chat, li-mail]}}
  han: {{name: 韩梅梅, language: zh, channels: [han-chat]}}
schedules:
  payments: {{rotation: {{people: [li, han], every: 1w, from: 2026-11-23T09:00, time_zone: Asia/Shanghai}}}}
policies:
  page: {{repeat: 1, steps: [{{after: 0m, notify: [schedule:payments]}}, {{after: 5m, notify: [han]}}]}}
channels:
  li-chat: {{type: console}}
  li-mail: {{type: console}}
  han-chat: {{type: console}}
egress: {{allow: [127.0.0.0/8]}}
{more}
"""

TRIAGE = """
- name: payment path down
  match: ['service="payments"', 'severity="critical"']
  priority: P1
  incident_by: [client, service, gateway]
- name: warning
  match: ['severity="warning"']
  priority: P2
- name: default
"""


class Clock:
    """Time that only moves when a test says so."""

    def __init__(self, start: datetime = START) -> None:
        self.moment = start

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **length: float) -> datetime:
        """Let time pass: forward(minutes=5)."""
        self.moment += timedelta(**length)
        return self.moment


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "bridge.db"
    made = database.connect(f"sqlite:///{path}")
    database.upgrade(made)
    made.engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """One throw-away PostgreSQL for the whole run, with a migrated template database."""
    with postgres.server() as url:
        made = database.connect(postgres.new_database(url, "migrated"))
        database.upgrade(made)
        made.engine.dispose()
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database; tests that use it run on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "bridge.db"
        shutil.copy(request.getfixturevalue("_sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgres_server")
    name = f"test_{next(_numbers)}"
    yield postgres.new_database(server, name, "migrated")
    postgres.drop_database(server, name)


@pytest.fixture
def store(database_url: str) -> Iterator[database.Database]:
    """An open, empty, migrated database."""
    found = database.connect(database_url)
    yield found
    found.engine.dispose()


@pytest.fixture
def clock() -> Clock:
    """A clock at Wednesday 2026-11-25 02:00 UTC."""
    return Clock()


@pytest.fixture
def make_bridge(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Bridge]]:
    """Wire a bridge on the test's database: make_bridge(more="…yaml…", triage="…")."""
    made: list[Bridge] = []

    def make(more: str = "", triage: str = TRIAGE) -> Bridge:
        (tmp_path / "triage.yml").write_text(triage)
        file = tmp_path / "bridge.yml"
        file.write_text(CONFIG.format(database=database_url, more=more))
        made.append(wire(read_config(file), now=clock, file=file))
        return made[-1]

    yield make
    for bridge in made:
        bridge.database.engine.dispose()


@pytest.fixture
def bridge(make_bridge: Callable[..., Bridge]) -> Bridge:
    """The usual bridge on a fake clock."""
    return make_bridge()


def payload(name: str) -> bytes:
    """A captured body of tests/fixtures/alertmanager."""
    return (FIXTURES / "alertmanager" / f"{name}.json").read_bytes()
