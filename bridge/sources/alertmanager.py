"""Alertmanager webhook, version "4" (0.19 to 0.34).

Written against the bodies Alertmanager really sends: unknown keys are new versions, `receiver` is
regexp-quoted, `endsAt` of a firing alert is the year 1, labels may lack `alertname`, and the status of
a group says nothing about alerts that were cut off (`truncatedAlerts`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
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
MOST_HIDDEN = 1_000_000
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


@dataclass
class _Seen:
    """What was odd about the body. `clean`: strict JSON without NUL, its texts are storable as they are."""

    flaws: list[str] = field(default_factory=list)
    clean: bool = False


@sources.register("alertmanager", Settings)
def decode(settings: Settings, delivery: Delivery) -> Notification:
    """Alertmanager webhook, version 4."""
    del settings
    seen = _Seen()
    wire = _read(delivery.body, seen)
    if not isinstance(wire.alerts, list):
        raise NotUnderstood("`alerts` is missing or not a list: a custom payload?")
    if not wire.alerts:
        raise NotUnderstood("`alerts` is empty: there is nothing to act on")
    if wire.version not in ("4", 4):
        raise NotUnderstood(f"version {_written(wire.version)[:40]!r} of the webhook; this reads version 4")
    found = [_alert(raw, delivery, seen) for raw in wire.alerts]
    alerts = tuple(alert for alert in found if alert is not None)
    if not alerts:
        raise NotUnderstood("no alert in it can be read: " + "; ".join(seen.flaws[:3]))
    return Notification(
        source=delivery.source,
        alerts=alerts,
        hidden=_count(wire.truncated_alerts, seen),
        group=storable(_written(wire.group_key))[:4000],
        receiver=storable(_written(wire.receiver))[:400],
        route_labels=_texts(wire.route_labels, seen) if wire.route_labels else {},
        flaws=tuple(dict.fromkeys(seen.flaws))[:20],
    )


def _read(body: bytes, seen: _Seen) -> _Wire:
    """The body as JSON; what only a lenient reader takes is taken too, because it may be a P1."""
    try:
        wire = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        first = str(error)[:200]
    else:
        seen.clean = b"\\u0000" not in body
        return wire
    seen.flaws.append("not strict JSON: read leniently")
    try:
        # Lone surrogates, line breaks in texts, a byte order mark, UTF-16, bytes that are no UTF-8: not
        # what Alertmanager sends, but hand-made senders and custom payloads do.
        try:
            value = json.loads(body, strict=False, parse_constant=_refuse)
        except UnicodeDecodeError:
            value = json.loads(body.decode("utf-8", "replace"), strict=False, parse_constant=_refuse)
        return msgspec.convert(value, _Wire)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise NotUnderstood(f"not the JSON of a webhook: {first}") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _alert(raw: Any, delivery: Delivery, seen: _Seen) -> Alert | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("labels"), dict) or not raw["labels"]:
        seen.flaws.append("an alert without labels was left out")
        return None
    labels = _texts(raw["labels"], seen)
    starts_at = _moment(raw.get("startsAt"))
    if starts_at is None or starts_at > delivery.received_at + _FUTURE:
        seen.flaws.append("an unreadable or far future startsAt: the time of arrival counts")
        starts_at = delivery.received_at
    return Alert(
        source=delivery.source,
        fingerprint=_fingerprint(raw.get("fingerprint"), labels),
        starts_at=starts_at,
        ends_at=_end(raw, starts_at, delivery.received_at, seen),
        labels=labels,
        annotations=_texts(raw.get("annotations") or {}, seen),
        link=storable(_written(raw.get("generatorURL")))[:4000],
    )


def _end(raw: dict[str, Any], starts_at: datetime, now: datetime, seen: _Seen) -> datetime | None:
    """An alert has ended when its own status says so; an unknown status is taken as firing."""
    if raw.get("status") != "resolved":
        if raw.get("status") != "firing":
            seen.flaws.append(f"status {_written(raw.get('status'))[:40]!r} is read as firing")
        return None
    ends_at = _moment(raw.get("endsAt"))
    if ends_at is None or ends_at > now + _FUTURE:
        seen.flaws.append("resolved without a readable endsAt: the time of arrival counts")
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
        moment = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError:
        return None
    return moment if _EARLIEST <= moment <= _LATEST else None


def _texts(raw: Any, seen: _Seen) -> dict[str, str]:
    """Labels or annotations as texts; other values come from hand-made senders and are written out."""
    if not isinstance(raw, dict):
        seen.flaws.append("labels or annotations that are not an object were left out")
        return {}
    if seen.clean and len(raw) <= MOST_LABELS and all(type(value) is str for value in raw.values()):
        return raw
    texts: dict[str, str] = {}
    for name, value in raw.items():
        if len(texts) >= MOST_LABELS:
            seen.flaws.append(f"more than {MOST_LABELS} labels: the rest was left out")
            break
        if not isinstance(value, str):
            seen.flaws.append(f"label {name[:60]!r} was not text")
        texts[storable(name)] = storable(_written(value))
    return texts


def _written(value: Any) -> str:
    """A value as text: itself, nothing for null, else its JSON."""
    if isinstance(value, str) or value is None:
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        return "(nested too deeply to be written out)"


def _count(value: Any, seen: _Seen) -> int:
    """How many alerts were cut off. Too many to count is still many."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return int(min(value, MOST_HIDDEN))
    seen.flaws.append("truncatedAlerts is not a number")
    return 0


def _fingerprint(given: Any, labels: dict[str, str]) -> str:
    """Alertmanager's own fingerprint, else one made of the labels in the same spirit."""
    if isinstance(given, str) and given and len(given) <= LONGEST_FINGERPRINT:
        return storable(given)
    text = json.dumps(sorted(labels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
