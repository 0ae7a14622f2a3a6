"""Alertmanager's and Prometheus' APIs on a real server, with the answers of the real ones as a start."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge.config.values import Duration
from bridge.wiring import Bridge
from tests.servers.http import Behaviour, Exchange, Server, says

FIXTURES = Path(__file__).parents[1] / "fixtures"


def captured(name: str, folder: str = "alertmanager_api") -> Any:
    """The body of a captured answer."""
    return json.loads((FIXTURES / folder / f"{name}.json").read_text("utf-8"))["body"]


@dataclass
class Api:
    """What the server answers; tests change it. `down` is how it answers when it does not."""

    alerts: list[dict[str, Any]] = field(default_factory=lambda: captured("am_alerts"))
    silences: list[dict[str, Any]] = field(default_factory=lambda: captured("am_silences"))
    groups: list[dict[str, Any]] = field(default_factory=lambda: captured("am_alert_groups"))
    status: dict[str, Any] = field(default_factory=lambda: captured("am_status"))
    rules: list[dict[str, Any]] = field(default_factory=list)
    down: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.request.path.partition("?")[0]
        self.asked.append(path.rpartition("/api/")[2])
        told = {
            "/api/v2/alerts": self.alerts,
            "/api/v2/silences": self.silences,
            "/api/v2/alerts/groups": self.groups,
            "/api/v2/status": self.status,
            "/api/v1/alerts": {"status": "success", "data": {"alerts": self.rules}},
            "/api/v1/query": captured("prom_query_scalar", "prometheus"),
        }
        behave = self.down.get(path) or (says(200, told[path]) if path in told else says(404))
        behave(exchange)

    def lists(self, *alerts: dict[str, Any]) -> None:
        """Only these fire now."""
        self.alerts = list(alerts)

    def fail(self, *paths: str, by: Behaviour | None = None) -> None:
        """These (else everything) answer 503, or what is given."""
        every = ("/api/v2/alerts", "/api/v2/silences", "/api/v2/alerts/groups", "/api/v2/status")
        self.down = dict.fromkeys(paths or every, by or says(503))

    def recover(self) -> None:
        """Everything answers again."""
        self.down = {}


@contextmanager
def api() -> Iterator[Api]:
    """A running server."""
    answers = Api()
    with Server(answers) as server:
        answers.url = server.url
        yield answers


def listed(
    name: str,
    starts_at: datetime,
    *,
    fingerprint: str,
    receivers: tuple[str, ...] = ("ops",),
    silenced_by: tuple[str, ...] = (),
    **labels: str,
) -> dict[str, Any]:
    """One alert of acme's payments, as the API lists it: times are cut to milliseconds."""
    told = {"client": "acme", "service": "payments", "gateway": "alipay", "severity": "critical"} | labels
    moment = f"{starts_at:%Y-%m-%dT%H:%M:%S}.{starts_at.microsecond // 1000:03d}Z"
    return {
        "fingerprint": fingerprint,
        "startsAt": moment,
        "endsAt": moment,
        "updatedAt": moment,
        "receivers": [{"name": receiver} for receiver in receivers],
        "labels": {"alertname": name} | told,
        "annotations": {"summary": name},
        "status": {
            "state": "suppressed" if silenced_by else "active",
            "silencedBy": list(silenced_by),
            "inhibitedBy": [],
        },
    }


def point(
    bridge: Bridge,
    *addresses: str,
    prometheus: str = "",
    receivers: tuple[str, ...] = (),
    every: float = 60,
    source: str = "main",
) -> None:
    """Give a source of the bridge an API to ask, as a reload of its configuration would."""
    config = bridge.config
    typed = config.sources[source]
    settings = type(typed.settings)(
        token=typed.settings.token, api=list(addresses), prometheus=prometheus, receivers=list(receivers)
    )
    changed = type(typed)(name=source, type=typed.type, settings=settings)
    intake = type(config.intake)(reconcile_every=Duration(seconds=every))
    bridge.use(dataclasses.replace(config, sources={**config.sources, source: changed}, intake=intake))
