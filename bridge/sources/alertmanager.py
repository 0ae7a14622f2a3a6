"""Alertmanager webhook, version "4" (0.19 to 0.34).

Written against the bodies Alertmanager really sends: unknown keys are new versions, `receiver` is
regexp-quoted, `endsAt` of a firing alert is the year 1, labels may lack `alertname`, and the status of
a group says nothing about alerts that were cut off (`truncatedAlerts`).
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bridge.config.settings import SourceSettings
from bridge.model import Alert, Notification
from bridge.registry import sources
from bridge.sources import Delivery, NotUnderstood
from bridge.text import storable

MOST_LABELS = 500
LONGEST_FINGERPRINT = 128
# Clocks may differ; a start further ahead than this is a mistake of the sender.
_FUTURE = timedelta(days=1)
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class Settings(SourceSettings, frozen=True):
    """An Alertmanager that posts to us. `api` and `prometheus` allow to ask back."""


class _Wire(msgspec.Struct, rename="camel"):
    """The parts of the body that are read, before anything is believed about their types."""

    version: Any = None
    alerts: Any = None
    truncated_alerts: Any = 0
    group_key: Any = ""
    receiver: Any = ""
    route_labels: Any = None


_decoder = msgspec.json.Decoder(_Wire)


@sources.register("alertmanager", Settings)
def decode(settings: Settings, delivery: Delivery) -> Notification:
    """Alertmanager webhook, version 4."""
    del settings
    wire = _read(delivery.body)
    flaws: list[str] = []
    if str(wire.version) != "4":
        raise NotUnderstood(f"version {str(wire.version)[:40]!r} of the webhook; this reads version 4")
    if not isinstance(wire.alerts, list):
        raise NotUnderstood("`alerts` is missing or not a list: a custom payload?")
    if not wire.alerts:
        raise NotUnderstood("`alerts` is empty: there is nothing to act on")
    found = [_alert(raw, delivery, flaws) for raw in wire.alerts]
    if not any(found):
        raise NotUnderstood("no alert in it can be read: " + "; ".join(flaws[:3]))
    return Notification(
        source=delivery.source,
        alerts=tuple(alert for alert in found if alert),
        hidden=wire.truncated_alerts if isinstance(wire.truncated_alerts, int) else 0,
        group=storable(str(wire.group_key))[:4000],
        receiver=storable(str(wire.receiver))[:400],
        route_labels=_texts(wire.route_labels, flaws) if wire.route_labels else {},
        flaws=tuple(dict.fromkeys(flaws))[:20],
    )


def _read(body: bytes) -> _Wire:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        first = error
    try:
        # Lone surrogates, a byte order mark, UTF-16: not what Alertmanager sends, but people do.
        return msgspec.convert(json.loads(body, parse_constant=_refuse), _Wire)
    except (ValueError, RecursionError):
        raise NotUnderstood(f"not the JSON of a webhook: {str(first)[:200]}") from first


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _alert(raw: Any, delivery: Delivery, flaws: list[str]) -> Alert | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("labels"), dict) or not raw["labels"]:
        flaws.append("an alert without labels was left out")
        return None
    labels = _texts(raw["labels"], flaws)
    starts_at = _moment(raw.get("startsAt"))
    if starts_at is None or starts_at > delivery.received_at + _FUTURE:
        flaws.append("an unreadable or far future startsAt: the time of arrival counts")
        starts_at = delivery.received_at
    return Alert(
        source=delivery.source,
        fingerprint=_fingerprint(raw.get("fingerprint"), labels),
        starts_at=starts_at,
        ends_at=_end(raw, starts_at, delivery.received_at, flaws),
        labels=labels,
        annotations=_texts(raw.get("annotations") or {}, flaws),
        link=storable(str(raw.get("generatorURL") or ""))[:4000],
    )


def _end(raw: dict[str, Any], starts_at: datetime, now: datetime, flaws: list[str]) -> datetime | None:
    """An alert has ended when its own status says so; an unknown status is taken as firing."""
    if raw.get("status") != "resolved":
        if raw.get("status") != "firing":
            flaws.append(f"status {str(raw.get('status'))[:40]!r} is read as firing")
        return None
    ends_at = _moment(raw.get("endsAt"))
    if ends_at is None or ends_at > now + _FUTURE:
        flaws.append("resolved without a readable endsAt: the time of arrival counts")
        return max(now, starts_at)
    return max(ends_at, starts_at)


def _moment(value: Any) -> datetime | None:
    """An RFC 3339 time with a zone between 1990 and 9000; Go's zero time is none."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        moment = msgspec.convert(value, datetime, strict=False)
    except msgspec.ValidationError:
        return None
    if moment.tzinfo is None:
        return None
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        return None
    return moment if _EARLIEST <= moment <= _LATEST else None


def _texts(raw: Any, flaws: list[str]) -> dict[str, str]:
    """Labels or annotations as texts; other values come from hand-made senders and are written out."""
    if not isinstance(raw, dict):
        flaws.append("labels or annotations that are not an object were left out")
        return {}
    texts: dict[str, str] = {}
    for name, value in raw.items():
        if len(texts) >= MOST_LABELS:
            flaws.append(f"more than {MOST_LABELS} labels: the rest was left out")
            break
        if not isinstance(value, str):
            flaws.append(f"label {str(name)[:60]!r} was not text")
            value = "" if value is None else msgspec.json.encode(value).decode()
        texts[storable(name)] = storable(value)
    return texts


def _fingerprint(given: Any, labels: dict[str, str]) -> str:
    """Alertmanager's own fingerprint, else one made of the labels in the same spirit."""
    if isinstance(given, str) and given and len(given) <= LONGEST_FINGERPRINT:
        return storable(given)
    text = "\xff".join(f"{name}\xff{labels[name]}" for name in sorted(labels))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
