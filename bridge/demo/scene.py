"""The stage of the demo and the end-to-end tests: gateway, Prometheus, Alertmanager, a bridge process."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import requests

from bridge.demo.gateway import Gateway, GatewayConfig
from bridge.demo.program import Program, ProgramFailed
from bridge.demo.stack import Stack, StackConfig, free_port, gateway_targets

T = TypeVar("T")

CLIENT: Final = "acme"
PLAN: Final = "pay-standby"
HOST: Final = "127.0.0.1"

# The two channels are the console's; the end-to-end tests put real servers in their place.
CHANNELS: Final = """\
  li-phone: {type: console}
  han-phone: {type: console}
"""

_CONFIG: Final = """\
url: {bridge}
database: {database}
sources:
  main:
    type: alertmanager
    token_file: {work}/ingest-token
    api: "{alertmanager}"
    prometheus: "{prometheus}"
clients:
  acme:
    name: 安可科技
    language: zh
    time_zone: Asia/Shanghai
    tier: gold
    slo: {{payments: 99.9}}
    report: {{formats: [html, pdf], selector: 'client="acme"'}}
services:
  payments: {{runbook: "https://bridge.example/runbooks/payments", failover: pay-standby}}
priorities:
  P1: {{respond: 10m, restore: 1h}}
  P2: {{plan: 24h, fix: 2w, calendar: office}}
  P3: {{page: false}}
  P4: {{page: false}}
calendars:
  office: {{time_zone: Asia/Shanghai, days: mon-fri, hours: "09:00-18:00", holidays: CN}}
triage: [triage.yml]
responders:
  li: {{name: 李雷, language: zh, channels: [li-phone]}}
  han: {{name: 韩梅梅, language: en, channels: [han-phone]}}
schedules:
  payments: {{rotation: {{people: [li], every: 1w, from: 2026-01-05T09:00, time_zone: Asia/Shanghai}}}}
policies:
  page: {{steps: [{{after: 0s, notify: [schedule:payments]}}, {{after: {second_step}, notify: [han]}}]}}
channels:
{channels}
trackers:
  board: {{type: console}}
failover:
  pay-standby:
    mode: {mode}
    service: payments
    on: {{priority: P1, match: ['alertname="PaymentGatewayTimeout"']}}
    precheck: [{{http: "{gateway}/channels/standby/health"}}, {{promql: 'up{{job="pay-standby"}} == 1'}}]
    act:
      type: http
      url: "{gateway}/switch"
      body: {{active: standby}}
      secret_file: {work}/gateway-secret
    verify: [{{promql: 'payment_success_ratio{{client="acme", service="payments"}} > 0.98', within: 90s}}]
    rollback:
      type: http
      url: "{gateway}/switch"
      body: {{active: primary}}
      secret_file: {work}/gateway-secret
    limits: {{cooldown: 60m, per_day: 2, per_hour_all: 3}}
reports: {{folder: {work}/reports}}
egress: {{allow: [127.0.0.0/8]}}
"""

_TRIAGE: Final = """\
- name: watchdog
  match: ['alertname="Watchdog"']
  priority: P4
- name: payment path down
  match: ['service="payments"', 'severity="critical"']
  priority: P1
  incident_by: [client, service, gateway]
