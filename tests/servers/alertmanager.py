"""A real Alertmanager on loopback, and somebody who tells it alerts as a Prometheus does."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
import yaml

from bridge.demo.program import Program
from bridge.demo.stack import free_port
from tests.servers.waiting import wait_for

BINARIES = ("alertmanager", "prometheus-alertmanager")
# Prometheus lets an alert end by itself after four times its resend delay of one minute.
LASTS = timedelta(minutes=4)
_SAMPLE = re.compile(r"^(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Firing:
    """One episode at its origin. `fingerprint` is not known there; labels and start are."""

    labels: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None

    def ended(self, at: datetime | None = None) -> Firing:
        return replace(self, ends_at=at or datetime.now(UTC))

    def wire(self, lasts: timedelta) -> dict[str, Any]:
        """As Prometheus posts it: while it fires, with an end that the next post moves on."""
        ends_at = self.ends_at or datetime.now(UTC) + lasts
        return {
            "labels": dict(self.labels),
            "annotations": {"summary": self.labels["alertname"]},
            "startsAt": self.starts_at.isoformat(),
            "endsAt": ends_at.isoformat(),
            "generatorURL": "http://prometheus.test/graph",
        }


def firing(name: str, starts_at: datetime | None = None, **labels: str) -> Firing:
    """A P1 of acme's payments that begins now, unless another time is given."""
    told = {"alertname": name, "client": "acme", "service": "payments", "severity": "critical"}
    return Firing(told | labels, starts_at or datetime.now(UTC))


class Alertmanager:
    """One Alertmanager with a configuration of the test's; `arguments` can make it one of a cluster."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], arguments: Sequence[str] = (), port: int = 0
    ) -> None:
        binary = next(path for name in BINARIES if (path := shutil.which(name)))
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(dict(config), sort_keys=False), "utf-8")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._data = folder / "data"
        argv = [
            binary,
            f"--config.file={file}",
            f"--storage.path={self._data}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            *(arguments or ["--cluster.listen-address="]),
        ]
        self.program = Program(folder.name, argv, folder / "log")

    def __enter__(self) -> Alertmanager:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.program.stop()

    def start(self) -> Alertmanager:
        self.program.start()
        wait_for(self._ready, f"{self.program.name} to be ready", 60, self.program)
        return self

    def lose_everything(self) -> None:
        """It crashes, its disk is lost, and it comes back."""
        self.program.kill()
        shutil.rmtree(self._data)
        self.start()

    def tell(self, *alerts: Firing, lasts: timedelta = timedelta(hours=1)) -> None:
        """POST /api/v2/alerts; what fires ends by itself after `lasts` unless it is told again."""
        answer = requests.post(
            f"{self.url}/api/v2/alerts", json=[alert.wire(lasts) for alert in alerts], timeout=10
        )
        assert answer.ok, answer.text

    def alerts(self) -> list[dict[str, Any]]:
        """What it holds to be firing, with silences and inhibitions."""
        found: list[dict[str, Any]] = requests.get(f"{self.url}/api/v2/alerts", timeout=10).json()
        return found

    def silence(self, **labels: str) -> str:
        """Silence alerts with these labels for an hour; the silence's id."""
        now = datetime.now(UTC)
        matchers = [
            {"name": name, "value": value, "isRegex": False, "isEqual": True}
            for name, value in labels.items()
        ]
        body = {
            "matchers": matchers,
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "li",
            "comment": "a test",
        }
        answer = requests.post(f"{self.url}/api/v2/silences", json=body, timeout=10)
        assert answer.ok, answer.text
        return str(answer.json()["silenceID"])

    def expire(self, silence: str) -> None:
        """End a silence."""
        assert requests.delete(f"{self.url}/api/v2/silence/{silence}", timeout=10).ok

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that have these labels."""
        text = requests.get(f"{self.url}/metrics", timeout=10).text
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        return sum(
            float(sample["value"])
            for sample in _SAMPLE.finditer(text)
            if sample["name"] == name and wanted <= set((sample["labels"] or "").split(","))
        )

    def delivered(self, integration: str = "webhook") -> int:
        """Notifications that a receiver has answered 2xx."""
        sent = self.metric("alertmanager_notifications_total", integration=integration)
        failed = self.metric("alertmanager_notifications_failed_total", integration=integration)
        return int(sent - failed)

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=2).ok
        except requests.RequestException:
            return False


class Teller:
    """Tells what fires again and again, and for a while what has ended, as a Prometheus does."""

    def __init__(self, alertmanager: Alertmanager, every: float = 5.0) -> None:
        self._alertmanager = alertmanager
        self._every = every
        self._told: dict[str, Firing] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)

    def __enter__(self) -> Teller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(15)

    def say(self, alert: Firing) -> Firing:
        """Tell it now, and from now on."""
        with self._lock:
            self._told[alert.labels["alertname"]] = alert
        self._alertmanager.tell(alert, lasts=LASTS)
        return alert

    def _run(self) -> None:
        while not self._over.wait(self._every):
            with self._lock:
                told = list(self._told.values())
            if told:
                self._alertmanager.tell(*told, lasts=LASTS)
