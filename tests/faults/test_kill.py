"""kill -9 under load: what was answered 2xx is stored, and one problem stays one incident."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import requests
from sqlalchemy import func, select

from bridge.store import database
from bridge.store.schema import alerts, incidents, tasks
from tests import postgres
from tests.servers.http import Server, says

KILLS = int(os.environ.get("KILLS", "20"))
SENDERS = 8

CONFIG = """
url: http://127.0.0.1
database: {database}
sources:
  main: {{type: alertmanager, token: secret}}
clients:
  acme: {{name: Acme}}
priorities:
  P1: {{respond: 10m, restore: 1h}}
triage: [triage.yml]
policies:
  page: {{steps: [{{after: 0m, notify: [wall]}}]}}
channels:
  wall: {{type: webhook, url: "{wall}"}}
egress: {{allow: [127.0.0.0/8]}}
"""
TRIAGE = "- {name: all, priority: P1, incident_by: [group]}\n"


class Bridge:
    """A bridge process that is killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = postgres.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command("db", "upgrade")

    def command(self, *arguments: str) -> None:
        argv = [sys.executable, "-m", "bridge", "--config", "bridge.yml", *arguments]
        subprocess.run(argv, cwd=self.folder, check=True, capture_output=True)

    def start(self) -> None:
        argv = [sys.executable, "-m", "bridge", "--config", "bridge.yml", "run", "--port", str(self.port)]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(argv, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)
        log.close()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                if requests.get(f"{self.url}/-/ready", timeout=1).ok:
                    return
            except requests.RequestException:
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text()[-3000:])

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(params=["sqlite", "postgresql"])
def durable_url(request, tmp_path):
    """A database that really syncs to disk."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/bridge.db"
        return
    with postgres.server(durable=True) as server:
        yield postgres.new_database(server, "killed")


@pytest.mark.long
def test_no_alert_answered_2xx_is_lost_over_many_kills(tmp_path, durable_url):
    with Server(says(200)) as wall:
        (tmp_path / "bridge.yml").write_text(CONFIG.format(database=durable_url, wall=wall.url))
        (tmp_path / "triage.yml").write_text(TRIAGE)
        bridge = Bridge(tmp_path)
        bridge.start()
        answered, stop = send(bridge)
        chance = random.Random(7)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.3, 1.2))
            bridge.kill()
            bridge.start()
        stop()
        settle(durable_url)
        bridge.kill()
        first_pages = [request for request in wall.requests if b'"reason":"page"' in request.body]
    check(durable_url, answered, first_pages)


def send(bridge: Bridge, senders: int = SENDERS, pause: float = 0.0):
    """Post alerts without end from several threads; the fingerprints that were answered 200."""
    answered: list[str] = []
    over = threading.Event()
    numbers = itertools.count()

    def sender() -> None:
        session = requests.Session()
        while not over.is_set():
            names = [f"{next(numbers):016x}" for _ in range(5)]
            try:
                answer = session.post(
                    f"{bridge.url}/ingest/alertmanager/main",
                    data=body(names),
                    headers={"Authorization": "Bearer secret"},
                    timeout=10,
                )
            except requests.RequestException:
                session = requests.Session()
                time.sleep(0.02)
                continue
            over.wait(pause)
            if answer.status_code == 200:
                answered.extend(names)
            else:
                assert answer.status_code == 503, answer.text

    threads = [threading.Thread(target=sender) for _ in range(senders)]
    for thread in threads:
        thread.start()

    def stop() -> None:
        over.set()
        for thread in threads:
            thread.join()

    return answered, stop


def body(names: list[str]) -> str:
    """A webhook of Alertmanager with these fingerprints, in fifty groups."""
    found = [
        {
            "status": "firing",
            "labels": {"alertname": "Load", "client": "acme", "n": name, "group": str(int(name, 16) % 50)},
            "annotations": {},
            "startsAt": "2026-11-22T03:51:09.684Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": name,
        }
        for name in names
    ]
    return json.dumps({"version": "4", "alerts": found, "truncatedAlerts": 0, "groupKey": "{}"})


def settle(url: str) -> None:
    """Wait until nothing is left to be sent."""
    found = database.connect(url)
    until = time.monotonic() + 90
    while time.monotonic() < until:
        with found.reading() as connection:
            if not connection.execute(
                select(func.count()).select_from(tasks).where(tasks.c.state == "pending")
            ).scalar_one():
                break
        time.sleep(0.5)
    found.engine.dispose()


def stored(url: str) -> set[str]:
    """Fingerprints in the database."""
    found = database.connect(url)
    with found.reading() as connection:
        kept = set(connection.execute(select(alerts.c.fingerprint)).scalars())
    found.engine.dispose()
    return kept


def check(url: str, answered: list[str], first_pages: list) -> None:
    found = database.connect(url)
    with found.reading() as connection:
        kept = set(connection.execute(select(alerts.c.fingerprint)).scalars())
        opened = connection.execute(select(func.count()).select_from(incidents)).scalar_one()
        orphans = connection.execute(
            select(func.count()).select_from(alerts).where(alerts.c.incident.is_(None))
        ).scalar_one()
    damage = database.check(found)
    found.engine.dispose()
    lost = set(answered) - kept
    kinds = url.partition(":")[0]
    print(f"\n{kinds}: {KILLS} kills, answered {len(answered)}, stored {len(kept)}, lost {len(lost)}")
    print(f"first pages {len(first_pages)} for {opened} incidents")
    assert len(answered) > 10 * KILLS, "the load must be real"
    assert lost == set()
    assert (opened, orphans, damage) == (50, 0, [])
    ids = {json.loads(request.body)["id"] for request in first_pages}
    assert len(ids) == 50, "one first page for each incident"
    often = Counter(json.loads(request.body)["id"] for request in first_pages)
    # A kill between the provider's yes and our commit repeats that page, with the same id.
    assert max(often.values()) <= 1 + KILLS
