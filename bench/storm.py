"""One client's storm, another client's P1: how long until it is stored, and until somebody is paged.

`python bench/storm.py [--database sqlite|postgresql|both] [--rounds 3] [--alerts 10000] [--priority P1]`

A real `bridge run` and a real receiver. Ten thousand alerts of ten thousand different problems come as fast
as the program takes them; a second after the first, or when half of them came, another client's P1 does. Its pages go through the same
channel as those of the storm. The exit code is 1 when a round could not be measured, with --strict also
when a goal was missed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import payload, servers  # noqa: E402  # after the path is set
from bench.goals import Goal, Results  # noqa: E402
from bridge.store.schema import alerts, incidents, tasks  # noqa: E402
from tests import postgres  # noqa: E402

STORED_SECONDS = 1
PAGED_SECONDS = 10
CONNECTIONS = 4
SIZES = (50, 100, 200, 500)
LEAD_SECONDS = 1.0
_HEADERS = {"Authorization": f"Bearer {payload.TOKEN}", "Content-Type": "application/json"}
_SEVERITY = {"P1": "critical", "P2": "warning"}

CONFIG = f"""
url: http://127.0.0.1
database: {{database}}
sources:
  main: {{{{type: alertmanager, token: {payload.TOKEN}}}}}
clients:
  acme: {{{{name: Acme}}}}
  nord: {{{{name: Nord}}}}
priorities:
  P1: {{{{respond: 10m, restore: 1h}}}}
  P2: {{{{plan: 24h, fix: 2w}}}}
triage: [triage.yml]
policies:
  page: {{{{steps: [{{{{after: 0m, notify: [hook]}}}}]}}}}
channels:
  hook: {{{{type: webhook, url: "http://127.0.0.1:RECEIVER/"}}}}
egress: {{{{allow: [127.0.0.0/8]}}}}
"""
TRIAGE = """
- name: critical
  match: ['severity="critical"']
  priority: P1
  incident_by: [client, alertname, instance]
- name: rest
  priority: P2
  incident_by: [client, alertname, instance]
"""


@dataclass
class Told:
    """What a round gave; seconds count from the POST of the P1, or from the first POST of the storm."""

    stored: float = float("nan")
    paged: float = float("nan")
    storm_stored: float = float("nan")
    queue_empty: float = float("nan")
    incidents: int = 0
    messages: int = 0
    left: int = 0
    refused: int = 0
    peak_mb: float = 0.0


@dataclass
class Storm:
    """The senders of the storm. `refused`: posts answered otherwise than 200, which are sent again."""

    port: int
    bodies: queue.SimpleQueue[bytes] = field(default_factory=queue.SimpleQueue)
    refused: int = 0
    ended: float = 0.0
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def wait_until_half(self, seconds: float) -> None:
        """Until half of it was taken from the queue, for at most so long."""
        until = time.monotonic() + seconds
        half = self.bodies.qsize() / 2
        while time.monotonic() < until and self.bodies.qsize() > half:
            time.sleep(0.005)

    def wait(self, seconds: float) -> bool:
        """Until everything was answered 200, for at most so long."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _send(self) -> None:
        while True:
            try:
                body = self.bodies.get_nowait()
            except queue.Empty:
                return
            while post(self.port, body) is None:  # as Alertmanager does
                self.refused += 1
                time.sleep(0.2)
            self.ended = time.monotonic()


def main() -> int:
    """Repeat the storm on each database."""
    given = _arguments()
    kinds = list(servers.KINDS) if given.database == "both" else [given.database]
    results = Results()
    with tempfile.TemporaryDirectory(prefix="opsbridge-storm-") as folder:
        for kind in kinds:
            results.part(kind, partial(_measure, work=Path(folder) / kind, kind=kind, given=given))
    return results.end(strict=given.strict)


def _measure(results: Results, work: Path, kind: str, given: argparse.Namespace) -> None:
    """The worst round counts."""
    rounds = []
    for number in range(given.rounds):
        told = _round(work / str(number), kind, given)
        rounds.append(told)
        print(
            f"{kind}: P1 stored after {told.stored:.2f} s, paged after {told.paged:.2f} s; storm of {given.alerts} "
            f"{given.priority} stored after {told.storm_stored:.1f} s ({told.refused} posts sent again): "
            f"{told.incidents} incidents, {told.messages} messages; queue empty after {told.queue_empty:.1f} s "
            f"({told.left} left); peak {told.peak_mb:.0f} MB",
            flush=True,
        )
    results.figures[kind] = [vars(told) for told in rounds]
    stored = _worst([told.stored for told in rounds])
    paged = _worst([told.paged for told in rounds])
    results.goals += [
        Goal(f"{kind} seconds until another client's P1 is stored", stored, STORED_SECONDS, most=True),
        Goal(f"{kind} seconds until it is paged", paged, PAGED_SECONDS, most=True),
    ]


