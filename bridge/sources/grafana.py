"""Grafana's webhook, version "1", signed with HMAC-SHA256 when a secret is configured.

Alertmanager's body with more in it: the values that were measured, links to dashboard, panel and silence.
`DatasourceNoData` and `DatasourceError` say that Grafana cannot see, not that a service is down.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from bridge.config.settings import SourceSettings
from bridge.config.values import Secret
from bridge.model import Alert, Notification
from bridge.registry import sources
from bridge.sources import Delivery, Headers, webhook
from bridge.sources.lenient import written
from bridge.text import storable

# How old or how far ahead a signed time may be: clocks differ, and a delivery may have waited.
FRESH = timedelta(minutes=5)
_DIGITS = 64  # of SHA-256 in hexadecimal
_BLIND = ("DatasourceNoData", "DatasourceError")
_LINKS = {"dashboardURL": "dashboard_url", "panelURL": "panel_url", "silenceURL": "silence_url"}


class Settings(SourceSettings, frozen=True):
    """A Grafana that posts to us. With a `secret` only signed deliveries are taken.

    With a `timestamp_header` Grafana signs the time of sending too, and old deliveries are refused.
    """

    secret: Secret | None = None
    signature_header: str = "X-Grafana-Alerting-Signature"
    timestamp_header: str = ""

    def signed(self, headers: Headers, body: Callable[[], bytes], now: datetime) -> bool:
        """Is the body, as it came, signed with the secret? It is only asked for when the rest is in order."""
        given = (headers.get(self.signature_header) or "").strip().lower()
        if self.secret is None or len(given) != _DIGITS:
            return False
        seal = hmac.new(self.secret.reveal().encode(), digestmod=hashlib.sha256)
        if self.timestamp_header:
            told = headers.get(self.timestamp_header) or ""
            if not _fresh(told, now):
                return False
            seal.update(f"{told}:".encode())
        seal.update(body())
        return hmac.compare_digest(seal.hexdigest().encode(), given.encode("utf-8", "replace"))


def _fresh(told: str, now: datetime) -> bool:
    """Unix seconds near enough to now."""
    digits = told.isascii() and told.isdigit() and len(told) <= 12
    return digits and abs(int(told) - now.timestamp()) <= FRESH.total_seconds()


@sources.register("grafana", Settings)
def decode(settings: Settings, delivery: Delivery) -> Notification:
    """Grafana's webhook, version 1."""
    del settings
    return webhook.notification(delivery, "1", _completed)


def _completed(alert: Alert, raw: dict[str, Any]) -> Alert:
    """With what only Grafana tells; the rule's own annotations stand before it."""
    more = {name: written(raw.get(key)) for key, name in _LINKS.items()}
    more["image_url"] = written(raw.get("imageURL"))
    more["values"] = _values(raw.get("values")) or written(raw.get("valueString"))
    told = {name: storable(text) for name, text in more.items() if text}
    blind = alert.labels.get("alertname") in _BLIND
    return replace(alert, annotations={**told, **alert.annotations}, blind=blind)


def _values(raw: Any) -> str:
    """Values by the letter of their query, such as `A=1.5, B=2`."""
    if not isinstance(raw, dict):
        return ""
    return ", ".join(
        f"{name}={value:.12g}" if isinstance(value, float) else f"{name}={written(value)}"
        for name, value in raw.items()
    )
