"""Webhook bodies as Alertmanager sends them, about 0.6 KB an alert; `load.lua` builds the same for wrk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

TOKEN = "bench-token"
START = "2026-11-22T03:51:09.684Z"
NO_END = "0001-01-01T00:00:00Z"
_SPREAD = 1640531  # odd, so that numbers below 2**32 stay distinct; large, so that neighbours lie apart


def fingerprint(number: int) -> str:
    """Sixteen hex digits, different for every number below 2**32 and spread over the whole index."""
    return f"{number * _SPREAD % 2**32:08x}{number:08x}"


def alert(number: int, *, ends_at: str = NO_END, starts_at: str = START, **labels: str) -> dict[str, Any]:
    """One alert of host `number`; `labels` are added to the usual ones or replace them."""
    usual = {
        "alertname": "PaymentGatewayTimeout",
        "service": "payments",
        "client": "acme",
        "gateway": f"g{number % 5}",
        "severity": "critical",
        "instance": f"host-{number}",
        "region": "eu-west-1",
        "job": "payments",
    }
    return {
        "status": "firing" if ends_at == NO_END else "resolved",
        "labels": usual | labels,
        "annotations": {
            "summary": "Payment gateway times out",
            "description": f"p95 is 10 s on host {number}, more than 2.5 s for 2 minutes",
            "runbook_url": "https://runbooks.example/PaymentGatewayTimeout",
        },
        "startsAt": starts_at,
        "endsAt": ends_at,
        "generatorURL": "http://prometheus.example/graph?g0.expr=x",
        "fingerprint": fingerprint(number),
    }


def webhook(alerts: Iterable[dict[str, Any]]) -> bytes:
    """The body that carries these alerts."""
    return msgspec.json.encode(
        {
            "receiver": "bridge",
            "status": "firing",
            "alerts": list(alerts),
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example",
            "version": "4",
            "groupKey": "{}:{}",
            "truncatedAlerts": 0,
        }
    )


def moment(at: datetime) -> str:
    """A time as Alertmanager writes it."""
    return at.isoformat().replace("+00:00", "Z")