def _worst(values: list[float]) -> float:
    """The largest; no number is worse than any."""
    return float("nan") if any(map(math.isnan, values)) else max(values)


def _round(folder: Path, kind: str, given: argparse.Namespace) -> Told:
    """A fresh database, program and receiver."""
    told = Told()
    with receiver(folder) as (port, messages), servers.database(kind, folder) as url:
        config = CONFIG.replace("RECEIVER", str(port))
        with servers.bridge(folder, url, "run", config, TRIAGE) as started:
            storm = Storm(started.port)
            for body in _bodies(given.alerts, given.priority):
                storm.bodies.put(body)
            begun = time.monotonic()
            storm.start()
            storm.wait_until_half(LEAD_SECONDS)
            sent = time.monotonic()
            number = _post_p1(started.port, given.patience)
            told.stored = time.monotonic() - sent
            told.paged = _arrival(messages, number, sent, given.patience) - sent
            if not storm.wait(given.patience):
                raise RuntimeError(f"the storm is not stored after {given.patience} s")
            told.storm_stored, told.refused = storm.ended - begun, storm.refused
            told.left = _drain(url, given.patience)
            told.queue_empty = time.monotonic() - begun if told.left == 0 else float("nan")
            told.peak_mb = started.peak_mb()
        told.incidents = servers.count(url, incidents, incidents.c.client == "acme")
        told.messages = sum(message["incident"] != number for _, message in _read(messages))
        kept = servers.count(url, alerts)
    if kept < given.alerts + 1:
        raise RuntimeError(f"{given.alerts + 1} alerts were answered 200, {kept} are stored")
    return told


def _bodies(total: int, priority: str) -> Iterator[bytes]:
    """Posts of 50 to 500 alerts, every alert a problem of its own."""
    first, turn = 0, 0
    while first < total:
        size = min(SIZES[turn % len(SIZES)], total - first)
        yield payload.webhook(
            payload.alert(number, alertname=f"Storm{number % 97}", severity=_SEVERITY[priority])
            for number in range(first, first + size)
        )
        first, turn = first + size, turn + 1


def _post_p1(port: int, patience: float) -> str:
    """Send the other client's P1 until it is answered 200; its incident."""
    told = payload.alert(4_000_000, client="nord", alertname="CheckoutDown", severity="critical")
    body = payload.webhook([told])
    until = time.monotonic() + patience
    while time.monotonic() < until:
        answer = post(port, body)
        if answer is not None:
            return str(answer["incidents"][0])
    raise RuntimeError(f"the P1 is not stored after {patience} s")


def post(port: int, body: bytes) -> dict[str, list[str]] | None:
    """One webhook on a new connection; None when it was not answered 200."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        line.request("POST", servers.INGEST, body, _HEADERS)
        answer = line.getresponse()
        said = answer.read()
        return json.loads(said) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        line.close()


@contextmanager
def receiver(folder: Path) -> Iterator[tuple[int, Path]]:
    """A process that notes messages: its port, and the file it writes."""
    place = folder / "receiver"
    place.mkdir(parents=True)
    port = postgres.free_port()
    file = place / "messages"
    with servers.server([sys.executable, "-m", "bench.receiver", str(port), str(file)], place, port, "/"):
        yield port, file


def _arrival(messages: Path, incident: str, since: float, patience: float) -> float:
    """When the first page about an incident came; NaN when none did."""
    while time.monotonic() < since + patience:
        for at, message in _read(messages):
            if message["incident"] == incident and message["reason"] == "page":
                return at
        time.sleep(0.1)
    return float("nan")


def _read(messages: Path) -> Iterator[tuple[float, dict[str, str]]]:
    for line in messages.read_text().splitlines(keepends=True):
        if line.endswith("\n"):  # else it is being written
            noted = json.loads(line)
            yield noted["at"], noted["message"]


def _drain(url: str, patience: float) -> int:
    """Wait until no task is pending; how many are left."""
    until = time.monotonic() + patience
    while True:
        left = servers.count(url, tasks, tasks.c.state == "pending")
        if left == 0 or time.monotonic() > until:
            return left
        time.sleep(0.25)


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--database", choices=[*servers.KINDS, "both"], default="both")
    options.add_argument("--rounds", type=int, default=3, help="repetitions; the worst counts")
    options.add_argument("--alerts", type=int, default=10_000, help="size of the storm")
    options.add_argument(
        "--priority", choices=[*_SEVERITY], default="P1", help="priority of the storm's incidents"
    )
    options.add_argument("--patience", type=float, default=120, help="seconds to wait for each thing")
    options.add_argument("--strict", action="store_true", help="exit with 1 when a goal is missed")
    return options.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