- name: everything else
"""


class GaveUp(Exception):
    """Something that was waited for did not happen in time."""


@dataclass(frozen=True)
class SceneConfig:
    """What differs between the demo and the tests. An empty database URL means SQLite in `work`."""

    work: Path
    port: int = 0
    mode: str = "auto"
    channels: str = CHANNELS
    second_step: str = "5s"
    database: str = ""
    stack: dict[str, Any] = field(default_factory=dict)


class Scene:
    """Everything of the main line, running for real on loopback."""

    def __init__(self, config: SceneConfig) -> None:
        self.work = config.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.port = config.port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        ingest = self._secret("ingest-token")
        self.gateway = Gateway(
            GatewayConfig(
                clients=(CLIENT,),
                secret=self._secret("gateway-secret").encode(),
                ledger_file=self.work / "ledger.jsonl",
            )
        )
        self.gateway.start()
        self.stack = Stack(
            StackConfig(
                work=self.work / "stack",
                webhook_url=f"{self.url}/ingest/alertmanager",
                token=ingest,
                targets=gateway_targets(self.gateway.port, CLIENT),
                **config.stack,
            )
        )
        self.file = self.work / "bridge.yml"
        self.file.write_text(self._configuration(config), "utf-8")
        (self.work / "triage.yml").write_text(_TRIAGE, "utf-8")
        argv = [
            sys.executable,
            "-m",
            "bridge",
            "--config",
            str(self.file),
            "run",
            "--host",
            HOST,
            "--port",
            str(self.port),
        ]
        self.bridge = Program("bridge", argv, self.work / "bridge.log")
        self._token = ""

    def start(self) -> Self:
        """Start the bridge first, so that it hears the first alert, then the stack."""
        self.command("db", "upgrade")
        added = self.command("token", "add", "demo", "--scope", "api:read", "--scope", "api:write")
        self._token = added.splitlines()[-1]
        self.start_bridge()
        self.stack.start()
        return self

    def start_bridge(self) -> None:
        """Start the bridge process (again) and wait until it is ready."""
        self.bridge.start()
        self.wait_for(self._ready, "the bridge to be ready", 30)

    def stop(self) -> None:
        """End everything."""
        self.bridge.stop()
        self.stack.stop()
        self.gateway.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def command(self, *arguments: str) -> str:
        """Run `bridge …` with the scene's configuration; its standard output. Raises ProgramFailed."""
        argv = [sys.executable, "-m", "bridge", "--config", str(self.file), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            raise ProgramFailed(
                f"bridge {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}"
            )
        return done.stdout

    def api(self, method: str, path: str, **body: Any) -> Any:
        """Call the bridge's API; the answer's JSON. Raises ProgramFailed for anything but 2xx."""
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = requests.request(method, self.url + path, headers=headers, json=body or None, timeout=10)
        if not answer.ok:
            raise ProgramFailed(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def incidents(self, **filters: str) -> list[dict[str, Any]]:
        """Incidents from the API, newest first."""
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        found: list[dict[str, Any]] = self.api("GET", f"/api/v1/incidents?{query}")["items"]
        return found

    def wait_for(self, look: Callable[[], T], what: str, seconds: float) -> T:
        """Look again and again until the answer is true; raises GaveUp or, when it died, ProgramFailed."""
        until = time.monotonic() + seconds
        while True:
            self.bridge.check()
            found = look()
            if found:
                return found
            if time.monotonic() > until:
                raise GaveUp(
                    f"waited {seconds:g} s for {what}; the bridge's log ends:\n{self.bridge.log_tail()}"
                )
            time.sleep(0.2)

    def success_ratio(self) -> float | None:
        """Payments that succeed, as Prometheus sees them; None without data."""
        promql = f'payment_success_ratio{{client="{CLIENT}"}}'
        answer = requests.get(
            f"{self.stack.prometheus_url}/api/v1/query", params={"query": promql}, timeout=5
        )
        found = answer.json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=2).ok
        except requests.RequestException:
            return False

    def _secret(self, name: str) -> str:
        path = self.work / name
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def _configuration(self, config: SceneConfig) -> str:
        return _CONFIG.format(
            work=self.work,
            bridge=self.url,
            database=config.database or f"sqlite:///{self.work}/bridge.db",
            alertmanager=self.stack.alertmanager_urls[0],
            prometheus=self.stack.prometheus_url,
            gateway=self.gateway.url,
            channels=config.channels.rstrip("\n"),
            second_step=config.second_step,
            mode=config.mode,
        )
